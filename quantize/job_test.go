package quantize

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/block"
)

func mustScheme(t *testing.T, name string) Scheme {
	t.Helper()
	s, err := ParseScheme(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keys(arch string, kv map[string]uint32) *gguf.Metadata {
	md := &gguf.Metadata{}
	md.Set("general.architecture", arch)
	md.Set("split.no", uint16(0))
	md.Set("general.file_type", uint32(32))
	for k, v := range kv {
		md.Set(md.ArchKey(k), v)
	}
	return md
}

// small is a model of two blocks with three experts, BF16; every weight is a hash of its place, bad puts a value somewhere.
func small(bad map[string]float32) fakeSource {
	s := fakeSource{md: keys("llama", map[string]uint32{"block_count": 2, "expert_count": 3, "attention.head_count": 4})}
	add := func(name string, typ gguf.Type, shape ...int64) {
		s.ts = append(s.ts, gguf.TensorInfo{Name: name, Type: typ, Shape: shape})
	}
	add("token_embd.weight", gguf.BF16, 256, 7)
	for b := range 2 {
		add(fmt.Sprintf("blk.%d.ffn_down_exps.weight", b), gguf.BF16, 256, 5, 3)
		add(fmt.Sprintf("blk.%d.attn_norm.weight", b), gguf.F32, 256)
		add(fmt.Sprintf("blk.%d.attn_v.weight", b), gguf.BF16, 256, 4)
	}
	add("blk.1.odd.weight", gguf.BF16, 33, 4)
	s.fill = func(tensor, row, n int, dst []byte) error {
		t := s.ts[tensor]
		ne0 := int(t.Shape.NE(0))
		for i := range n * ne0 {
			r, c := row+i/ne0, i%ne0
			h := uint32(tensor*7919+r*104729+c*1299709) * 2654435761
			v := (float32(h>>8)/(1<<24) - 0.5) * float32(1+r%3)
			if b, ok := bad[fmt.Sprintf("%s %d %d", t.Name, r, c)]; ok {
				v = b
			}
			if t.Type == gguf.F32 {
				binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
			} else {
				binary.LittleEndian.PutUint16(dst[2*i:], uint16(math.Float32bits(v)>>16))
			}
		}
		return nil
	}
	return s
}

func readAll(t *testing.T, src gguf.Source, tensor int) ([]byte, error) {
	t.Helper()
	info := src.Tensors()[tensor]
	dst := make([]byte, info.Bytes())
	return dst, src.ReadRows(context.Background(), tensor, 0, int(info.Shape.Rows()), dst)
}

func TestBadValues(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		scheme, tensor string
		row, column    int
		value          float32
		want           []string
	}{
		{"Q4_K_M", "blk.1.ffn_down_exps.weight", 13, 255, nan, []string{"row 13", "column 255", "NaN"}},
		{"Q8_0", "blk.0.attn_v.weight", 3, 17, inf, []string{"row 3", "column 17", "-Inf"}},
		{"Q8_0", "blk.1.attn_norm.weight", 0, 9, nan, []string{"row 0", "column 9", "NaN"}},       // copied
		{"COPY", "blk.1.odd.weight", 2, 32, inf, []string{"row 2", "column 32", "-Inf"}},          // copied
		{"F32", "token_embd.weight", 6, 1, nan, []string{"row 6", "column 1", "NaN"}},             // widened
		{"F16", "blk.0.attn_v.weight", 1, 4, 1e6, []string{"row 1", "column 4", "beyond"}},        // too large for F16
		{"Q4_0", "blk.0.attn_v.weight", 2, 200, 1e8, []string{"row 2", "column 200", "scale of"}}, // scale too large for F16
	} {
		src := small(map[string]float32{fmt.Sprintf("%s %d %d", c.tensor, c.row, c.column): c.value})
		j, err := New(src, mustScheme(t, c.scheme), Options{})
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		for i, ts := range j.Tensors() {
			_, err := readAll(t, j, i)
			if err == nil {
				continue
			}
			failed++
			for _, w := range append(c.want, fmt.Sprintf("%q", c.tensor)) {
				if ts.Name != c.tensor || !strings.Contains(err.Error(), w) {
					t.Errorf("%s: tensor %s: %v: want %q", c.scheme, ts.Name, err, w)
				}
			}
		}
		if failed != 1 {
			t.Errorf("%s: %d tensors refused, want %s alone", c.scheme, failed, c.tensor)
		}
	}
}

// Rows read one by one, in runs across experts and all at once are the same, and each expert is weighed by its own slice.
func TestReadRowsPieces(t *testing.T) {
	src := small(nil)
	sums := make([]float32, 256*3)
	for i := range sums {
		sums[i] = float32(1 + i*i%977)
	}
	name := "blk.0.ffn_down_exps.weight"
	m := matrixOf(t, map[string][]float32{name: sums}, map[string][]float32{name: {2, 0, 5}})
	j, err := New(src, mustScheme(t, "Q4_K_S"), Options{Imatrix: m})
	if err != nil {
		t.Fatal(err)
	}
	at := gguf.Find(j.Tensors(), name)
	info := j.Tensors()[at]
	all, err := readAll(t, j, at)
	if err != nil {
		t.Fatal(err)
	}
	size := int(info.RowBytes())
	for _, step := range []int{1, 2, 4, 7} {
		for row := 0; row < 15; row += step {
			n := min(step, 15-row)
			dst := make([]byte, n*size)
			if err := j.ReadRows(context.Background(), at, row, n, dst); err != nil {
				t.Fatal(err)
			}
			if string(dst) != string(all[row*size:(row+n)*size]) {
				t.Errorf("rows %d to %d differ from those of the whole tensor", row, row+n)
			}
		}
	}
	for row := range 15 {
		raw := make([]byte, 512)
		if err := src.ReadRows(context.Background(), gguf.Find(src.ts, name), row, 1, raw); err != nil {
			t.Fatal(err)
		}
		f := make([]float32, 256)
		if err := block.DecodeRows(gguf.BF16, f, raw, 256); err != nil {
			t.Fatal(err)
		}
		weights := make([]float32, 256)
		for i := range weights {
			switch e := row / 5; e {
			case 0:
				weights[i] = sums[i] / 2
			case 1:
				weights[i] = 1 // no token reached it
			case 2:
				weights[i] = sums[512+i] / 5
			}
		}
		want := make([]byte, size)
		if err := block.EncodeRows(info.Type, want, f, 256, weights); err != nil {
			t.Fatal(err)
		}
		if string(want) != string(all[row*size:(row+1)*size]) {
			t.Errorf("row %d is not weighed by its expert's slice", row)
		}
	}
}

func TestRefusals(t *testing.T) {
	quantized := small(nil)
	quantized.ts[0].Type = gguf.Q8_0
	integer := small(nil)
	integer.ts[0].Type = gguf.I32
	noBlocks := small(nil)
	noBlocks.md = keys("llama", nil)
	beyond := small(nil)
	beyond.md = keys("llama", map[string]uint32{"block_count": 1, "expert_count": 3})
	short := matrixOf(t, map[string][]float32{"blk.0.attn_v.weight": {1, 2}}, map[string][]float32{"blk.0.attn_v.weight": {1}})
	partly := matrixOf(t, map[string][]float32{"blk.0.attn_v.weight": make([]float32, 256)}, map[string][]float32{"blk.0.attn_v.weight": {1}})
	for _, c := range []struct {
		name   string
		src    gguf.Source
		scheme string
		o      Options
		want   string
	}{
		{"quantized already", quantized, "Q4_K_M", Options{}, `tensor "token_embd.weight": requantizing from type q8_0 is disabled`},
		{"integers", integer, "Q4_K_M", Options{}, `tensor "token_embd.weight": I32 to Q6_K: no codec for I32`},
		{"no block_count", noBlocks, "Q4_K_M", Options{}, "llama.block_count is missing"},
		{"a block too many", beyond, "Q4_K_M", Options{}, `tensor "blk.1.ffn_down_exps.weight": block 1 of 1`},
		{"no matrix", small(nil), "Q2_K_S", Options{}, `requires an importance matrix: 4 tensors, the first is "blk.0.attn_v.weight" (Q2_K)`},
		{"holes", small(nil), "Q2_K_S", Options{Imatrix: partly}, "tensor \"blk.1.attn_v.weight\": Q2_K cannot be encoded without an entry in the importance matrix\ntensor \"blk.1.ffn_down_exps.weight\": Q2_K cannot be encoded without an entry in the importance matrix (3 tensors in all)"},
		{"entry too short", small(nil), "Q4_K_M", Options{Imatrix: short}, `tensor "blk.0.attn_v.weight": its entry in the importance matrix has 2 values, want 256`},
		{"another model's matrix", small(nil), "Q4_K_M", Options{Imatrix: someMatrix(t)}, "none of its 1 entries names a tensor"},
		{"rule without tensor", small(nil), "Q4_K_M", Options{TensorTypes: []Override{{Pattern: "attn_k", Type: gguf.Q8_0}}}, "attn_k=Q8_0 matches no tensor that Q4_K_M may quantize"},
		{"rule for a kept tensor", small(nil), "Q4_K_M", Options{TensorTypes: []Override{{Pattern: "attn_norm", Type: gguf.Q8_0}}}, "matches no tensor"},
		{"rule that is no expression", small(nil), "Q4_K_M", Options{TensorTypes: []Override{{Pattern: "(", Type: gguf.Q8_0}}}, "missing closing )"},
		{"rule of a retired type", small(nil), "Q4_K_M", Options{TensorTypes: []Override{{Pattern: "attn_v", Type: 4}}}, "no such type"},
		{"output of no type", small(nil), "Q4_K_M", Options{OutputTensorType: new(gguf.Type(99))}, "is no type"},
		{"type that does not fit", small(nil), "Q4_K_M", Options{TokenEmbeddingType: new(gguf.NVFP4), TensorTypes: []Override{{Pattern: "odd", Type: gguf.Q1_0}}}, `tensor "blk.1.odd.weight": rows of 33 do not divide into Q1_0's blocks of 128`},
	} {
		_, err := New(c.src, mustScheme(t, c.scheme), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestUnsupportedIsTyped(t *testing.T) {
	src := small(nil)
	src.ts[0].Type = gguf.I32
	_, err := New(src, mustScheme(t, "Q8_0"), Options{})
	if u := (*gguf.UnsupportedError)(nil); !errors.As(err, &u) {
		t.Errorf("%v (%T), want *gguf.UnsupportedError", err, err)
	}
}

func TestMetadata(t *testing.T) {
	src := small(nil)
	long := strings.Repeat("x", 200)
	name := "blk.0.attn_v.weight"
	m := matrixOf(t, map[string][]float32{name: make([]float32, 256)}, map[string][]float32{name: {1}})
	j, err := New(src, mustScheme(t, "Q5_K"), Options{Imatrix: m, ImatrixName: long})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for k, v := range j.Metadata().All() {
		if !strings.HasPrefix(k, "llama.") {
			got = append(got, fmt.Sprintf("%s=%v (%T)", k, v, v))
		}
	}
	want := []string{"general.architecture=llama (string)", "general.quantization_version=2 (uint32)", "general.file_type=17 (uint32)",
		"quantize.imatrix.file=" + long[:127] + " (string)", "quantize.imatrix.dataset=some text (string)",
		"quantize.imatrix.entries_count=1 (uint32)", "quantize.imatrix.chunks_count=3 (uint32)"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("metadata %q, want %q", got, want)
	}
}

func TestCopyFileType(t *testing.T) {
	src := small(nil)
	for _, c := range []struct {
		drop bool
		want uint32
	}{{false, 32}, {true, 32 | guessed}} {
		if c.drop {
			src.md.Delete("general.file_type")
		}
		j, err := New(src, mustScheme(t, "copy"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := j.Metadata().Get("general.file_type"); v != c.want {
			t.Errorf("file type %v, want %v", v, c.want)
		}
	}
}

func TestSummary(t *testing.T) {
	j, err := New(small(nil), mustScheme(t, "Q4_K_M"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := j.Summary()
	if err != nil {
		t.Fatal(err)
	}
	if s.Warning() != "1 of 8 tensors required fallback quantization" || s.Fallbacks[0].String() != "blk.1.odd.weight: rows of 33 do not divide into Q4_K's blocks of 256: F16" {
		t.Errorf("%q, %v", s.Warning(), s.Fallbacks)
	}
	var bytes, elements int64
	for _, c := range s.Classes {
		bytes, elements = bytes+c.Bytes, elements+c.Elements
		if c.Class == names.RoutedExpert && (c.Tensors != 2 || c.Elements != 2*256*15 || c.Bytes != 15*144+15*210) {
			t.Errorf("routed experts %+v", c) // block 0 of 2 Q4_K, block 1 Q6_K: the last eighth begins at 1
		}
	}
	if bytes != s.Bytes || elements != s.Elements || s.BitsPerWeight != float64(bytes)*8/float64(elements) {
		t.Errorf("classes sum to %d bytes of %d elements, want %d of %d", bytes, elements, s.Bytes, s.Elements)
	}
	var n countingWriter
	if err := gguf.Write(context.Background(), &n, j, gguf.WriteOptions{}); err != nil || int64(n) != s.FileBytes {
		t.Errorf("wrote %d bytes (%v), predicted %d", n, err, s.FileBytes)
	}
}

type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}
