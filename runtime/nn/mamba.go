package nn

import (
	"math"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// Mamba is the sizes of selective state spaces. Inner 0: there are none.
type Mamba struct {
	Inner  int // elements of what passes through
	State  int // kept of each
	Heads  int // of Mamba 2; the rank of step sizes in Mamba 1
	Groups int // of heads, that share what is written to the state and read from it
	Conv   int // positions that the convolution in front sees
}

// mamba is the weights of a block of Mamba 1 (arXiv 2312.00752, with Jamba's norms) or 2 (arXiv 2405.21060).
type mamba struct {
	in, out        *matrix
	channels       int // of the convolution
	conv, convBias vector
	bias           vector // of step sizes: [inner], in Mamba 2 [head]
	decay, skip    vector // [inner][state] and [inner], in Mamba 2 [head]

	x, step                *matrix // of Mamba 1: to step sizes in short, B and C; and to step sizes in full
	stepNorm, bNorm, cNorm vector
	norm                   vector // of Mamba 2: [group][inner/group]
}

// mambaScan passes in through the block's state space; the result is in s.tmp. For each element x the state lets go
// and takes on: S = exp(step*decay)*S + step*B*x, and says S*C + skip*x, which is gated by silu.
func (s *State) mambaScan(il int, l *layer, in *input) error {
	m, w, n := s.d.Params.Mamba, l.mamba, in.n
	parts := mat(&s.wide, n, w.in.rows)
	b := batch{s: s}
	b.add(w.in, in, parts)
	if err := b.run(); err != nil {
		return err
	}
	from, gateAt := 0, m.Inner // Mamba 1 has what passes through first, Mamba 2 its gate
	if w.x == nil {
		from, gateAt = m.Inner, 0
	}
	x := s.convolve(il, kernel.Mat{Data: parts.Data[from:], Stride: parts.Stride}, w.conv, n, w.channels, m.Conv)
	s.d.workers.rows(n, 8*w.channels, func(_, lo, hi int) {
		addBias(x, w.convBias, lo, hi)
		for t := lo; t < hi; t++ {
			for i, v := range x.Row(t, w.channels) {
				x.Data[t*x.Stride+i] = v * sigmoid(v)
			}
		}
	})
	s.reserveNets(il, m.Inner*m.State)
	out := mat(&s.attn, n, m.Inner)
	scan := s.scan2
	if w.x != nil {
		scan = s.scan1
	}
	if err := scan(il, w, x, parts, out, n); err != nil {
		return err
	}
	s.d.workers.rows(n, 8*m.Inner, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			row := out.Row(t, m.Inner)
			for i, g := range parts.Row(t, parts.Stride)[gateAt:][:m.Inner] {
				row[i] *= g * sigmoid(g)
			}
			size := m.Inner / m.Groups
			for at := 0; at < len(w.norm); at += size {
				rmsNorm(row[at:][:size], row[at:][:size], w.norm[at:][:size], s.d.Params.Epsilon)
			}
		}
	})
	b.add(w.out, s.heads.set(out, n, m.Inner), mat(&s.tmp, n, s.d.Params.Embedding))
	return b.run()
}

// scan1 is Mamba 1's: each element has step sizes and decays of its own.
func (s *State) scan1(il int, w *mamba, x, _, out kernel.Mat, n int) error {
	m, epsilon := s.d.Params.Mamba, s.d.Params.Epsilon
	short, steps := mat(&s.rates, n, m.Heads+2*m.State), mat(&s.up, n, m.Inner)
	b := batch{s: s}
	b.add(w.x, s.heads.set(x, n, m.Inner), short)
	if err := b.run(); err != nil {
		return err
	}
	inStep := mat(&s.nope, n, m.Heads)
	for t := range n {
		row := short.Row(t, short.Stride)
		rmsNorm(inStep.Row(t, m.Heads), row[:m.Heads], w.stepNorm, epsilon)
		rmsNorm(row[m.Heads:][:m.State], row[m.Heads:][:m.State], w.bNorm, epsilon)
		rmsNorm(row[m.Heads+m.State:], row[m.Heads+m.State:], w.cNorm, epsilon)
	}
	b.add(w.step, s.hidden.set(inStep, n, m.Heads), steps)
	if err := b.run(); err != nil {
		return err
	}
	s.d.workers.rows(m.Inner, 16*n*m.State, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			decay := w.decay[i*m.State:][:m.State]
			s.eachRecurrent(il, n, func(net []float32, t int) {
				state := net[i*m.State:][:m.State]
				v, step := x.Row(t, m.Inner)[i], softplus(steps.Row(t, m.Inner)[i]+w.bias[i])
				in, read := short.Row(t, short.Stride)[m.Heads:][:m.State], short.Row(t, short.Stride)[m.Heads+m.State:]
				sum := float32(0)
				for j := range state {
					state[j] = float32(state[j]*float32(math.Exp(float64(step*decay[j])))) + float32(in[j]*(v*step))
					sum += float32(state[j] * read[j])
				}
				out.Row(t, m.Inner)[i] = sum + float32(v*w.skip[i])
			})
		}
	})
	return nil
}

// scan2 is Mamba 2's: a head's elements have one step size and one decay.
func (s *State) scan2(il int, w *mamba, x, parts, out kernel.Mat, n int) error {
	m := s.d.Params.Mamba
	dim := m.Inner / m.Heads
	s.d.workers.run(m.Heads, func(_, h int) {
		at := m.Inner + h*m.Groups/m.Heads*m.State // of what is written
		s.eachRecurrent(il, n, func(net []float32, t int) {
			row := x.Row(t, w.channels)
			step := softplus(parts.Row(t, parts.Stride)[m.Inner+w.channels+h] + w.bias[h])
			decay := float32(math.Exp(float64(step * w.decay[h])))
			in, read := row[at:][:m.State], row[at+m.Groups*m.State:][:m.State]
			for i := h * dim; i < (h+1)*dim; i++ {
				state, sum := net[i*m.State:][:m.State], float32(0)
				for j := range state {
					state[j] = float32(state[j]*decay) + float32(in[j]*(row[i]*step))
					sum += float32(state[j] * read[j])
				}
				out.Row(t, m.Inner)[i] = sum + float32(row[i]*w.skip[h])
			}
		})
	})
	return nil
}
