package nn

import (
	"math"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// Delta is the sizes of gated delta nets. Heads 0: there are none.
type Delta struct {
	KeyHeads, Heads int // each key serves several value heads
	Dim             int // of a head
	Conv            int // positions that the convolution in front sees
}

// deltaNet is the weights of a gated delta net.
type deltaNet struct {
	in, gate    *matrix // queries, keys and values; gates of the result
	both        *matrix // betas and alphas by key head, or
	beta, alpha *matrix
	conv        vector // [channel][position]
	bias, decay vector // [head]
	norm        vector // [dim]
	out         *matrix
}

// gatedDeltaNet is linear attention with a state of one matrix a head (arXiv 2412.06464). Each position lets the state
// decay, and corrects what it says for its key towards its value: S = exp(g)*S + beta*(v - exp(g)*S*k)*k'. The result,
// S*q/sqrt(dim), is normalised and gated, and is in s.tmp.
func (s *State) gatedDeltaNet(il int, l *layer, in *input) error {
	d, w, n := s.d.Params.Delta, l.delta, in.n
	keys, values := d.KeyHeads*d.Dim, d.Heads*d.Dim
	mixed, gates, rates := mat(&s.wide, n, 2*keys+values), mat(&s.gate, n, values), mat(&s.rates, n, 2*d.Heads)
	b := batch{s: s}
	b.add(w.in, in, mixed)
	b.add(w.gate, in, gates)
	if w.both != nil {
		b.add(w.both, in, rates)
	} else {
		b.add(w.beta, in, rates)
		b.add(w.alpha, in, kernel.Mat{Data: rates.Data[d.Heads:], Stride: rates.Stride})
	}
	if err := b.run(); err != nil {
		return err
	}
	x := s.convolve(il, mixed, w.conv, n, mixed.Stride, d.Conv)
	s.d.workers.rows(n, 8*x.Stride, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			row := x.Row(t, x.Stride)
			for i, v := range row {
				row[i] = v * sigmoid(v)
			}
			for h := range 2 * d.KeyHeads {
				unit(row[h*d.Dim:][:d.Dim], s.d.Params.Epsilon)
			}
		}
	})
	out := mat(&s.attn, n, values)
	s.reserveNets(il, d.Heads*d.Dim*d.Dim)
	s.d.workers.run(d.Heads, func(_, h int) {
		key := h * d.KeyHeads / d.Heads
		if s.d.Params.Graph.TiledHeads {
			key = h % d.KeyHeads
		}
		s.eachRecurrent(il, n, func(net []float32, t int) {
			beta, decay := w.rates(d, rates.Row(t, rates.Stride), h)
			row := x.Row(t, x.Stride)
			dst := out.Row(t, values)[h*d.Dim:][:d.Dim]
			step(dst, net[h*d.Dim*d.Dim:][:d.Dim*d.Dim], row[key*d.Dim:][:d.Dim], row[keys+key*d.Dim:][:d.Dim], row[2*keys+h*d.Dim:][:d.Dim], beta, decay)
			rmsNorm(dst, dst, w.norm, s.d.Params.Epsilon)
			for i, g := range gates.Row(t, values)[h*d.Dim:][:d.Dim] {
				dst[i] *= g * sigmoid(g)
			}
		})
	})
	b.add(w.out, s.heads.set(out, n, values), mat(&s.tmp, n, s.d.Params.Embedding))
	return b.run()
}

// rates are beta and exp(g) of head h, from the row of all heads'.
func (w *deltaNet) rates(d Delta, row []float32, h int) (beta, decay float32) {
	beta, alpha := row[h], row[min(len(row)-1, d.Heads+h)]
	if w.both != nil { // a key head's betas, then its alphas
		each := d.Heads / d.KeyHeads
		at := h/each*2*each + h%each
		beta, alpha = row[at], row[at+each]
	}
	g := softplus(alpha+w.bias[h]) * w.decay[h]
	return sigmoid(beta), float32(math.Exp(float64(g)))
}

func softplus(x float32) float32 {
	if x > 20 {
		return x
	}
	return float32(math.Log1p(math.Exp(float64(x))))
}

// unit is x over the square root of its square and epsilon.
func unit(x []float32, epsilon float32) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v * v)
	}
	scale(x, float32(1/math.Sqrt(sum+float64(epsilon))))
}

// step moves a head's state, [value element][key element], on by one position; dst is what it says for query.
func step(dst, state, query, key, value []float32, beta, decay float32) {
	dim, norm := len(key), float32(1/math.Sqrt(float64(len(key))))
	for j := range dst {
		row := state[j*dim:][:dim]
		said := float32(0)
		for i, k := range key {
			row[i] *= decay
			said += float32(row[i] * k)
		}
		correction := (value[j] - said) * beta
		sum := float32(0)
		for i, k := range key {
			row[i] += float32(k * correction)
			sum += float32(row[i] * (query[i] * norm))
		}
		dst[j] = sum
	}
}
