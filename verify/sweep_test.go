package verify

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moeconv/moeconv/gguf"
)

// saved writes a model as files, and opens them as a release.
func saved(t *testing.T, m gguf.Source, o gguf.FileOptions) *Found {
	t.Helper()
	dir := t.TempDir()
	if _, err := gguf.WriteFile(context.Background(), filepath.Join(dir, "m-Q8_0.gguf"), m, o); err != nil {
		t.Fatal(err)
	}
	f, err := FindFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A file that is read from front to back gives what its units give one by one, and its hash; shards too, whatever the memory.
func TestSweep(t *testing.T) {
	m := tinyAs(t, "Q4_K_M")
	binary.LittleEndian.PutUint16(m.expert(t, up1, 3), 0x7e00)
	clear(m.expert(t, down2, 2))
	copy(m.expert(t, gate1, 4), m.expert(t, gate1, 1))
	want := check(t, checkScan, &Subject{Source: m})
	if len(want.Problems) != 3 {
		t.Fatalf("%+v", want)
	}
	for name, c := range map[string]struct {
		o      gguf.FileOptions
		memory int64
		shards int
	}{
		"one file":         {gguf.FileOptions{}, 0, 1},
		"one file, narrow": {gguf.FileOptions{}, 1, 1},
		"shards":           {gguf.FileOptions{SplitMaxTensors: 9, MetadataFirst: true}, 8 << 20, 6},
	} {
		f := saved(t, m, c.o)
		src, err := f.Members[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		s := &Subject{Source: src, Memory: c.memory, hashes: map[string]string{}}
		got := check(t, checkScan, s)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Result{}, Problem{}), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if len(s.hashes) != c.shards {
			t.Errorf("%s: hashes of %d files", name, len(s.hashes))
		}
		for _, p := range f.Members[0].Parts {
			if s.hashes[p.path] != sha(t, p.path) {
				t.Errorf("%s: %s: another hash", name, p.Name)
			}
		}
		src.(*gguf.File).Close()
	}
}

// A file that gets shorter after it was opened has unreadable units, and no hash.
func TestSweepOverAnEnd(t *testing.T) {
	f := saved(t, tinyAs(t, "Q8_0"), gguf.FileOptions{})
	src, err := f.Members[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer src.(*gguf.File).Close()
	if err := os.Truncate(f.Members[0].Parts[0].path, 3<<20); err != nil {
		t.Fatal(err)
	}
	s := &Subject{Source: src, hashes: map[string]string{}}
	r := check(t, checkScan, s)
	if r.Status != Fail || r.Problems[0].Damage != "unreadable" || len(s.hashes) != 0 {
		t.Errorf("%s: %s, %v", r.Status, r.Detail, s.hashes)
	}
}

func TestSweepStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := saved(t, tinyAs(t, "Q8_0"), gguf.FileOptions{})
	src, err := f.Members[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer src.(*gguf.File).Close()
	s := &Subject{Source: src, Progress: func(string, int64, int64) { cancel() }}
	if r := checkScan(ctx, s); r.Status != Fail || ctx.Err() == nil {
		t.Errorf("%s: %s", r.Status, r.Detail)
	}
}
