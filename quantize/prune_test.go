package quantize

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// The numbering is that of the reference's remap_layer; whole files are held by the command's goldens.
func TestPrune(t *testing.T) {
	src := fakeSource{md: keys("llama", map[string]uint32{"block_count": 12}), fill: func(tensor, row, n int, dst []byte) error {
		for i := range dst {
			dst[i] = byte(tensor)
		}
		return nil
	}}
	src.ts = append(src.ts, gguf.TensorInfo{Name: "output.weight", Type: gguf.F32, Shape: gguf.Shape{32, 1}})
	for b := 11; b >= 0; b-- {
		src.ts = append(src.ts, gguf.TensorInfo{Name: fmt.Sprintf("blk.%d.attn_v.weight", b), Type: gguf.F32, Shape: gguf.Shape{32, 1}})
	}
	p, err := Prune(src, []int{10, 1, 2, 40, 10})
	if err != nil {
		t.Fatal(err)
	}
	left := []int{0, 3, 4, 5, 6, 7, 8, 9, 11}
	if ts := p.Tensors(); len(ts) != len(left)+1 || !slices.Equal(p.Missing(), []int{40}) {
		t.Fatalf("%v left, %v missing", ts, p.Missing())
	}
	for i, old := range left {
		name := p.Tensors()[i+1].Name
		if want := fmt.Sprintf("blk.%d.attn_v.weight", i); name != want {
			t.Errorf("block %d is %s, want %s", old, name, want)
		}
		if got, err := readAll(t, p, i+1); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(12 - old)}, 128)) {
			t.Errorf("%s does not read block %d, %v", name, old, err)
		}
		if got, want := originalName(p, name), fmt.Sprintf("blk.%d.attn_v.weight", old); got != want {
			t.Errorf("%s was %s, want %s", name, got, want)
		}
	}
	j, err := New(p, mustScheme(t, "COPY"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := j.Metadata().Int("llama.block_count"); err != nil || n != 9 {
		t.Errorf("%d blocks, %v", n, err)
	}
	if n, err := p.Metadata().Int("llama.block_count"); err != nil || n != 12 {
		t.Errorf("the rules see %d blocks, want all 12: %v", n, err)
	}
	for _, bad := range [][]int{nil, {-1}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}} {
		if _, err := Prune(src, bad); err == nil || !strings.HasPrefix(err.Error(), "quantize: ") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
