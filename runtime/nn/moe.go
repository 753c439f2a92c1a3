package nn

import "github.com/moeconv/moeconv/runtime/kernel"

// moe is what the routed and the shared experts of block il make of in, in s.tmp.
func (s *State) moe(il int, l *layer, in *input) error {
	p, n, r := s.d.Params, in.n, &s.route
	b := batch{s: s}
	logits := mat(&r.logits, n, p.Experts)
	if l.routerScale == nil {
		b.add(l.router, in, logits)
	} else {
		b.add(l.router, s.routerInput(l, n), logits)
	}
	if l.sharedGate != nil {
		b.add(l.sharedGate, in, mat(&s.sharedWeight, n, 1))
	}
	if err := b.run(); err != nil {
		return err
	}
	addBias(logits, l.routerBias, 0, n)
	r.choose(p, l.selectBias, n)
	if l.expertScale != nil {
		for i, e := range r.expert {
			r.weight[i] *= l.expertScale[e]
		}
	}
	r.sort(p.Experts, nil, 0)
	s.count(il)
	if err := s.runExperts(l, l.experts, l.shared, in); err != nil {
		return err
	}
	if l.chunks.up == nil {
		return nil
	}
	return s.runChunks(l, n)
}

// runExperts is the sum of what the routed experts and the shared ones, if any, make of in, in s.tmp.
func (s *State) runExperts(l *layer, experts, sharedExperts ffn, in *input) error {
	n := in.n
	out := mat(&s.experts, n*s.route.used, s.d.Params.Embedding)
	if experts.stream != nil {
		shared, err := s.streamExperts(experts, sharedExperts, in, out)
		if err == nil {
			s.combine(l, out, shared, n)
		}
		return err
	}
	b := batch{s: s}
	routed, beside := s.routedUp(&b, experts, in), s.sharedUp(&b, sharedExperts, in)
	if err := b.run(); err != nil {
		return err
	}
	s.routedDown(&b, experts, routed, out)
	shared := s.sharedDown(&b, sharedExperts, beside, n)
	if err := b.run(); err != nil {
		return err
	}
	s.addExpertBias(out, experts.downBias)
	s.combine(l, out, shared, n)
	return nil
}

// halves are what the gate and up matrices of a feed-forward network make of an input.
type halves struct{ gate, up kernel.Mat }

// routedUp asks for what the experts of s.route make of their rows of in, in the order of uses.
func (s *State) routedUp(b *batch, experts ffn, in *input) halves {
	uses, width := len(s.route.token), experts.up.rows
	gathered := s.gather(in)
	h := halves{mat(&s.gate, uses, width), mat(&s.up, uses, width)}
	b.addExperts(experts.gate, gathered, h.gate)
	b.addExperts(experts.up, gathered, h.up)
	return h
}

// routedDown asks for the experts' results, without the biases behind them.
func (s *State) routedDown(b *batch, experts ffn, h halves, out kernel.Mat) {
	uses, width := len(s.route.token), experts.up.rows
	s.addExpertBias(h.gate, experts.gateBias)
	s.addExpertBias(h.up, experts.upBias)
	b.addExperts(experts.down, s.hidden.set(s.activate(experts, h.gate, h.up, uses, width), uses, width), out)
}

// sharedUp asks for what shared experts, if there are any, make of in.
func (s *State) sharedUp(b *batch, shared ffn, in *input) halves {
	if shared.up == nil {
		return halves{}
	}
	width := shared.up.rows
	h := halves{mat(&s.sharedGate, in.n, width), mat(&s.sharedWide, in.n, width)}
	b.add(shared.gate, in, h.gate)
	b.add(shared.up, in, h.up)
	return h
}

// sharedDown asks for their result.
func (s *State) sharedDown(b *batch, shared ffn, h halves, n int) kernel.Mat {
	if shared.up == nil {
		return kernel.Mat{}
	}
	width, out := shared.up.rows, mat(&s.shared, n, s.d.Params.Embedding)
	b.add(shared.down, s.sharedHidden.set(s.activate(shared, h.gate, h.up, n, width), n, width), out)
	return out
}

// runChunks adds to s.tmp what GroveMoE's chunk experts, each of several experts together, make of it: llama.cpp gives
// them the experts' result, not their input. Their weights are the probabilities of the experts of their number.
func (s *State) runChunks(l *layer, n int) error {
	p, r := s.d.Params, &s.route
	sum := mat(&s.before, n, p.Embedding)
	copy(sum.Data, s.tmp)
	used := min(p.Used, l.chunks.up.experts)
	for t := range n {
		chosen, weights := r.expert[t*p.Used:][:used], r.weight[t*used:][:used]
		for i, e := range chosen {
			r.expert[t*used+i] = e / p.ChunkExperts
			weights[i] = r.logits[t*p.Experts+e/p.ChunkExperts]
		}
		p.finishWeights(weights)
	}
	r.expert, r.weight, r.used = r.expert[:n*used], r.weight[:n*used], used
	r.sort(l.chunks.up.experts, nil, 0)
	if err := s.runExperts(l, l.chunks, ffn{}, s.in.set(sum, n, p.Embedding)); err != nil {
		return err
	}
	for i, v := range s.tmp[:n*p.Embedding] {
		s.tmp[i] = sum.Data[i] + float32(v*p.ChunkScale)
	}
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
			if r.has(slot) {
				scale(x.Row(r.use[slot]-r.base, in.cols), w)
				r.weight[slot] = 1
			}
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
			for slot := t * r.used; slot < (t+1)*r.used; slot++ {
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
