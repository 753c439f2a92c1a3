package nn

import (
	"context"
	"errors"
	"slices"
)

// sequence is what is kept of a text that is being evaluated.
type sequence struct {
	d      *Decoder
	n      int // tokens in the text
	caches []cache
	past   []recurrent // by block, of text[:kept]
	text   []int32     // of models that forget
	kept   int
	ropes  []ropeTable // of Decoder.freqs
	long   bool        // the text is longer than those of training (Graph.Original)
}

// Len is the number of tokens in the text.
func (q *sequence) Len() int { return q.n }

// Truncate shortens the text to its first n tokens, of 0 to Len.
func (q *sequence) Truncate(n int) { q.n = min(q.n, max(0, n)) }

// CopyText makes the text that of another State of the same Decoder, without evaluating it.
func (q *sequence) CopyText(from *State) {
	q.n, q.kept, q.text = from.n, from.kept, append(q.text[:0], from.text...)
	for i := range q.caches {
		q.caches[i].copyFrom(&from.caches[i])
		p, o := &q.past[i], &from.past[i]
		p.conv, p.net = append(p.conv[:0], o.conv...), append(p.net[:0], o.net...)
	}
}

// part is the tokens of one text among those that are computed together.
type part struct {
	*sequence
	lo, hi int // their rows; row lo stands at position n of the text
}

// position is that of a row.
func (p *part) position(row int) int { return p.n + row - p.lo }

// each calls f for each text that has some of rows lo to hi, with these.
func (s *State) each(lo, hi int, f func(p *part, lo, hi int)) {
	for i := range s.parts {
		p := &s.parts[i]
		if from, to := max(lo, p.lo), min(hi, p.hi); from < to {
			f(p, from, to)
		}
	}
}

// position is that of a row in its text.
func (s *State) position(row int) (n int) {
	s.each(row, row+1, func(p *part, row, _ int) { n = p.position(row) })
	return n
}

// upTo is the numbers from lo to hi-1.
func upTo(lo, hi int) []int {
	var list []int
	for i := lo; i < hi; i++ {
		list = append(list, i)
	}
	return list
}

// Part is tokens to append to a text.
type Part struct {
	State  *State
	Tokens []int32 // at least one, each below Vocabulary
	First  int     // logits are wanted from this index on
}

// EvalParts appends tokens to several texts, each of a State of its own, with one pass over the weights; it computes in
// the memory of s, whose own text plays no part. What a text gets does not depend on the others: it is what Eval
// computes, bit for bit. All texts stay as they were if it fails. The result is the logits of each part.
func (s *State) EvalParts(ctx context.Context, parts []Part) ([][][]float32, error) {
	if s.d.opts.Layers {
		return nil, errors.New("nn: a model whose blocks are read one after the other runs whole texts alone")
	}
	s.routes = nil
	for _, p := range parts {
		if err := s.replay(ctx, &p.State.sequence); err != nil {
			return nil, err
		}
	}
	var tokens []int32
	var wanted []int
	s.parts = s.parts[:0]
	for _, p := range parts {
		lo := len(tokens)
		tokens = append(tokens, p.Tokens...)
		s.parts = append(s.parts, part{&p.State.sequence, lo, len(tokens)})
		wanted = append(wanted, upTo(lo+p.First, len(tokens))...)
	}
	logits, err := s.forward(ctx, tokens, wanted)
	if err != nil {
		return nil, err
	}
	out := make([][][]float32, len(parts))
	for i, p := range parts {
		n := max(0, len(p.Tokens)-p.First)
		out[i], logits = slices.Clip(logits[:n]), logits[n:]
	}
	return out, nil
}
