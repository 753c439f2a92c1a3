package nn

import (
	"context"
	"errors"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
	"github.com/moeconv/moeconv/runtime/offload"
)

// stream says where the experts of a feed-forward network are read from.
type stream struct {
	group   int    // of Decoder.experts
	tensors []int  // in the source, in the order of offload.Loaded's parts
	next    *layer // the next one with such experts, if its router can be asked before
}

// streamExperts fills out with the results of experts, by use, and returns that of the shared ones. Experts are computed as
// they arrive: those that are in memory while others are being read. Each is read once.
func (s *State) streamExperts(experts, sharedExperts ffn, in *input, out kernel.Mat) (shared kernel.Mat, err error) {
	r, n := &s.route, experts.up.experts
	fetch := s.d.experts.Fetch(s.ctx, experts.stream.group, in.n, r.starts)
	defer fetch.Close()
	if err := s.foresee(experts.stream.next, in.n); err != nil {
		return shared, err
	}
	b := batch{s: s}
	beside := s.sharedUp(&b, sharedExperts, in)
	if err := b.run(); err != nil {
		return shared, err
	}
	shared = s.sharedDown(&b, sharedExperts, beside, in.n)
	if err := b.run(); err != nil {
		return shared, err
	}
	s.loaded = slices.Grow(s.loaded[:0], n)[:n]
	for base := 0; ; base += len(r.token) {
		loaded, err := fetch.Next()
		if err != nil || len(loaded) == 0 {
			return shared, err
		}
		only := make([]bool, n)
		for _, e := range loaded {
			only[e.Expert], s.loaded[e.Expert] = true, e.Parts
		}
		r.sort(n, only, base)
		routed := s.routedUp(&b, experts, in)
		if err := b.run(); err != nil {
			return shared, err
		}
		some := out.From(base)
		s.routedDown(&b, experts, routed, some)
		if err := b.run(); err != nil {
			return shared, err
		}
		s.addExpertBias(some, experts.downBias)
	}
}

// foreseenTokens is the largest batch for which experts are read ahead: larger ones use most experts anyway.
const foreseenTokens = 4

// foresee begins to read the better half of the experts that layer l would choose if the block being computed added nothing
// to s.x. Residual streams change slowly, so that most of them are among those that it will choose.
func (s *State) foresee(l *layer, n int) error {
	if l == nil || n > foreseenTokens || !s.d.experts.Foresees() {
		return nil
	}
	p, r := s.d.Params, &s.ahead
	x := mat(&s.aheadNorm, n, p.Embedding)
	for t := range n {
		s.d.norm(x.Row(t, p.Embedding), s.x[t*p.Embedding:][:p.Embedding], l.ffnNorm)
	}
	b := batch{s: s, quiet: true}
	logits := mat(&r.logits, n, p.Experts)
	b.add(l.router, s.aheadIn.set(x, n, p.Embedding), logits)
	if err := b.run(); err != nil {
		return err
	}
	addBias(logits, l.routerBias, 0, n)
	r.choose(p, l.selectBias, n)
	half := (p.Used + 1) / 2
	for t := range n {
		s.d.experts.Prefetch(l.experts.stream.group, r.expert[t*p.Used:][:half])
	}
	return nil
}

// weightsOf is the matrix in which an expert's rows of m lie, and its number there.
func (s *State) weightsOf(m *matrix, expert int) (*matrix, int) {
	whole := m
	if m.of != nil {
		whole = m.of
	}
	if whole.stream == nil {
		return m, expert
	}
	one := *whole
	one.experts, one.encoded = 1, s.loaded[expert][slices.Index(whole.stream.tensors, whole.tensor)]
	if m == whole {
		return &one, 0
	}
	part := *m
	part.experts, part.of = 1, &one
	return &part, 0
}

// place decides where the matrices are: it opens streams and maps what is mapped, and returns those that are to be read.
func (d *Decoder) place(src gguf.Source) ([]*matrix, error) {
	l := d.opts.Ledger
	if l == nil || d.opts.Layers {
		return d.matrices, nil
	}
	streamed := d.findStreams(l)
	if len(streamed) > 0 {
		var err error
		if d.experts, err = offload.NewExperts(src, streamed, d.opts.ExpertRAM); err != nil {
			return nil, err
		}
	}
	var resident []*matrix
	for _, m := range d.matrices {
		switch {
		case m.stream != nil:
		case l.Entries[m.tensor].Storage == offload.Mapped:
			if d.mapping == nil {
				d.mapping = offload.NewMapping(src)
			}
			var err error
			if m.encoded, err = d.mapping.Tensor(m.tensor); err != nil {
				return nil, err
			}
		default:
			resident = append(resident, m)
		}
	}
	return resident, nil
}

// findStreams joins the streamed matrices of each network of experts.
func (d *Decoder) findStreams(l *offload.Ledger) (groups [][]int) {
	for i := range d.w.layers {
		for _, f := range []*ffn{&d.w.layers[i].experts, &d.w.layers[i].chunks} {
			var st *stream
			for _, m := range []*matrix{f.gate, f.up, f.down} {
				if m == nil || l.Entries[m.tensor].Storage != offload.Streamed {
					continue
				}
				if m.of != nil {
					m = m.of
				}
				if st == nil {
					st = &stream{group: len(groups)}
				}
				if m.stream == nil {
					m.stream = st
					st.tensors = append(st.tensors, m.tensor)
				}
			}
			if f.stream = st; st != nil {
				groups = append(groups, st.tensors)
			}
		}
		if l := &d.w.layers[i]; i > 0 && l.experts.stream != nil && l.routerScale == nil && l.expertsNorm.weight == nil {
			if before := d.w.layers[i-1].experts.stream; before != nil {
				before.next = l
			}
		}
	}
	return groups
}

// Streamed is what the cache of experts did; ok is false where all are in memory.
func (d *Decoder) Streamed() (s offload.Stats, ok bool) {
	if d.experts == nil {
		return s, false
	}
	return d.experts.Stats(), true
}

// NeedsSource reports whether the source must stay open.
func (d *Decoder) NeedsSource() bool { return d.opts.Layers || d.experts != nil || d.mapping != nil }

// Close lets go of what is not the language's own memory. Nothing may be evaluated any more.
func (d *Decoder) Close() error {
	var errs [2]error
	if d.experts != nil {
		errs[0] = d.experts.Close()
	}
	if d.mapping != nil {
		errs[1] = d.mapping.Close()
	}
	return errors.Join(errs[:]...)
}

// ExpertReadRate is offload.Experts.ReadRate; 0 where all experts are in memory.
func (d *Decoder) ExpertReadRate(ctx context.Context) (float64, error) {
	if d.experts == nil {
		return 0, nil
	}
	return d.experts.ReadRate(ctx)
}
