package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/testdata"
)

// TestDTypes opens a file with every dtype of the format; those that the library does not know must keep their name.
func TestDTypes(t *testing.T) {
	var parts []string
	end := 0
	sizes := map[string]int{ // bytes of a [2 4] tensor by the format's description
		"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
		"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
		"I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
	}
	for name, n := range sizes {
		parts = append(parts, fmt.Sprintf(`"t.%s":{"shape":[2,4],"dtype":%q,"data_offsets":[%d,%d]}`, name, name, end, end+n))
		end += n
	}
	parts = append(parts, fmt.Sprintf(`"empty":{"dtype":"F4","shape":[0,9],"data_offsets":[%d,%d]}`, end, end),
		fmt.Sprintf(`"scalar":{"dtype":"F8_E8M0","shape":[],"data_offsets":[%d,%d]}`, end, end+1))
	data := make([]byte, end+1)
	for i := range data {
		data[i] = byte(i)
	}
	c, err := Open(fstest.MapFS{modelFile: file(`{"__metadata__":null, `+strings.Join(parts, ", ")+"}  ", data)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, n := range sizes {
		x, ok := c.Tensor("t." + name)
		if !ok || string(x.DType) != name || x.Size != int64(n) || !slices.Equal(x.Shape, []int64{2, 4}) {
			t.Errorf("%s: %+v", name, x)
		}
		p := make([]byte, n)
		if err := c.ReadAt(x, p, 0); err != nil || p[0]+byte(n)-1 != p[n-1] {
			t.Errorf("%s: read %v, %v", name, p, err)
		}
	}
	if x, _ := c.Tensor("scalar"); x.Size != 1 || len(x.Shape) != 0 {
		t.Errorf("scalar: %+v", x)
	}
	if DType("F12_WEIRD").Bits() != 0 {
		t.Error("F12_WEIRD has a size")
	}
}

// TestShards compares a split checkpoint, with and without its index, with the single file.
func TestShards(t *testing.T) {
	whole, err := Open(testdata.Tiny())
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	m := split(t)
	indexed, err := Open(m)
	if err != nil {
		t.Fatal(err)
	}
	delete(m, indexName)
	m["modelling.safetensors.md"] = &fstest.MapFile{Data: []byte("not read")}
	plain, err := Open(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Checkpoint{indexed, plain} {
		if len(c.Tensors()) != len(whole.Tensors()) || len(c.Shards()) != 2 || c.Shards()[1].Name != shardTwo {
			t.Fatalf("%d tensors in %v", len(c.Tensors()), c.Shards())
		}
		checkReadable(t, c)
		for _, x := range whole.Tensors() {
			y, ok := c.Tensor(x.Name)
			a, b := make([]byte, x.Size), make([]byte, y.Size)
			if err := errors.Join(whole.ReadAt(x, a, 0), c.ReadAt(y, b, 0)); !ok || err != nil || !bytes.Equal(a, b) {
				t.Errorf("%s differs: %v", x.Name, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestIndexChoosesShards: the reference reads the shards of the index and no other file.
func TestIndexChoosesShards(t *testing.T) {
	m := split(t)
	m["model-extra.safetensors"] = &fstest.MapFile{Data: []byte("rubbish")}
	c, err := Open(m)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	delete(m, indexName)
	_, err = Open(m)
	wantError(t, err, "model-extra.safetensors", "too short")
}

func TestOtherFormats(t *testing.T) {
	for name, want := range map[string]string{
		"consolidated.safetensors":         "Mistral's own format",
		"pytorch_model-00001-of-00002.bin": "pickle",
		"model-Q8_0.gguf":                  "GGUF",
	} {
		_, err := Open(fstest.MapFS{name: {}})
		var u *UnsupportedError
		if !errors.As(err, &u) {
			t.Errorf("%s: %v is not an UnsupportedError", name, err)
		}
		wantError(t, err, name, want)
	}
	_, err := Open(fstest.MapFS{"README.md": {}})
	wantError(t, err, "the directory holds no weights")
}

func TestReadAtBounds(t *testing.T) {
	c, err := Open(testdata.Tiny())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	x, _ := c.Tensor(norm)
	for _, r := range []struct{ off, n int64 }{{-1, 1}, {0, x.Size + 1}, {x.Size, 1}, {x.Size + 1, 0}, {1 << 62, 1}} {
		wantError(t, c.ReadAt(x, make([]byte, r.n), r.off), norm, "outside")
	}
	if err := c.ReadAt(x, nil, x.Size); err != nil {
		t.Error(err)
	}
	x.Shard = "elsewhere"
	wantError(t, c.ReadAt(x, nil, 0), "no such shard")
}

// seekFS hides io.ReaderAt, as file systems do whose files only seek; with noSeek they do not even that.
type seekFS struct {
	fs.FS
	noSeek bool
}

func (s seekFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if _, dir := f.(fs.ReadDirFile); err != nil || dir {
		return f, err
	}
	if s.noSeek {
		return struct{ fs.File }{f}, nil
	}
	if seeker, ok := f.(io.Seeker); ok {
		return struct {
			fs.File
			io.Seeker
		}{f, seeker}, nil
	}
	return f, nil
}

// TestConcurrentReads reads all tensors from several goroutines, with files that read at offsets and files that seek.
func TestConcurrentReads(t *testing.T) {
	for _, fsys := range []fs.FS{testdata.Tiny(), seekFS{FS: testdata.Tiny()}} {
		c, err := Open(fsys)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := fs.ReadFile(fsys, modelFile)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j, x := range c.Tensors() {
					off := (x.Size - 64) * int64((i*7+j)%9) / 8
					p := make([]byte, 64)
					if err := c.ReadAt(x, p, off); err != nil || !bytes.Equal(p, raw[x.Off+off:x.Off+off+64]) {
						t.Errorf("%s at %d: %v", x.Name, off, err)
					}
				}
			})
		}
		wg.Wait()
		c.Close()
	}
	_, err := Open(seekFS{testdata.Tiny(), true})
	wantError(t, err, modelFile, "cannot be read at an offset")
}

// TestClaimedLength: a header length below the limit but beyond the file takes no memory.
func TestClaimedLength(t *testing.T) {
	b := []byte{0, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'} // 100,000,000 bytes claimed
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	_, err := readHeader(modelFile, bytes.NewReader(b), int64(len(b)))
	goruntime.ReadMemStats(&after)
	wantError(t, err, "header length 100000000 exceeds the file of 10 bytes")
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated for a file of %d", n, len(b))
	}
}

// TestShrunkFile: a file that loses bytes after it was opened is an error, not zeros.
func TestShrunkFile(t *testing.T) {
	header, data := tinyFile(t)
	f := file(header, data)
	s := &shard{ReaderAt: bytes.NewReader(f.Data[:len(f.Data)-10]), Closer: io.NopCloser(nil), name: modelFile}
	ts, err := readHeader(modelFile, bytes.NewReader(f.Data), int64(len(f.Data)))
	if err != nil {
		t.Fatal(err)
	}
	c := &Checkpoint{byShard: map[string]*shard{modelFile: s}}
	last := ts[len(ts)-1]
	err = c.ReadAt(last, make([]byte, last.Size), 0)
	wantError(t, err, modelFile, last.Name)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v is not an unexpected EOF", err)
	}
}
