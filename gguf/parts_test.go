package gguf_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// TestParts: what is predicted is what is written, one file or many.
func TestParts(t *testing.T) {
	src := open(t, testdata.Path("bad/_good.gguf"))
	for _, opts := range []gguf.FileOptions{{}, {SplitMaxTensors: 3}, {SplitMaxSize: 4000}, {SplitMaxTensors: 5, MetadataFirst: true}, {Set: true}} {
		name := filepath.Join(t.TempDir(), "x.gguf")
		parts, err := gguf.Parts(name, src, opts)
		if err != nil {
			t.Fatal(err)
		}
		written, err := gguf.WriteFile(context.Background(), name, src, opts)
		if err != nil || len(written) != len(parts) {
			t.Fatalf("%+v: %d files of %d, %v", opts, len(written), len(parts), err)
		}
		tensors := 0
		for i, w := range written {
			if parts[i].Path != w.Path || parts[i].Bytes != w.Bytes {
				t.Errorf("%+v: %+v, want %+v", opts, parts[i], w)
			}
			tensors += parts[i].Tensors
		}
		if tensors != len(src.Tensors()) {
			t.Errorf("%+v: %d tensors", opts, tensors)
		}
	}
	if _, err := gguf.Parts("x.gguf", badSource{src}, gguf.FileOptions{}); err == nil {
		t.Error("a tensor without a name has a size")
	}
}

type badSource struct{ gguf.Source }

func (badSource) Tensors() []gguf.TensorInfo { return []gguf.TensorInfo{{Shape: gguf.Shape{1}}} }

// TestUnpadded: a file without tensors may end with its metadata; the option means nothing to others.
func TestUnpadded(t *testing.T) {
	src := open(t, testdata.Path("bad/_good.gguf"))
	layout, err := gguf.Layout(src.Metadata(), nil)
	if err != nil || layout.HeaderSize == layout.DataOffset {
		t.Fatalf("%+v, %v: the test needs metadata that do not end at a multiple of the alignment", layout, err)
	}
	for _, c := range []struct {
		src      gguf.Source
		unpadded bool
		want     int64
	}{{noTensors{src}, true, layout.HeaderSize}, {noTensors{src}, false, layout.DataOffset}, {src, true, src.Size()}} {
		name := filepath.Join(t.TempDir(), "v.gguf")
		files, err := gguf.WriteFile(context.Background(), name, c.src, gguf.FileOptions{Unpadded: c.unpadded})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil || info.Size() != c.want || files[0].Bytes != c.want {
			t.Errorf("unpadded %t: %d bytes (%d reported), want %d", c.unpadded, info.Size(), files[0].Bytes, c.want)
		}
		f, err := gguf.Open(name)
		if err != nil {
			t.Error(err)
			continue
		}
		f.Close()
	}
}

type noTensors struct{ gguf.Source }

func (noTensors) Tensors() []gguf.TensorInfo { return nil }
