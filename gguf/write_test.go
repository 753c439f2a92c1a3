package gguf_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// foreign lists complete files written by other programs: gguf-py, llama-imatrix.
var foreign = []string{
	"bad/_good.gguf",
	"families/deepseek-moe/golden/imatrix.gguf",
	"families/mixtral-8/golden/imatrix.gguf",
	"tiny/golden/imatrix.gguf",
}

func open(t testing.TB, name string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// A file that another program wrote, written again, has the same bytes, whatever the workers and the memory.
func TestRoundTrip(t *testing.T) {
	for _, name := range foreign {
		path := testdata.Path(name)
		want := readFile(t, path)
		f := open(t, path)
		plan, err := gguf.Layout(f.Metadata(), f.Tensors())
		if err != nil {
			t.Fatal(err)
		}
		if plan.Size != int64(len(want)) || plan.DataOffset != f.DataOffset() {
			t.Errorf("%s: planned %d bytes, data at %d; file has %d, data at %d", name, plan.Size, plan.DataOffset, len(want), f.DataOffset())
		}
		for _, opts := range []gguf.WriteOptions{{}, {Workers: 1}, {Workers: 4}, {Workers: 3, Memory: 1}} {
			var buf bytes.Buffer
			if err := gguf.Write(context.Background(), &buf, f, opts); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(buf.Bytes(), want) {
				t.Errorf("%s: written with %+v: differs (%s, want %s)", name, opts, sum(buf.Bytes()), sum(want))
			}
		}
	}
}

func TestWriteFile(t *testing.T) {
	path := testdata.Path("bad/_good.gguf")
	want := readFile(t, path)
	f := open(t, path)
	out := t.TempDir() + "/out.gguf"
	got, err := gguf.WriteFile(context.Background(), out, f, gguf.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0] != (gguf.Written{Path: out, Bytes: int64(len(want)), SHA256: sum(want)}) {
		t.Errorf("reported %+v", got)
	}
	if !bytes.Equal(readFile(t, out), want) {
		t.Error("bytes differ")
	}
}
