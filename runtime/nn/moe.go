package nn

import (
	"slices"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// routing says which experts each token uses, and in which order uses are computed: sorted by expert.
type routing struct {
	logits []float32 // [token][expert]
	expert []int     // [token][slot]
	weight []float32 // [token][slot]
	starts []int     // [expert+1] first use of an expert
	use    []int     // [token][slot] -> use
	token  []int     // [use] -> token
}

func growInts(buf []int, n int) []int {
	if cap(buf) < n {
		return make([]int, n)
	}
	return buf[:n]
}

// choose takes the top experts of n tokens from the router's logits.
func (r *routing) choose(p Params, n int) {
	r.expert, r.weight = growInts(r.expert, n*p.Used), grow(r.weight, n*p.Used)
	for t := range n {
		probs := r.logits[t*p.Experts:][:p.Experts]
		kernel.Softmax(probs, 1)
		chosen, weights := r.expert[t*p.Used:][:p.Used], r.weight[t*p.Used:][:p.Used]
		top(probs, chosen)
		sum := float32(0)
		for i, e := range chosen {
			weights[i] = probs[e]
			sum += probs[e]
		}
		if p.Graph.NormalizeWeights {
			sum = max(sum, 6.103515625e-5) // the reference's: the smallest normal f16
			for i := range weights {
				weights[i] /= sum
			}
		}
		if p.WeightScale != 1 {
			for i := range weights {
				weights[i] *= p.WeightScale
			}
		}
	}
}

// top fills chosen with the indices of the largest values, largest first; of equals the first. Any values are safe.
func top(values []float32, chosen []int) {
	for i := range chosen {
		best := -1
		for e, v := range values {
			if (best < 0 || v > values[best]) && !slices.Contains(chosen[:i], e) {
				best = e
			}
		}
		chosen[i] = best
	}
}

// sort orders the uses by expert, and by token within.
func (r *routing) sort(experts, used, n int) {
	r.starts, r.use, r.token = growInts(r.starts, experts+1), growInts(r.use, n*used), growInts(r.token, n*used)
	clear(r.starts)
	for _, e := range r.expert {
		r.starts[e+1]++
	}
	for e := range experts {
		r.starts[e+1] += r.starts[e]
	}
	next := slices.Clone(r.starts)
	for i, e := range r.expert {
		r.use[i] = next[e]
		r.token[next[e]] = i / used
		next[e]++
	}
}

// moe adds to s.x what the routed and the shared experts of block il make of in.
func (s *State) moe(il int, l *layer, in *input) error {
	p, n, r := s.d.Params, in.n, &s.route
	b := batch{s: s}
	b.add(l.router, in, mat(&r.logits, n, p.Experts))
	if err := b.run(); err != nil {
		return err
	}
	r.choose(p, n)
	r.sort(p.Experts, p.Used, n)
	s.count(il)

	uses := n * p.Used
	gathered := s.gather(in)
	gate, up := mat(&s.gate, uses, p.ExpertFFN), mat(&s.up, uses, p.ExpertFFN)
	b.addExperts(l.experts.gate, gathered, gate)
	b.addExperts(l.experts.up, gathered, up)
	width := 0 // of the shared experts
	var shGate, shUp kernel.Mat
	if l.shared.up != nil {
		width = l.shared.up.rows
		shGate, shUp = mat(&s.sharedGate, n, width), mat(&s.sharedUp, n, width)
		b.add(l.shared.gate, in, shGate)
		b.add(l.shared.up, in, shUp)
	}
	if err := b.run(); err != nil {
		return err
	}

	s.activate(gate, up, uses, p.ExpertFFN)
	out := mat(&s.experts, uses, p.Embedding)
	b.addExperts(l.experts.down, s.hidden.set(gate, uses, p.ExpertFFN), out)
	var shared kernel.Mat
	if width > 0 {
		s.activate(shGate, shUp, n, width)
		shared = mat(&s.shared, n, p.Embedding)
		b.add(l.shared.down, s.sharedHidden.set(shGate, n, width), shared)
	}
	if err := b.run(); err != nil {
		return err
	}
	s.combine(out, shared, n)
	return nil
}

// gather makes the rows of in lie in the order of uses.
func (s *State) gather(in *input) *input {
	r := &s.route
	x := mat(&s.gathered, len(r.token), in.cols)
	s.d.workers.rows(len(r.token), in.cols/8, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			copy(x.Row(i, in.cols), in.x.Row(r.token[i], in.cols))
		}
	})
	return s.gatheredIn.set(x, len(r.token), in.cols)
}

// combine adds to each token the weighted results of its experts, in the order of their weights, and the shared result.
func (s *State) combine(out, shared kernel.Mat, n int) {
	p, r := s.d.Params, &s.route
	x := kernel.Mat{Data: s.x, Stride: p.Embedding}
	sum := mat(&s.tmp, n, p.Embedding)
	s.d.workers.rows(n, (p.Used+2)*p.Embedding, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			acc := sum.Row(t, p.Embedding)
			clear(acc)
			for slot := t * p.Used; slot < (t+1)*p.Used; slot++ {
				w := r.weight[slot]
				for i, v := range out.Row(r.use[slot], p.Embedding) {
					acc[i] += float32(w * v)
				}
			}
			if shared.Data != nil {
				add(acc, shared.Row(t, p.Embedding))
			}
			add(x.Row(t, p.Embedding), acc)
		}
	})
}

// count adds the experts chosen to the block's statistics.
func (s *State) count(il int) {
	if s.routes == nil {
		return
	}
	if s.routes[il] == nil {
		s.routes[il] = make([]int64, s.d.Params.Experts)
	}
	for _, e := range s.route.expert {
		s.routes[il][e]++
	}
}
