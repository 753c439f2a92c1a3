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
	r.sort(p.Experts, n)
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
	p, n, uses, width := s.d.Params, in.n, len(s.route.token), experts.up.rows
	b := batch{s: s}
	gathered := s.gather(in)
	gate, up := mat(&s.gate, uses, width), mat(&s.up, uses, width)
	b.addExperts(experts.gate, gathered, gate)
	b.addExperts(experts.up, gathered, up)
	shWidth := 0 // of the shared experts
	var shGate, shUp kernel.Mat
	if sharedExperts.up != nil {
		shWidth = sharedExperts.up.rows
		shGate, shUp = mat(&s.sharedGate, n, shWidth), mat(&s.sharedUp, n, shWidth)
		b.add(sharedExperts.gate, in, shGate)
		b.add(sharedExperts.up, in, shUp)
	}
	if err := b.run(); err != nil {
		return err
	}
	s.addExpertBias(gate, experts.gateBias)
	s.addExpertBias(up, experts.upBias)
	out := mat(&s.experts, uses, p.Embedding)
	b.addExperts(experts.down, s.hidden.set(s.activate(experts, gate, up, uses, width), uses, width), out)
	var shared kernel.Mat
	if shWidth > 0 {
		shared = mat(&s.shared, n, p.Embedding)
		b.add(sharedExperts.down, s.sharedHidden.set(s.activate(sharedExperts, shGate, shUp, n, shWidth), n, shWidth), shared)
	}
	if err := b.run(); err != nil {
		return err
	}
	s.addExpertBias(out, experts.downBias)
	s.combine(l, out, shared, n)
	return nil
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
	r.sort(l.chunks.up.experts, n)
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
