package nn

import (
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// frequencies are how rotary embedding turns element pairs.
type frequencies struct {
	neox     bool
	step     float32   // from a pair's angle to the next one's
	divisors vector    // [pair] of angles; may be nil
	scale    []float32 // [pair] of angles
	factor   float32   // of what was turned
}

// newFrequencies are those of base, divided by divisors where there are some.
func newFrequencies(p Params, base float64, divisors vector) *frequencies {
	t := p.Rope
	f := &frequencies{neox: p.Graph.Rope == family.RopeNeox, divisors: divisors, scale: make([]float32, t.Dims/2), factor: float32(t.Factor)}
	f.step = float32(math.Pow(base, float64(-2/float32(t.Dims))))
	ramp := t.ramp(base, p.Original.YarnUnrounded)
	for i := range f.scale {
		stays := 0.0
		if t.Yarn {
			stays = ramp(i)
		}
		f.scale[i] = float32(t.Scale*(1-stays) + stays)
	}
	return f
}

// Rotations in the original context between which yarn goes from frequencies that stay to those that are scaled.
const betaFast, betaSlow = 32, 1

// ramp is yarn's share of each pair's frequency that stays (arXiv 2309.00071). The bounds are whole dimensions, as in
// ggml_rope_yarn_corr_dims, unless unrounded.
func (t Rope) ramp(base float64, unrounded bool) func(pair int) float64 {
	bound := func(rotations float64) float64 {
		return float64(t.Dims) * math.Log(float64(t.Original)/(rotations*2*math.Pi)) / (2 * math.Log(base))
	}
	low, high := bound(betaFast), bound(betaSlow)
	if !unrounded {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(0, low), min(float64(t.Dims-1), high)
	return func(pair int) float64 {
		return 1 - min(1, max(0, (float64(pair)-low)/max(0.001, high-low)))
	}
}

// The frequencies of a Decoder.
const (
	ropeFull = iota
	ropeWindowed
	ropeLong
)

// setFrequencies makes those of all kinds of blocks, once the divisors are read. Which divisors are taken depends on
// the context as in llama.cpp; in the published models it depends on the text.
func (d *Decoder) setFrequencies() {
	p, o := d.Params, d.Params.Original.RopeScale
	context := d.opts.Context
	if o[0] > 0 {
		context, p.Rope.Factor = 0, o[0]
	}
	d.freqs = append(d.freqs, newFrequencies(p, p.Rope.Base, d.w.divisors(p, context)), d.windowedFrequencies(p, d.w.divisors(p, context)))
	if o[1] > 0 {
		p.Rope.Factor = o[1]
		d.freqs = append(d.freqs, newFrequencies(p, p.Rope.Base, d.w.divisors(p, p.Rope.Original+1)))
	}
}

// windowedFrequencies are those of blocks with a window. Divisors are for all blocks, unless heads are of two sizes.
func (d *Decoder) windowedFrequencies(p Params, divisors vector) *frequencies {
	if p.Rope.DimsSWA != p.Rope.Dims {
		p.Rope.Dims, divisors = p.Rope.DimsSWA, nil
	}
	return newFrequencies(p, p.Rope.BaseSWA, divisors)
}

// rope is the rotations of a block's positions.
func (q *sequence) rope(l *layer) *ropeTable {
	switch {
	case l.windowed:
		return &q.ropes[ropeWindowed]
	case q.long:
		return &q.ropes[ropeLong]
	}
	return &q.ropes[ropeFull]
}

// extendRope makes the tables cover n more tokens.
func (q *sequence) extendRope(n int) {
	q.long = len(q.ropes) > ropeLong && q.n+n > q.d.Params.Rope.Original
	for i := range q.ropes {
		q.ropes[i].extend(q.n + n)
	}
}

// turn rotates rows lo to hi of x, each by its position in its text.
func (s *State) turn(l *layer, x kernel.Mat, heads, dim, offset, lo, hi int) {
	s.each(lo, hi, func(p *part, lo, hi int) { p.rope(l).turn(x, heads, dim, offset, p.position(0), lo, hi) })
}

// ropeTable holds the rotations of positions 0 to n-1. Angles are float32, each made from the one before, as in
// ggml_rope_cache_init: at late positions the rounding of that is no longer small.
type ropeTable struct {
	*frequencies
	n        int
	cos, sin []float32 // [position][pair]
}

// extend makes the table cover n positions.
func (t *ropeTable) extend(n int) {
	for ; t.n < n; t.n++ {
		next := float32(t.n)
		for i, scale := range t.scale {
			angle := next
			if t.divisors != nil {
				angle /= t.divisors[i]
			}
			sin, cos := math.Sincos(float64(angle * scale))
			t.cos = append(t.cos, float32(cos)*t.factor)
			t.sin = append(t.sin, float32(sin)*t.factor)
			next *= t.step
		}
	}
}

// turn rotates rows lo to hi of x in place; row 0 stands at position pos. Of each of a row's heads of dim elements
// it turns the first ones from offset on.
func (t *ropeTable) turn(x kernel.Mat, heads, dim, offset, pos, lo, hi int) {
	pairs := len(t.scale)
	step, next := 2, 1 // from pair to pair, and to a pair's second element
	if t.neox {
		step, next = 1, pairs
	}
	for r := lo; r < hi; r++ {
		cos := t.cos[(pos+r)*pairs:][:pairs]
		sin := t.sin[(pos+r)*pairs:][:pairs]
		for h := range heads {
			head := x.Row(r, heads*dim)[h*dim+offset:][:2*pairs]
			for i := range pairs {
				a, b := head[i*step], head[i*step+next]
				head[i*step] = float32(a*cos[i]) - float32(b*sin[i])
				head[i*step+next] = float32(a*sin[i]) + float32(b*cos[i])
			}
		}
	}
}
