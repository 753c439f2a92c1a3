package nn

import "github.com/moeconv/moeconv/runtime/kernel"

// moe is what the routed and the shared experts of block il make of in, in s.tmp.
func (s *State) moe(il int, l *layer, in *input) error {
	p, n, r := s.d.Params, in.n, &s.route
	b := batch{s: s}
	logits := mat(&r.logits, n, p.Experts)
	b.add(l.router, in, logits)
	if l.sharedGate != nil {
		b.add(l.sharedGate, in, mat(&s.sharedWeight, n, 1))
	}
	if err := b.run(); err != nil {
		return err
	}
	addBias(logits, l.routerBias, 0, n)
	r.choose(p, l.selectBias, n)
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
	s.addExpertBias(gate, l.experts.gateBias)
	s.addExpertBias(up, l.experts.upBias)
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
	s.addExpertBias(out, l.experts.downBias)
	s.combine(l, out, shared, n)
	return nil
}

// addExpertBias adds to each use's row the bias of its expert, if there is one.
func (s *State) addExpertBias(x kernel.Mat, bias vector) {
	if bias == nil {
		return
	}
	for e := range s.route.starts[1:] {
		addBias(x, bias[e*x.Stride:][:x.Stride], s.route.starts[e], s.route.starts[e+1])
	}
}

// gather makes the rows of in lie in the order of uses, times their weights where these come first.
func (s *State) gather(in *input) *input {
	r := &s.route
	x := mat(&s.gathered, len(r.token), in.cols)
	s.d.workers.rows(len(r.token), in.cols/8, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			copy(x.Row(i, in.cols), in.x.Row(r.token[i], in.cols))
		}
	})
	if s.d.Params.Graph.WeightFirst {
		for slot, w := range r.weight {
			scale(x.Row(r.use[slot], in.cols), w)
			r.weight[slot] = 1
		}
	}
	return s.gatheredIn.set(x, len(r.token), in.cols)
}

// combine is the sum of each token's experts' weighted results, in the order of their weights, and the shared result.
func (s *State) combine(l *layer, out, shared kernel.Mat, n int) {
	p, r := s.d.Params, &s.route
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
			if shared.Data == nil {
				continue
			}
			if l.sharedGate != nil {
				scale(shared.Row(t, p.Embedding), sigmoid(s.sharedWeight[t]))
			}
			add(acc, shared.Row(t, p.Embedding))
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
