package gguf_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// The table of types equals gguf-py's.
func TestTypes(t *testing.T) {
	var want []struct {
		Name   string
		Number uint32
		Block  int
		Bytes  int
	}
	if err := json.Unmarshal(readFile(t, "testdata/types.json"), &want); err != nil {
		t.Fatal(err)
	}
	if got := len(gguf.AllTypes()); got != len(want) {
		t.Errorf("%d types, want %d", got, len(want))
	}
	for _, w := range want {
		typ := gguf.Type(w.Number)
		if !typ.Known() || typ.Removed() || typ.String() != w.Name || typ.BlockLen() != w.Block || typ.BlockSize() != w.Bytes {
			t.Errorf("%d: %v, block %d, %d bytes; want %+v", w.Number, typ, typ.BlockLen(), typ.BlockSize(), w)
		}
		if p, err := gguf.ParseType(strings.ToLower(w.Name)); err != nil || p != typ {
			t.Errorf("ParseType(%q) = %v, %v", w.Name, p, err)
		}
		if typ.Quantized() != (w.Block > 1) || typ.BitsPerWeight() != float64(8*w.Bytes)/float64(w.Block) {
			t.Errorf("%v: quantized %v, %v bits", typ, typ.Quantized(), typ.BitsPerWeight())
		}
		if n, err := typ.RowBytes(int64(3 * w.Block)); err != nil || n != int64(3*w.Bytes) {
			t.Errorf("%v: row of three blocks: %d, %v", typ, n, err)
		}
		if _, err := typ.RowBytes(int64(w.Block) + 1); (err == nil) != (w.Block == 1) {
			t.Errorf("%v: row of a block and a bit: %v", typ, err)
		}
	}
	for _, n := range []uint32{4, 5, 31, 32, 33, 36, 37, 38} {
		if typ := gguf.Type(n); typ.Known() || !typ.Removed() || typ.BlockLen() != 0 {
			t.Errorf("%d (%v) is not removed", n, typ)
		}
	}
	for _, n := range []uint32{43, 250, math.MaxUint32} {
		if typ := gguf.Type(n); typ.Known() || typ.Removed() || typ.BlockSize() != 0 || typ.BitsPerWeight() != 0 {
			t.Errorf("%d (%v) is known", n, typ)
		}
	}
	if _, err := gguf.ParseType("Q4_2"); err == nil {
		t.Error("ParseType knows a retired type")
	}
}

// The spellings of ggml's log lines (ggml.c's type_name).
func TestGGMLName(t *testing.T) {
	for typ, want := range map[gguf.Type]string{gguf.F32: "f32", gguf.BF16: "bf16", gguf.Q4_K: "q4_K", gguf.Q8_0: "q8_0", gguf.IQ2_XXS: "iq2_xxs", gguf.TQ1_0: "tq1_0", gguf.MXFP4: "mxfp4"} {
		if got := typ.GGMLName(); got != want {
			t.Errorf("%v: %s, want %s", typ, got, want)
		}
	}
}

func TestShape(t *testing.T) {
	s := gguf.Shape{4096, 6400, 16}
	if s.NE(0) != 4096 || s.NE(2) != 16 || s.NE(3) != 1 || s.Rows() != 6400*16 || s.Elements() != 4096*6400*16 || s.String() != "{4096, 6400, 16}" {
		t.Errorf("%v", s)
	}
	if (gguf.Shape{}).Rows() != 1 || (gguf.Shape{}).Elements() != 1 {
		t.Error("a scalar is one row of one element")
	}
	if !s.Equal(gguf.Shape{4096, 6400, 16, 1}) || s.Equal(gguf.Shape{4096, 6400}) {
		t.Error("Equal")
	}
	for _, bad := range []gguf.Shape{{1, 1, 1, 1, 1}, {0}, {3, -1}, {1 << 62, 2}, {1 << 32, 1 << 31}} {
		if bad.Check() == nil {
			t.Errorf("%v passes", bad)
		}
	}
	if err := (gguf.Shape{1 << 31, 1 << 31}).Check(); err != nil {
		t.Error(err)
	}
	c := s.Clone()
	c[0] = 1
	if s[0] != 4096 {
		t.Error("Clone shares")
	}
}

