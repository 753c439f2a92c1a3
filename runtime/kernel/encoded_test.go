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
				g, at := &w[i/cols*groupsOf(cols)+i%cols/groupLen], i%cols%groupLen
				q := int(g.quants[at%16/4][at/16][at%4]) - 128
				got := g.scales[at/16]*float32(q) - g.mins[at/16]
				if size := math.Abs(float64(g.scales[at/16]))*128 + math.Abs(float64(g.mins[at/16])); !(math.Abs(float64(got-want[i])) <= 2e-7*size) {
					t.Fatalf("cols %d: element %d is %v, want %v", cols, i, got, want[i])
				}
			}
		}
	})
}

// checkUnpack holds the form in use against the specification, bit for bit, with guards behind the groups.
func checkUnpack(t *testing.T, typ gguf.Type, l *layout, src []byte, rows, cols int) {
	t.Helper()
	n := rows * groupsOf(cols)
	want, got := make([]weights, n), make([]weights, n+1)
	for _, w := range [][]weights{want, got} {
		for i := range w {
			for l := range w[i].mins {
				w[i].mins[l], w[i].scales[l] = guard, guard
			}
		}
	}
	l.unpackGeneric(typ, want, src, cols)
	l.unpack(typ, got[:n:n], src, cols)
	for i, w := range append(want, got[n]) {
		if g := got[i]; g.quants != w.quants || bits(&g.scales) != bits(&w.scales) || bits(&g.mins) != bits(&w.mins) {
			t.Fatalf("%d rows of %d: group %d of %d is\n%v\nwant\n%v", rows, cols, i, n, g, w)
		}
	}
}

// bits are compared instead of values: NaNs are equal then.
func bits(f *[16]float32) (b [16]uint32) {
	for i, v := range f {
		b[i] = math.Float32bits(v)
		if v != v {
			b[i] = math.Float32bits(float32(math.NaN()))
		}
	}
	return b
}

func TestUnpackForms(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		eachLayout(t, func(t *testing.T, typ gguf.Type, l *layout) {
			if !Integer(typ) {
				return
			}
			for _, cols := range colsFor(typ) {
				r := rand.New(rand.NewPCG(1, uint64(cols)))
				src := encodedRows(t, r, typ, 3, cols)
				checkUnpack(t, typ, l, src, 3, cols)
				for i := range src {
					src[i] = byte(r.Uint32())
				}
				checkUnpack(t, typ, l, src, 3, cols)
			}
		})
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("seed"), uint32(gguf.Q4_K))
	f.Fuzz(func(t *testing.T, data []byte, kind uint32) {
		typ := gguf.Type(kind)
		l := layouts[typ]
		if l == nil || !Integer(typ) || len(data) > 1<<14 {
			return
		}
		blocks := len(data) / typ.BlockSize()
		if blocks > 0 {
			checkUnpack(t, typ, l, data[:blocks*typ.BlockSize()], 1, blocks*typ.BlockLen())
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
				for _, size := range [][2]int{{1, 1}, {4, 4}, {9, 7}, {60, 6}, {4, 1}, {3, 5}} {
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
			if want := productGeneric(w[i*in.groups:][:in.groups], in.data[tk*in.groups:][:in.groups], l.mins); got != want {
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
	if w, x := unsafe.Sizeof(weights{}), unsafe.Sizeof(inputs{}); w != 384 || x != 448 {
		t.Errorf("groups of %d and %d bytes; the kernels' are 384 and 448", w, x)
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
