package block

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// The generators of testdata/gen/golden.py: integer hashes and correctly rounded float64 operations only, so that
// both languages make the same bits. float64() around products keeps them from being fused into additions.

func fnv64(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

func hashAt(key, i uint64) uint64 {
	z := key + (i+1)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func uniformOf(h uint64) float64 { return float64(h>>40)/8388608 - 1 }

// normalOf is nearly normal: the sum of four uniform 16-bit numbers.
func normalOf(h uint64) float64 {
	s := int64(h&0xffff) + int64(h>>16&0xffff) + int64(h>>32&0xffff) + int64(h>>48)
	return float64(s-131070) / 37837
}

// cell is what a generator may use for one element.
type cell struct {
	h, g, b, s uint64 // hashes of the element (two), of its 32 and of its 256
	n, n2, u   float64
	col, cols  int
}

func mod(h, m uint64) float64 { return float64(h % m) }

func pow2(e float64) float64 { return math.Ldexp(1, int(e)) }

func square01(u float64) float64 { return ((u + 1) * 0.5) * ((u + 1) * 0.5) }

func pick(c bool, a, b float64) float64 {
	if c {
		return a
	}
	return b
}

var rowGenerators = map[string]func(v *cell) float64{
	"normal":   func(v *cell) float64 { return v.n },
	"small":    func(v *cell) float64 { return v.n * 0.02 },
	"uniform":  func(v *cell) float64 { return v.u },
	"heavy":    func(v *cell) float64 { return v.n * v.n2 * v.n2 },
	"positive": func(v *cell) float64 { return math.Abs(v.n) },
	"negative": func(v *cell) float64 { return -math.Abs(v.n) },
	"offset":   func(v *cell) float64 { return 3 + float64(v.n*0.1) },
	"zero":     func(v *cell) float64 { return v.n * 0 },
	"constant": func(v *cell) float64 { return 0.25 },
	"minus":    func(v *cell) float64 { return -3 },
	"signs":    func(v *cell) float64 { return mod(v.h, 2)*2 - 1 },
	"ternary":  func(v *cell) float64 { return (mod(v.h, 3) - 1) * 0.7 },
	"ints":     func(v *cell) float64 { return mod(v.h, 16) - 8 },
	"levels":   func(v *cell) float64 { return mod(v.h, 5) * 0.1 },
	"outlier":  func(v *cell) float64 { return pick(v.col%37 == 0, v.n*40, v.n) },
	"spike":    func(v *cell) float64 { return pick(v.col%300 == 100, v.n*0+1, v.n*0) },
	"sparse":   func(v *cell) float64 { return pick(v.g%10 == 0, v.n, v.n*0) },
	"sorted":   func(v *cell) float64 { return float64(v.col)*2/float64(v.cols-1) - 1 },
	"saw":      func(v *cell) float64 { return (15.5 - float64(v.col%32)) / 16 },
	"blocks":   func(v *cell) float64 { return v.n * pow2(-mod(v.b, 24)) },
	"supers":   func(v *cell) float64 { return v.n * pow2(-mod(v.s, 40)) },
	"jitter":   func(v *cell) float64 { return 1 + float64(v.n*1e-6) },
	"tiny15":   func(v *cell) float64 { return v.n * 1e-15 },
	"tiny20":   func(v *cell) float64 { return v.n * 1e-20 },
	"tiny30":   func(v *cell) float64 { return v.n * 1e-30 },
	"tiny36":   func(v *cell) float64 { return v.n * 1e-36 },
	"tiny38":   func(v *cell) float64 { return v.n * 1e-38 },

	"subnormal": func(v *cell) float64 { return v.n * 1e-41 },
	"least":     func(v *cell) float64 { return (mod(v.h, 5) - 2) * 0x1p-149 },
	"mixtiny":   func(v *cell) float64 { return pick(v.g%2 == 0, v.n, v.n*1e-36) },
	"negzero":   func(v *cell) float64 { return pick(v.h%2 == 0, v.n*0-0, 0) },
	"zeros":     func(v *cell) float64 { return pick(v.h%3 == 0, -(v.u*0 + 0), pick(v.h%3 == 1, v.n, 0)) },
	"ties":      func(v *cell) float64 { return mod(v.h, 31) - 14.5 },
	"eighths":   func(v *cell) float64 { return (mod(v.h, 257) - 128) / 8 },
	"wide":      func(v *cell) float64 { return (mod(v.h, 2)*2 - 1) * pow2(mod(v.g, 60)-45) },
	"big":       func(v *cell) float64 { return v.n * 15000 },
	"huge":      func(v *cell) float64 { return v.n * 1e6 },
	"vast":      func(v *cell) float64 { return v.n * 1e30 },
	"f16edge":   func(v *cell) float64 { return v.n * 6e-5 },
	"f16least":  func(v *cell) float64 { return v.n * 1e-6 },
	"bf16": func(v *cell) float64 {
		return float64(math.Float32frombits(math.Float32bits(float32(v.n*0.02)) & 0xffff0000))
	},
}

var importanceGenerators = map[string]func(v *cell) float64{
	"random":    func(v *cell) float64 { return float64(square01(v.u)) + 1e-3 },
	"one":       func(v *cell) float64 { return 1 },
	"constant":  func(v *cell) float64 { return 0.37 },
	"zero":      func(v *cell) float64 { return v.n * 0 },
	"half":      func(v *cell) float64 { return pick(v.h%2 == 0, square01(v.u), v.n*0) },
	"gaps":      func(v *cell) float64 { return pick(v.col/32%3 == 1, v.n*0, square01(v.u)) },
	"gaps16":    func(v *cell) float64 { return pick(v.col/16%2 == 1, v.n*0, square01(v.u)) },
	"tiny":      func(v *cell) float64 { return square01(v.u) * 1e-30 },
	"subnormal": func(v *cell) float64 { return square01(v.u) * 1e-42 },
	"huge":      func(v *cell) float64 { return square01(v.u) * 1e30 },
	"spread":    func(v *cell) float64 { return pow2(mod(v.h, 40) - 20) },
	"real":      func(v *cell) float64 { return square01(v.n2 * v.n2 * v.n2) },
}

func generate(key string, n, cols int, f func(v *cell) float64) []float32 {
	out := make([]float32, n)
	k, k2, kb, ks := fnv64(key), fnv64(key+"/2"), fnv64(key+"/b"), fnv64(key+"/s")
	for i := range out {
		u := uint64(i)
		v := cell{h: hashAt(k, u), g: hashAt(k2, u), b: hashAt(kb, u/32), s: hashAt(ks, u/256), col: i % cols, cols: cols}
		v.n, v.n2, v.u = normalOf(v.h), normalOf(v.g), uniformOf(v.h)
		out[i] = float32(f(&v))
	}
	return out
}

// sources are the goldens' rows by key: every type encodes the same.
var sources sync.Map

// source makes the golden's rows of a distribution; "real" ones are weights of the trained model.
func (g golden) source(t *testing.T, name string) []float32 {
	t.Helper()
	n, key := g.rows*g.cols, fmt.Sprintf("%d/%s", g.seed, name)
	shape := fmt.Sprint(key, n, g.cols)
	if made, ok := sources.Load(shape); ok {
		return made.([]float32)
	}
	var out []float32
	if name == "real" {
		out = realWeights(t, n, fnv64(key))
	} else if f, ok := rowGenerators[name]; ok {
		out = generate(key, n, g.cols, f)
	} else {
		t.Fatalf("no generator of rows %q", name)
	}
	sources.Store(shape, out)
	return out
}

func (g golden) importance(name string) []float32 {
	return generate(fmt.Sprintf("%d/importance/%s", g.seed, name), g.cols, g.cols, importanceGenerators[name])
}

// realWeights takes n bf16 weights of the trained model's file at a place that key decides.
func realWeights(t *testing.T, n int, key uint64) []float32 {
	t.Helper()
	data, err := fs.ReadFile(testdata.Tiny(), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	data = data[8+binary.LittleEndian.Uint64(data):]
	at := key % uint64(len(data)/2-n)
	out := make([]float32, n)
	for i := range out {
		out[i] = BF16ToF32(binary.LittleEndian.Uint16(data[2*(at+uint64(i)):]))
	}
	return out
}
