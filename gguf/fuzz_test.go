package gguf

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// seeds gives the first n bytes of the fixtures, damaged ones too, and of small whole files.
func seeds(f *testing.F, n int) {
	f.Helper()
	paths, err := filepath.Glob(testdata.Path("bad", "*.gguf"))
	if err != nil || len(paths) < 20 {
		f.Fatalf("%d seeds, %v", len(paths), err)
	}
	own, err := filepath.Glob("testdata/*.gguf")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range append(paths, own...) {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), n)])
	}
}

// FuzzOpen: whatever the bytes, an error of the documented kinds or a header that
// can be laid out, described, and for all its claims fits the file.
func FuzzOpen(f *testing.F) {
	seeds(f, 9<<10) // their headers end before
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			var format *FormatError
			var unsupported *UnsupportedError
			if !errors.As(err, &format) && !errors.As(err, &unsupported) {
				t.Errorf("%T: %v", err, err)
			}
			if format != nil && (format.Off < 0 || format.Off > int64(len(b))) {
				t.Errorf("error at byte %d of %d: %v", format.Off, len(b), err)
			}
			return
		}
		for i, info := range h.tensors {
			if end := h.dataOffset + h.offsets[i] + info.Bytes(); end > int64(len(b)) {
				t.Errorf("tensor %q ends at %d of %d", info.Name, end, len(b))
			}
		}
		Describe(h.md)
		plan, err := Layout(h.md, h.tensors)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		for i, off := range plan.Offsets {
			if off != h.offsets[i] {
				t.Errorf("tensor %d: offset %d, planned %d", i, h.offsets[i], off)
			}
		}
	})
}

// FuzzMetadata: metadata that are read are written as the same bytes and equal themselves.
func FuzzMetadata(f *testing.F) {
	seeds(f, 1<<10)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 24 {
			return
		}
		r := newHeaderReader(bytes.NewReader(b), int64(len(b)))
		r.off = 24 // where the fixtures' keys begin
		if _, err := r.r.Discard(24); err != nil {
			t.Fatal(err)
		}
		n := int64(b[16]) // the low byte of the count of keys
		md, err := r.metadata(n)
		if err != nil {
			return
		}
		header, err := encodeHeader(md, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(header[24:], b[24:r.off]) {
			t.Errorf("written again:\n%x\nwas\n%x", header[24:], b[24:r.off])
		}
		src := metadataOnly{md}
		if d, err := Diff(context.Background(), src, src); err != nil || !d.Same() {
			t.Errorf("differs from itself: %+v, %v", d, err)
		}
	})
}

// metadataOnly is a Source without tensors.
type metadataOnly struct{ md *Metadata }

func (s metadataOnly) Metadata() *Metadata { return s.md }
func (metadataOnly) Tensors() []TensorInfo { return nil }
func (metadataOnly) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	return CheckRows(nil, tensor, row, n, dst)
}
