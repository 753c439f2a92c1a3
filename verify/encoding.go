package verify

import (
	"bytes"
	"context"
	"sync/atomic"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/block"
)

const (
	// encodedExperts and encodedRows are how many experts of a tensor, and rows of each, are encoded again: fewer of types
	// whose encoders search. Of other tensors slowExperts*encodedRows rows are.
	encodedExperts = 64
	slowExperts    = 6
	encodedRows    = 2
	// reproduced is the share of blocks from which on an encoding counts as the same: encoders that fuse products into
	// sums differ in the last bit of some scale. Another importance matrix changes most blocks.
	reproduced = 0.9
	// rare is the share of blocks up to which two encodings count as unlike.
	rare = 0.6
)

// again is one unit of the file held against what encoding the source's rows again gives.
type again struct {
	unit
	info   gguf.TensorInfo
	entry  bool // the importance matrix has an entry for the tensor
	blocks int  // compared; those of zeros say nothing
	plain  int  // equal to an encoding without an importance matrix
	matrix int  // equal to one with it
	err    error
}

// is reports whether so many of the blocks are equal that the encoding is this one.
func (a again) is(equal int) bool {
	return a.blocks > 0 && float64(equal) >= reproduced*float64(a.blocks)
}

// isNot reports whether so few are that it cannot be.
func (a again) isNot(equal int) bool { return a.blocks > 0 && float64(equal) <= rare*float64(a.blocks) }

// weighed lists the types whose encoders ask an importance matrix.
var weighed = map[gguf.Type]bool{
	gguf.Q4_0: true, gguf.Q4_1: true, gguf.Q5_0: true, gguf.Q5_1: true,
	gguf.Q2_K: true, gguf.Q3_K: true, gguf.Q4_K: true, gguf.Q5_K: true, gguf.Q6_K: true,
	gguf.IQ1_S: true, gguf.IQ1_M: true, gguf.IQ2_XXS: true, gguf.IQ2_XS: true, gguf.IQ2_S: true,
	gguf.IQ3_XXS: true, gguf.IQ3_S: true, gguf.IQ4_NL: true, gguf.IQ4_XS: true,
}

// searched lists the types whose encoders take tens of times as long as others.
var searched = map[gguf.Type]bool{
	gguf.IQ1_S: true, gguf.IQ1_M: true, gguf.IQ2_XXS: true, gguf.IQ2_XS: true, gguf.IQ2_S: true, gguf.IQ3_XXS: true, gguf.IQ3_S: true,
}

// checkEncoding encodes a sample of the source's rows again. Encoders of one kind give the same bytes, so it tells with
// which importance matrix, if any, each tensor was encoded; a file in which that changes from tensor to tensor is put
// together from several.
func checkEncoding(ctx context.Context, s *Subject) Result {
	if s.Reference == nil {
		return NewResult(NotApplicable, "no source to encode again")
	}
	units := s.encodable()
	if len(units) == 0 {
		return NewResult(NotApplicable, "no tensor is quantized from values that the source has")
	}
	n := s.workers(s.Source, s.Reference)
	encoders := make([]encoder, n)
	for i := range encoders {
		encoders[i] = encoder{Subject: s, mine: reader{src: s.Source}, theirs: reader{src: s.Reference}, sampler: s.sampler(s.Source.Tensors())}
	}
	var done atomic.Int64
	report := s.progress("encoding")
	err := each(ctx, len(units), n, func(w, i int) error {
		encoders[w].unit(ctx, &units[i])
		report(done.Add(1), int64(len(units)))
		return ctx.Err()
	})
	if err != nil {
		return failure(err)
	}
	return s.judgeEncoding(units)
}

