package gguf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// Descriptions equal what gguf-py reads, hashed by Python's json: the form of the goldens.
func TestDescribe(t *testing.T) {
	f := open(t, "testdata/long.gguf")
	b, err := json.Marshal(gguf.Describe(f.Metadata()))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(readFile(t, "testdata/describe.json"), &want); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("got  %v\nwant %v", got[i], want[i])
		}
	}
}

// What JSON cannot hold is described in words, bytes are numbers.
func TestDescribeOdd(t *testing.T) {
	md := &gguf.Metadata{}
	md.Set("nan", float32(math.NaN()))
	md.Set("inf", []float64{math.Inf(1), math.Inf(-1), 0.5})
	md.Set("bytes", []uint8{1, 2})
	md.Set("nested", gguf.Array{[]string{"a"}, []string{}})
	md.Set("no", false)
	b, err := json.Marshal(gguf.Describe(md))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"key":"nan","type":"FLOAT32","value":"NaN","bits":2143289344},` +
		`{"key":"inf","type":"ARRAY","elem":"FLOAT64","value":["Infinity","-Infinity",0.5],"len":3},` +
		`{"key":"bytes","type":"ARRAY","elem":"UINT8","value":[1,2],"len":2},` +
		`{"key":"nested","type":"ARRAY","elem":"ARRAY","value":[["a"],[]],"len":2},` +
		`{"key":"no","type":"BOOL","value":false}]`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

// edited is a Source whose metadata and tensors can be changed.
type edited struct {
	gguf.Source
	md   *gguf.Metadata
	ts   []gguf.TensorInfo
	from []int       // tensor of Source that tensor i comes from
	flip map[int]int // byte of tensor i whose lowest bit is wrong
}

func edit0(src gguf.Source) *edited {
	e := &edited{Source: src, md: src.Metadata().Clone(), flip: map[int]int{}}
	e.ts = append(e.ts, src.Tensors()...)
	for i := range e.ts {
		e.from = append(e.from, i)
	}
	return e
}

func (e *edited) Metadata() *gguf.Metadata   { return e.md }
func (e *edited) Tensors() []gguf.TensorInfo { return e.ts }
func (e *edited) Units(int) int              { return 3 } // read in other pieces than the file

func (e *edited) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := e.Source.ReadRows(ctx, e.from[tensor], row, n, dst); err != nil {
		return err
	}
	if at, ok := e.flip[tensor]; ok {
		at -= row * int(e.ts[tensor].RowBytes())
		if at >= 0 && at < len(dst) {
			dst[at] ^= 1
		}
	}
	return nil
}

func TestDiff(t *testing.T) {
	whole := open(t, "testdata/whole.gguf")
	for _, c := range []struct {
		name   string
		change func(*edited)
		want   string
	}{
		{"nothing", func(*edited) {}, ""},
		{"value", func(e *edited) { e.md.Set("llama.block_count", uint32(3)) }, "key llama.block_count: different: 2, 3\n"},
		{"type of a value", func(e *edited) { e.md.Set("llama.block_count", uint64(2)) }, "key llama.block_count: different: type UINT32, UINT64\n"},
		{"element", func(e *edited) { e.md.Set("tokenizer.ggml.tokens", []string{"a", "B", "Ġc"}) }, "key tokenizer.ggml.tokens: different: element 1 of 3\n"},
		{"length", func(e *edited) { e.md.Set("tokenizer.ggml.tokens", []string{"a"}) }, "key tokenizer.ggml.tokens: different: 3 elements, 1 elements\n"},
		{"type of elements", func(e *edited) { e.md.Set("tokenizer.ggml.tokens", []uint32{1}) }, "key tokenizer.ggml.tokens: different: type ARRAY of STRING, ARRAY of UINT32\n"},
		{"long text", func(e *edited) { e.md.Set("general.name", strings.Repeat("x", 100)) }, "key general.name: different: \"split me\", \"" + strings.Repeat("x", 60) + "\"... (100 bytes)\n"},
		{"key gone", func(e *edited) { e.md.Delete("general.name") }, "key general.name: only in A\n"},
		{"key new", func(e *edited) { e.md.Set("new", true) }, "key new: only in B\n"},
		{"byte", func(e *edited) { e.flip[3] = 77 }, "tensor blk.0.ffn_down_exps.weight: different: data from byte 77 of 408\n"},
		{"last byte", func(e *edited) { e.flip[7] = 6 }, "tensor output.weight: different: data from byte 6 of 7\n"},
		{"shape", func(e *edited) { e.ts[0].Shape = gguf.Shape{20, 32} }, "tensor token_embd.weight: different: shape {32, 20}, {20, 32}\n"},
		{"type", func(e *edited) { e.ts[0].Type = gguf.I32 }, "tensor token_embd.weight: different: type F32, I32\n"},
		{"tensor gone", func(e *edited) { e.ts = e.ts[:7] }, "tensor output.weight: only in A\n"},
		{"tensor renamed", func(e *edited) { e.ts[7].Name = "x" }, "tensor output.weight: only in A\ntensor x: only in B\n"},
	} {
		e := edit0(whole)
		c.change(e)
		d, err := gguf.Diff(context.Background(), whole, e)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var out bytes.Buffer
		if err := d.Print(&out); err != nil {
			t.Fatal(err)
		}
		var lines string
		for line := range strings.Lines(out.String()) {
			if !strings.Contains(line, " same of ") {
				lines += line
			}
		}
		if lines != c.want {
			t.Errorf("%s:\ngot  %swant %s", c.name, lines, c.want)
		}
		if d.Same() != (c.want == "") || d.Reordered {
			t.Errorf("%s: same %v, reordered %v", c.name, d.Same(), d.Reordered)
		}
	}
}

// Another order of tensors is told, but is no difference.
func TestDiffOrder(t *testing.T) {
	whole := open(t, "testdata/whole.gguf")
	e := edit0(whole)
	e.ts[1], e.ts[2] = e.ts[2], e.ts[1]
	e.from[1], e.from[2] = 2, 1
	d, err := gguf.Diff(context.Background(), whole, e)
	if err != nil || !d.Same() || !d.Reordered {
		t.Errorf("%+v, %v", d, err)
	}
}

// A NaN equals itself and no other NaN; 0 and -0 differ, as their bytes do.
func TestDiffFloats(t *testing.T) {
	nan := math.Float32frombits(0x7fc00001)
	for _, c := range []struct {
		a, b any
		same bool
	}{
		{nan, nan, true},
		{nan, float32(math.NaN()), false},
		{[]float64{math.NaN(), 1}, []float64{math.NaN(), 1}, true},
		{float32(0), float32(math.Copysign(0, -1)), false},
		{gguf.Array{[]float32{nan}}, gguf.Array{[]float32{nan}}, true},
		{gguf.Array{[]float32{nan}}, gguf.Array{[]float64{1}}, false},
	} {
		a, b := edit0(open(t, "testdata/whole.gguf")), edit0(open(t, "testdata/whole.gguf"))
		a.md.Set("x", c.a)
		b.md.Set("x", c.b)
		d, err := gguf.Diff(context.Background(), a, b)
		if err != nil || d.Same() != c.same {
			t.Errorf("%v, %v: %+v, %v", c.a, c.b, d, err)
		}
	}
}

// Two real files of which one is damaged: an error, not a difference.
func TestDiffUnreadable(t *testing.T) {
	whole := open(t, "testdata/whole.gguf")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if d, err := gguf.Diff(ctx, whole, whole); err == nil {
		t.Errorf("%+v", d)
	}
}

func TestWithMetadata(t *testing.T) {
	whole := open(t, "testdata/whole.gguf")
	md := &gguf.Metadata{}
	md.Set("general.architecture", "other")
	src := gguf.WithMetadata(whole, md)
	if src.Metadata() != md || len(src.Tensors()) != 8 {
		t.Error("not the metadata and tensors that were given")
	}
	if rg, ok := src.(gguf.Ranger); !ok {
		t.Error("a file's ranges are lost")
	} else if _, off, n, ok := rg.Range(1); !ok || off != whole.DataOffset()+whole.Offset(1) || n != 132 {
		t.Errorf("range %d, %d, %v", off, n, ok)
	}
	plain := gguf.WithMetadata(edit0(whole), md)
	if _, ok := plain.(gguf.Ranger); ok {
		t.Error("ranges of a source that has none")
	}
	if got := gguf.Units(plain, 0); got != 3 {
		t.Errorf("units %d, want those of the source beneath", got)
	}
	// A relabelled source relabelled again keeps everything.
	if _, ok := gguf.WithMetadata(src, md).(gguf.Ranger); !ok {
		t.Error("ranges are lost the second time")
	}
}
