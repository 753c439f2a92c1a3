package safetensors

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/testdata"
)

// FuzzHeader parses files of any beginning followed by any number of zeros: no
// panic, and what is accepted lies in the file without overlap.
func FuzzHeader(f *testing.F) {
	files, err := filepath.Glob(testdata.Path("bad", "safetensors-*", modelFile))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range append(files, testdata.Path("bad", "_good", modelFile)) {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		head := min(len(b), 4096)
		if len(b) >= 8 {
			head = int(min(uint64(head), 8+binary.LittleEndian.Uint64(b)))
		}
		f.Add(b[:head], uint32(len(b)-head))
	}
	f.Add(file(`{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}`, nil).Data, uint32(1))
	f.Fuzz(func(t *testing.T, head []byte, zeros uint32) {
		size := int64(len(head)) + int64(zeros)
		ts, err := readHeader(modelFile, paddedReader(head), size)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "safetensors: "+modelFile+": ") {
				t.Errorf("error does not name the file: %v", err)
			}
			return
		}
		for i, x := range ts {
			if i > 0 && x.Off != ts[i-1].Off+ts[i-1].Size || x.Size < 0 || x.Off < 8 || x.DType.Bits() == 0 {
				t.Errorf("tensor %d: %+v", i, x)
			}
		}
		if n := len(ts); n > 0 && ts[n-1].Off+ts[n-1].Size != size {
			t.Errorf("last tensor %+v in a file of %d bytes", ts[n-1], size)
		}
	})
}

// paddedReader is a file that goes on with zeros.
type paddedReader []byte

func (r paddedReader) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(r)) {
		copy(p, r[off:])
	}
	return len(p), nil
}

// FuzzIndex reads indexes of any content: no panic, and no shard outside of the checkpoint.
func FuzzIndex(f *testing.F) {
	files, err := filepath.Glob(testdata.Path("bad", "*", indexName))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		idx, err := readIndex(fstest.MapFS{indexName: {Data: b}})
		if err != nil {
			return
		}
		for _, s := range idx.shards {
			if !filepath.IsLocal(s) {
				t.Errorf("shard %q", s)
			}
		}
	})
}