// encodable lists what is encoded again: some experts of each quantized tensor, and all others. What fidelity found wrong
// has a name already, and other bytes whatever the importance matrix.
func (s *Subject) encodable() []again {
	var out []again
	smp := s.sampler(s.Source.Tensors())
	_, ckpt := s.Reference.(interface{ Quirks() []convert.Quirk })
	for i, t := range s.Source.Tensors() {
		ref := gguf.Find(s.Reference.Tensors(), t.Name)
		if ref < 0 || !t.Type.Quantized() || !readable(t.Type) || !s.Reference.Tensors()[ref].Shape.Equal(t.Shape) {
			continue
		}
		if rt := s.Reference.Tensors()[ref].Type; rt.Quantized() && rt != t.Type && !ckpt || !readable(rt) {
			continue // another file is not what this one was made from
		}
		rows, experts := int(t.Shape.Rows()), expertsIn(t)
		if experts == 0 {
			if u := (unit{i, -1, 0, rows}); !s.wrong[u] {
				out = append(out, again{unit: u, info: t})
			}
			continue
		}
		per := rows / experts
		most := encodedExperts
		switch {
		case s.Full:
			most = experts
		case searched[t.Type]:
			most = slowExperts
		}
		for _, e := range smp.some(t.Name, most, experts) {
			if u := (unit{i, e, e * per, per}); !s.wrong[u] {
				out = append(out, again{unit: u, info: t})
			}
		}
	}
	return out
}

// encoder encodes rows of the source again. Each worker has its own.
type encoder struct {
	*Subject
	mine, theirs  reader
	sampler       sampler
	plain, matrix []byte
}

func (x *encoder) unit(ctx context.Context, a *again) {
	rows := encodedRows
	if a.expert < 0 {
		rows *= slowExperts
	}
	ref := gguf.Find(x.Reference.Tensors(), a.info.Name)
	var entry []float32 // a row for each matrix of the tensor
	ne0, ne1 := int(a.info.Shape.NE(0)), int(a.info.Shape.NE(1))
	if x.Imatrix.Len() > 0 {
		e, ok := x.Imatrix.Entry(a.info.Name)
		if a.entry = ok && int64(len(e)) == a.info.Shape.NE(0)*a.info.Shape.NE(2); a.entry {
			entry = e
		}
	}
	for _, row := range x.sampler.some(a.info.Name, rows, a.rows) {
		if a.err = x.mine.fetch(ctx, a.tensor, a.row+row, 1); a.err == nil {
			a.err = x.theirs.read(ctx, ref, a.row+row, 1)
		}
		if a.err == nil {
			var importance []float32
			if a.entry {
				importance = entry[(a.row+row)/ne1*ne0:][:ne0]
			}
			a.err = x.row(a, x.Reference.Tensors()[ref].Type == a.info.Type, importance)
		}
		if a.err != nil {
			return
		}
	}
}

// row encodes the row in x.theirs and compares it with the one in x.mine.
func (x *encoder) row(a *again, taken bool, importance []float32) error {
	ne0, length := int(a.info.Shape.NE(0)), a.info.Type.BlockLen()
	x.plain, x.matrix = resize(x.plain, len(x.mine.raw)), resize(x.matrix, len(x.mine.raw))
	codec, _ := block.For(a.info.Type)
	switch {
	case taken:
		copy(x.plain, x.theirs.raw)
	case codec.NeedsImportance:
		clear(x.plain) // there is no encoding without
	default:
		if err := block.EncodeRows(a.info.Type, x.plain, x.theirs.vals, ne0, nil); err != nil {
			return err
		}
	}
	copy(x.matrix, x.plain)
	if importance != nil && !taken {
		if err := block.EncodeRows(a.info.Type, x.matrix, x.theirs.vals, ne0, importance); err != nil {
			return err
		}
	}
	size := a.info.Type.BlockSize()
	for b := range ne0 / length {
		if !nonzero(x.theirs.vals[b*length : (b+1)*length]) {
			continue
		}
		at := b * size
		a.blocks++
		if bytes.Equal(x.plain[at:at+size], x.mine.raw[at:at+size]) {
			a.plain++
		}
		if bytes.Equal(x.matrix[at:at+size], x.mine.raw[at:at+size]) {
			a.matrix++
		}
	}
	return nil
}

func nonzero(vals []float32) bool {
	for _, v := range vals {
		if v != 0 {
			return true
		}
	}
	return false
}

// roleOf is a tensor's name without its block.
func roleOf(name string) string {
	n := names.Parse(name)
	n.Block = -1
	return n.String()
}
