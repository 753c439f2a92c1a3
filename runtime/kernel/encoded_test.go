package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// encodedRows is rows of cols random elements in type t. Bytes are random too where raw: any bytes are weights.
func encodedRows(t testing.TB, r *rand.Rand, typ gguf.Type, rows, cols int) []byte {
	t.Helper()
	n, err := typ.RowBytes(int64(cols))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := block.For(typ)
	out := make([]byte, rows*int(n))
	if err := c.Encode(out, normal(r, rows*cols), nil); err != nil {
		t.Fatal(err)
	}
	return out
}

func eachLayout(t *testing.T, f func(t *testing.T, typ gguf.Type, l *layout)) {
	for typ, l := range layouts {
		t.Run(typ.String(), func(t *testing.T) { f(t, typ, l) })
	}
}

// colsFor is lengths of whole blocks, with and without a last group that is not full.
func colsFor(typ gguf.Type) []int {
	if typ.BlockLen() == groupLen {
		return []int{256, 512, 1280}
	}
	return []int{32, 96, 256, 288, 1024, 1120}
}

// TestUnpack: what is taken apart stands for the codec's values, to a rounding or two.
func TestUnpack(t *testing.T) {
	eachLayout(t, func(t *testing.T, typ gguf.Type, l *layout) {
		c, _ := block.For(typ)
		for _, cols := range colsFor(typ) {
			const rows = 3
			src := encodedRows(t, rand.New(rand.NewPCG(1, 1)), typ, rows, cols)
			want, w := make([]float32, rows*cols), make([]weights, rows*groupsOf(cols))
			c.Decode(want, src)
			l.unpackGeneric(typ, w, src, cols)
			for i := range want {
				at := i % cols % groupLen
				scale, least := l.scaleOf(&w[i/cols*groupsOf(cols)+i%cols/groupLen], at)
				got := scale*float64(int(w[i/cols*groupsOf(cols)+i%cols/groupLen].quants[at])-128) - least
				if size := math.Abs(scale)*128 + math.Abs(least); !(math.Abs(got-float64(want[i])) <= 2e-7*size) {
					t.Fatalf("cols %d: element %d is %v, want %v", cols, i, got, want[i])
				}
			}
		}
	})
}

// scaleOf is the scale and the minimum of an element.
func (l *layout) scaleOf(w *weights, at int) (scale, least float64) {
	f := func(bits uint32) float64 { return float64(math.Float32frombits(bits)) }
	if !l.super {
		return f(w.scales[at/32]), f(w.mins[at/32])
	}
	return f(w.super[0]) * float64(int32(w.scales[at/16])), f(w.super[1]) * float64(int32(w.mins[at/16]))
}

// checkUnpack holds the form in use against the specification, bit for bit, with guards behind the groups.
func checkUnpack(t *testing.T, typ gguf.Type, l *layout, src []byte, cols int) {
	t.Helper()
	n := cols / groupLen
	want, got := make([]weights, n), make([]weights, n+1)
	got[n].mins[3] = 77
	l.unpackGeneric(typ, want, src, cols)
	unpack(l, typ, got[:n], src)
	for i, w := range append(want, weights{mins: [16]uint32{3: 77}}) {
		g := got[i]
		if !l.mins && i < n {
			g.mins, g.super[1] = w.mins, w.super[1]
		}
		if g.quants != w.quants || bits(&g.scales) != bits(&w.scales) || bits(&g.super) != bits(&w.super) || bits(&g.mins) != bits(&w.mins) {
			t.Fatalf("row of %d: group %d of %d is\n%v\nwant\n%v", cols, i, n, g, w)
		}
	}
}

// bits makes NaNs equal.
func bits(f *[16]uint32) (b [16]uint32) {
	for i, v := range f {
		b[i] = v
		if v&0x7f800000 == 0x7f800000 && v&0x7fffff != 0 {
			b[i] = 0x7fc00000
		}
	}
	return b
}

func TestUnpackForms(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		eachLayout(t, func(t *testing.T, typ gguf.Type, l *layout) {
			for _, cols := range []int{256, 512, 1280} {
				r := rand.New(rand.NewPCG(1, uint64(cols)))
				src := encodedRows(t, r, typ, 1, cols)
				checkUnpack(t, typ, l, src, cols)
				for i := range src {
					src[i] = byte(r.Uint32())
				}
				checkUnpack(t, typ, l, src, cols)
			}
		})
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("seed"), uint32(gguf.Q4_K))
	f.Fuzz(func(t *testing.T, data []byte, kind uint32) {
		typ := gguf.Type(kind)
		l := layouts[typ]
		if l == nil || len(data) > 1<<14 {
			return
		}
		size := groupLen / typ.BlockLen() * typ.BlockSize()
		if n := len(data) / size; n > 0 {
			checkUnpack(t, typ, l, data[:n*size], n*groupLen)
		}
	})
}

