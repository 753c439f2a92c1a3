package gguf_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// raw builds headers that no writer would write.
type raw struct{ bytes.Buffer }

func (r *raw) u32(v uint32) *raw { binary.Write(r, binary.LittleEndian, v); return r }
func (r *raw) u64(v uint64) *raw { binary.Write(r, binary.LittleEndian, v); return r }
func (r *raw) str(s string) *raw { r.u64(uint64(len(s))).WriteString(s); return r }

// file begins a version 3 header with these counts; the first key is the architecture, which nkv does not count.
func file(tensors, nkv uint64) *raw {
	r := &raw{}
	r.WriteString("GGUF")
	r.u32(3).u64(tensors).u64(nkv + 1)
	return r.str("general.architecture").u32(8).str("llama")
}

// Damage that the fixtures do not have.
func TestHostile(t *testing.T) {
	tensor := func(r *raw, name string, typ uint32, off uint64, dims ...uint64) *raw {
		r.str(name).u32(uint32(len(dims)))
		for _, d := range dims {
			r.u64(d)
		}
		return r.u32(typ).u64(off)
	}
	pad := make([]byte, 4096)
	for _, c := range []struct {
		name string
		r    *raw
		want string
	}{
		{"empty key", file(0, 1).str("").u32(0), "key 1 is empty"},
		{"bool of 2", file(0, 1).str("b").u32(7).u32(2), `key "b": byte 2 is not a bool`},
		{"bool of 2 in an array", file(0, 1).str("b").u32(9).u32(7).u64(2).u32(0x0201), `key "b": byte 2 is not a bool`},
		{"array of an unknown type", file(0, 1).str("a").u32(9).u32(13).u64(1).u64(0), `key "a": unknown value type 13 of an array`},
		{"array of strings too long", file(0, 1).str("a").u32(9).u32(8).u64(600), `array "a" of 600 elements exceeds the file`},
		{"array of numbers too long", file(0, 1).str("a").u32(9).u32(10).u64(600), `array "a" of 600 elements exceeds the file`},
		{"arrays nested too deep", func() *raw {
			r := file(0, 1).str("a").u32(9)
			for range 20 {
				r.u32(9).u64(1)
			}
			return r.u32(0).u64(0)
		}(), `key "a": arrays nested more than 8 deep`},
		{"alignment of another type", file(0, 1).str("general.alignment").u32(10).u64(32), "general.alignment is uint64, want uint32"},
		{"alignment of 0", file(0, 1).str("general.alignment").u32(4).u32(0), "general.alignment 0 is not a power of two"},
		{"nameless tensor", tensor(file(1, 0), "", 0, 0, 1), "a tensor has no name"},
		{"long name", tensor(file(1, 0), strings.Repeat("x", 64), 0, 0, 1), "is longer than 63 bytes"},
		{"negative dimension", tensor(file(1, 0), "t", 0, 0, 1<<63), `tensor "t": dimension 0 is -9223372036854775808`},
		{"row does not fit the type", tensor(file(1, 0), "t", 8, 0, 33), `tensor "t": gguf: row of 33 elements is not a multiple of Q8_0's block of 32`},
		{"bytes overflow", tensor(file(1, 0), "t", 0, 0, 1<<40, 1<<22), `tensor "t": size overflows`},
		{"offset above 2^63", tensor(file(1, 0), "t", 0, 1<<63, 1), `tensor "t": data offset 9223372036854775808 lies outside of the file`},
		{"gap at the start", tensor(file(1, 0), "t", 0, 32, 1), `tensor "t": offset 32 is not the expected 0`},
		{"gap", tensor(tensor(file(2, 0), "t", 0, 0, 1), "u", 0, 64, 1), `tensor "u": offset 64 is not the expected 32`},
		{"overlap by padding only", tensor(tensor(file(2, 0), "t", 0, 32, 9), "u", 0, 0, 9), `tensor "t": offset 32 is not the expected 0`},
	} {
		_, err := openBytes(t, c.r.Bytes(), pad)
		var format *gguf.FormatError
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &format) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// A header, cut at any byte, is an error; so is a file cut anywhere in its data.
func TestTruncated(t *testing.T) {
	whole := readFile(t, "testdata/whole.gguf")
	f := open(t, "testdata/whole.gguf")
	last := len(f.Tensors()) - 1
	_, off, n, _ := f.Range(last)
	name := filepath.Join(t.TempDir(), "cut.gguf")
	step := 1
	for cut := 0; cut < int(off+n); cut += step {
		if cut > int(f.DataOffset())+64 {
			step = 97
		}
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := gguf.Open(name)
		if err == nil {
			c.Close()
			t.Fatalf("cut at byte %d of %d: opened", cut, len(whole))
		}
		var format *gguf.FormatError
		if !errors.As(err, &format) || format.Off > int64(cut) {
			t.Errorf("cut at byte %d: %v", cut, err)
		}
	}
}

// Any single damaged byte of the header is an error or leaves a file that can be described and read, never a panic.
func TestFlippedBytes(t *testing.T) {
	good := readFile(t, "testdata/values.gguf")
	name := filepath.Join(t.TempDir(), "flip.gguf")
	opened := 0
	for i := range int(open(t, "testdata/values.gguf").DataOffset()) {
		if testing.Short() && i%7 != 0 {
			continue
		}
		for _, flip := range []byte{0x01, 0xff} {
			b := bytes.Clone(good)
			b[i] ^= flip
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if f, err := gguf.Open(name); err == nil {
				opened++
				use(t, f)
				f.Close()
			}
		}
	}
	if opened == 0 {
		t.Error("no damage was harmless: the test does not test")
	}
}

// use does with an open file what readers do.
func use(t testing.TB, f *gguf.File) {
	gguf.Describe(f.Metadata())
	for i, info := range f.Tensors() {
		if _, err := gguf.TensorSHA256(context.Background(), f, i); err != nil {
			t.Errorf("tensor %q: %v", info.Name, err)
		}
	}
	var a bytes.Buffer
	if err := gguf.Write(context.Background(), &a, f, gguf.WriteOptions{Workers: 1}); err != nil {
		t.Errorf("what was read cannot be written: %v", err)
	}
}

// Sizes in a header are claims: a sparse file of a terabyte that claims huge
// strings, arrays and counts, all of which the file could hold, costs next to nothing.
func TestClaimsAllocateNothing(t *testing.T) {
	const size = 1 << 40
	for name, r := range map[string]*raw{
		"tensors":          file(1<<33, 0),
		"keys":             file(0, 1<<34),
		"string":           file(0, 1).str("s").u32(8).u64(1 << 39),
		"key":              file(0, 1).u64(1 << 39),
		"array of numbers": file(0, 1).str("a").u32(9).u32(10).u64(1 << 35),
		"array of strings": file(0, 1).str("a").u32(9).u32(8).u64(1 << 36),
		"array of arrays":  file(0, 1).str("a").u32(9).u32(9).u64(1 << 35),
		"tensor":           file(1, 0).str("t").u32(1).u64(1 << 50).u32(0).u64(0),
	} {
		path := filepath.Join(t.TempDir(), "sparse.gguf")
		if err := os.WriteFile(path, r.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Skipf("no sparse files here: %v", err) // the claims are also tested against small files above
		}
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		f, err := gguf.Open(path)
		goruntime.ReadMemStats(&after)
		if err == nil {
			f.Close()
			t.Errorf("%s: opened", name)
		}
		if grew := after.TotalAlloc - before.TotalAlloc; grew > 4<<20 {
			t.Errorf("%s: allocated %d bytes (%v)", name, grew, err)
		}
	}
}

func TestConcurrentReadRows(t *testing.T) {
	path := testdata.Path("bad/_good.gguf")
	whole := readFile(t, path)
	f := open(t, path)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for k := range f.Tensors() {
				i := (k + w) % len(f.Tensors())
				info := f.Tensors()[i]
				row := info.RowBytes()
				start := f.DataOffset() + f.Offset(i)
				for r := range int(info.Shape.Rows()) {
					dst := make([]byte, row)
					if err := f.ReadRows(context.Background(), i, r, 1, dst); err != nil {
						t.Error(err)
						return
					}
					if at := start + int64(r)*row; !bytes.Equal(dst, whole[at:at+row]) {
						t.Errorf("tensor %q row %d differs", info.Name, r)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestReadRowsRefuses(t *testing.T) {
	f := open(t, "testdata/whole.gguf")
	ctx := context.Background()
	row := f.Tensors()[0].RowBytes()
	for _, c := range []struct {
		tensor, row, n int
		dst            int64
	}{{-1, 0, 1, row}, {8, 0, 1, row}, {0, -1, 1, row}, {0, 0, -1, 0}, {0, 0, 21, 21 * row}, {0, 20, 1, row}, {0, 0, 1, row - 1}, {0, 0, 2, row}} {
		if err := f.ReadRows(ctx, c.tensor, c.row, c.n, make([]byte, c.dst)); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.ReadRows(cancelled, 0, 0, 1, make([]byte, row)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, _, _, ok := f.Range(8); ok {
		t.Error("Range of a tensor that is not there")
	}
}

// A file that shrinks while it is open is an error that names file and tensor.
func TestShrinkingFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "shrinks.gguf")
	if err := os.WriteFile(name, readFile(t, "testdata/whole.gguf"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, name)
	if err := os.Truncate(name, 600); err != nil {
		t.Fatal(err)
	}
	_, err := gguf.TensorSHA256(context.Background(), f, 2)
	if err == nil || !strings.Contains(err.Error(), "shrinks.gguf") || !strings.Contains(err.Error(), f.Tensors()[2].Name) {
		t.Error(err)
	}
}
