package convert

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/testdata"
)

// quantized lists the checkpoints that have a quantization, with their sources.
func quantized(t testing.TB, each func(name string, c family.Config, sources []source)) {
	t.Helper()
	seen := 0
	for _, ck := range testdata.Checkpoints() {
		fsys := os.DirFS(ck.Dir)
		text, err := readText(fsys, "config.json")
		if err != nil {
			t.Fatal(err)
		}
		c, err := family.ParseConfig(text)
		if err == nil {
			c, err = withQuantFile(fsys, c)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(quantization(c).fields) == 0 {
			continue
		}
		seen++
		ckpt, err := safetensors.Open(fsys)
		if err != nil {
			t.Fatal(err)
		}
		sources, err := resolveSources(c, ckpt)
		if err != nil {
			t.Fatalf("%s: %v", ck.Dir, err)
		}
		each(filepath.Base(filepath.Dir(ck.Dir)), c, sources)
		ckpt.Close()
	}
	if seen < 12 {
		t.Errorf("%d quantized checkpoints, at least 12 are here", seen)
	}
}

// A window of an encoded tensor has the bytes that the whole tensor has there, and its values' origins lie in the checkpoint.
func TestEncodingWindows(t *testing.T) {
	quantized(t, func(name string, _ family.Config, sources []source) {
		kinds := map[string]int{}
		for _, s := range sources {
			if _, plain := s.view.(stored); plain {
				continue
			}
			kind := s.name[strings.LastIndex(s.name, ".")-6:]
			if kinds[kind]++; kinds[kind] > 2 || testing.Short() && kinds[kind] > 1 {
				continue
			}
			t.Run(name+"/"+s.name, func(t *testing.T) { checkWindows(t, s) })
		}
		if len(kinds) == 0 {
			t.Errorf("%s: nothing is encoded", name)
		}
	})
}

func checkWindows(t *testing.T, s source) {
	ctx, v := context.Background(), s.view
	rows, cols, size := rowsIn(v.shape()), width(v), elemBytes(v)
	whole := make([]byte, rows*cols*size)
	if err := v.read(ctx, window{0, rows, 0, cols}, whole); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(rows)))
	for range 300 {
		w := window{row: rnd.Int64N(rows), col: rnd.Int64N(cols)}
		w.n, w.cols = 1+rnd.Int64N(rows-w.row), 1+rnd.Int64N(cols-w.col)
		got := make([]byte, w.bytes(v)+8)
		if err := v.read(ctx, w, got[:w.bytes(v)]); err != nil {
			t.Fatalf("window %v: %v", w, err)
		}
		for r := range w.n {
			want := whole[((w.row+r)*cols+w.col)*size:][:w.cols*size]
			if !bytes.Equal(got[r*w.cols*size:][:w.cols*size], want) {
				t.Fatalf("window %v: row %d differs from the whole tensor's", w, r)
			}
		}
		if from, _ := v.origin(w.row, w.col); from != s.from[0] {
			t.Fatalf("row %d, column %d is of %q, want %q", w.row, w.col, from, s.from[0])
		}
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if err := v.read(stopped, window{0, rows, 0, cols}, whole); err == nil {
		t.Error("a read that was cancelled ends without an error")
	}
}