// inputsOf is tokens rows of cols elements, rounded for products with type typ.
func inputsOf(t testing.TB, r *rand.Rand, typ gguf.Type, tokens, cols int) (x []float32, in Inputs) {
	t.Helper()
	x = normal(r, tokens*cols)
	in.Reset(DotType(typ), tokens, cols)
	for i := range tokens {
		if err := in.Put(i, x[i*cols:][:cols]); err != nil {
			t.Fatal(err)
		}
	}
	return x, in
}

// TestMatMulEncoded: in whatever tile, an element has the bits of the specification, and it is MatMul's of decoded rows
// and rounded inputs to 1e-6*k of the products' magnitudes.
func TestMatMulEncoded(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		eachLayout(t, func(t *testing.T, typ gguf.Type, l *layout) {
			if !Integer(typ) {
				return
			}
			r := rand.New(rand.NewPCG(1, 2))
			for _, cols := range colsFor(typ) {
				for _, size := range [][2]int{{1, 1}, {4, 4}, {9, 7}, {60, 6}, {4, 1}, {3, 5}, {16, 8}, {35, 13}} {
					checkEncoded(t, r, typ, l, size[0], size[1], cols)
				}
			}
		})
	})
}

func checkEncoded(t *testing.T, r *rand.Rand, typ gguf.Type, l *layout, rows, tokens, cols int) {
	t.Helper()
	src := encodedRows(t, r, typ, rows, cols)
	x, in := inputsOf(t, r, typ, tokens, cols)
	var s Scratch
	stride := rows + 2
	data, check := guarded(tokens*stride - 2)
	dst := Mat{data, stride}
	MatMulEncoded(dst, typ, src, in, rows, tokens, &s)
	check(t)
	w := make([]weights, rows*in.groups)
	l.unpackGeneric(typ, w, src, cols)
	c, _ := block.For(typ)
	decoded := make([]float32, rows*cols)
	c.Decode(decoded, src)
	var rounder Rounder
	for tk := range tokens {
		row := x[tk*cols:][:cols]
		if err := rounder.Round(DotType(typ), row, row); err != nil {
			t.Fatal(err)
		}
		if tk > 0 && (data[tk*stride-1] != guard || data[tk*stride-2] != guard) {
			t.Fatal("the gap between rows was overwritten")
		}
		for i := range rows {
			got := data[tk*stride+i]
			if want := l.productGeneric(w[i*in.groups:][:in.groups], in.data[tk*in.groups:][:in.groups]); got != want {
				t.Fatalf("%d rows, %d tokens, k %d: element %d,%d is %v, want %v", rows, tokens, cols, tk, i, got, want)
			}
			sum, size := 0.0, 0.0
			for k, v := range row {
				p := float64(v) * float64(decoded[i*cols+k])
				sum, size = sum+p, size+math.Abs(p)
			}
			if !(math.Abs(float64(got)-sum) <= 1e-6*float64(cols)*size) {
				t.Fatalf("%d rows, %d tokens, k %d: element %d,%d is %v, in float32 %v", rows, tokens, cols, tk, i, got, sum)
			}
		}
	}
}

func TestGroupSizes(t *testing.T) {
	if w, x := unsafe.Sizeof(weights{}), unsafe.Sizeof(inputs{}); w != weightsSize || x != inputsSize {
		t.Errorf("groups of %d and %d bytes; the kernels' are %d and %d", w, x, weightsSize, inputsSize)
	}
}

func BenchmarkMatMulEncoded(b *testing.B) {
	for typ := range layouts {
		if !Integer(typ) {
			continue
		}
		for _, tokens := range []int{1, 128} {
			b.Run(fmt.Sprintf("type=%v/tokens=%d", typ, tokens), func(b *testing.B) {
				const rows, cols = 256, 1024
				r := rand.New(rand.NewPCG(1, 1))
				src := encodedRows(b, r, typ, rows, cols)
				_, x := inputsOf(b, r, typ, tokens, cols)
				dst := make([]float32, rows*tokens)
				var s Scratch
				for b.Loop() {
					MatMulEncoded(Mat{dst, rows}, typ, src, x, rows, tokens, &s)
				}
				b.SetBytes(int64(len(src)))
				b.ReportMetric(2*rows*cols*float64(tokens)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