func TestMetadata(t *testing.T) {
	var md gguf.Metadata
	md.Set("general.architecture", "deepseek")
	md.Set("b", uint32(1))
	md.Set("c", int64(-5))
	md.Set("b", uint32(2)) // in place
	c := md.Clone()
	c.Delete("general.architecture")
	c.Delete("not there")
	c.Set("general.architecture", "x") // at the end now
	var keys []string
	for k := range c.All() {
		keys = append(keys, k)
	}
	if !reflect.DeepEqual(keys, []string{"b", "c", "general.architecture"}) || c.Len() != 3 {
		t.Errorf("%v", keys)
	}
	if arch, err := md.Architecture(); err != nil || arch != "deepseek" || md.ArchKey("block_count") != "deepseek.block_count" {
		t.Errorf("%q, %v: the clone is not a copy", arch, err)
	}
	for range md.All() {
		break
	}
	if n, err := md.Int("c"); err != nil || n != -5 {
		t.Errorf("%d, %v", n, err)
	}
	md.Set("huge", uint64(1<<63))
	var key *gguf.KeyError
	if _, err := md.Int("huge"); !errors.As(err, &key) || key.Want != "an integer" {
		t.Errorf("%v", err)
	}
	if _, err := md.Int("general.architecture"); err == nil || err.Error() != "key general.architecture is string, want an integer" {
		t.Errorf("%v", err)
	}
	if _, err := gguf.Value[uint32](&md, "none"); err == nil || err.Error() != "key none is missing" {
		t.Errorf("%v", err)
	}
	if _, err := gguf.Value[uint32](&md, "c"); err == nil || err.Error() != "key c is int64, want uint32" {
		t.Errorf("%v", err)
	}
	for _, v := range []any{uint8(1), int8(1), uint16(1), int16(1), uint32(1), int32(1), uint64(1), int64(1)} {
		md.Set("n", v)
		if n, err := md.Int("n"); err != nil || n != 1 {
			t.Errorf("%T: %d, %v", v, n, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an int has no type in GGUF")
		}
	}()
	md.Set("n", 1)
}

// What cannot stand in a file is refused by name before a byte is written.
func TestLayoutRefuses(t *testing.T) {
	ok := gguf.TensorInfo{Name: "t", Type: gguf.F32, Shape: gguf.Shape{4}}
	for _, c := range []struct {
		md   map[string]any
		ts   []gguf.TensorInfo
		want string
	}{
		{nil, []gguf.TensorInfo{ok, ok}, `duplicate tensor name "t"`},
		{nil, []gguf.TensorInfo{{"", gguf.F32, gguf.Shape{4}}}, "a tensor has no name"},
		{nil, []gguf.TensorInfo{{strings.Repeat("x", 64), gguf.F32, gguf.Shape{4}}}, "longer than 63 bytes"},
		{nil, []gguf.TensorInfo{{"t", gguf.Type(4), gguf.Shape{4}}}, `tensor "t": gguf: type Q4_2 has no size`},
		{nil, []gguf.TensorInfo{{"t", gguf.Q4_K, gguf.Shape{128}}}, `tensor "t": gguf: row of 128 elements`},
		{nil, []gguf.TensorInfo{{"t", gguf.F32, gguf.Shape{0}}}, `tensor "t": dimension 0 is 0`},
		{nil, []gguf.TensorInfo{{"t", gguf.F32, gguf.Shape{1 << 60}}, {"u", gguf.F32, gguf.Shape{1 << 60}}}, `tensor "u": size of the file overflows`},
		{map[string]any{"": true}, nil, "a metadata key is empty"},
		{map[string]any{"general.alignment": uint32(12)}, nil, "general.alignment 12 is not a power of two"},
		{map[string]any{"general.alignment": "32"}, nil, "general.alignment is string"},
		{map[string]any{"a": gguf.Array{"text"}}, nil, `key "a": element 0 of an array of arrays is a string`},
		{map[string]any{"a": gguf.Array{[]int{1}}}, nil, `key "a": element 0 of an array of arrays is a []int`},
	} {
		var md gguf.Metadata
		for k, v := range c.md {
			md.Set(k, v)
		}
		if _, err := gguf.Layout(&md, c.ts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	deep := gguf.Array{[]uint8{1}}
	for range 9 {
		deep = gguf.Array{deep}
	}
	var md gguf.Metadata
	md.Set("deep", deep)
	if _, err := gguf.Layout(&md, nil); err == nil || !strings.Contains(err.Error(), "nested more than 8 deep") {
		t.Errorf("%v", err)
	}
}
