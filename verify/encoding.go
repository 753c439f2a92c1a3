package verify

import (
	"bytes"
	"cmp"
	"context"

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
	taken  bool // the source has the tensor encoded, in the same type
	entry  bool // the importance matrix has an entry for the tensor
	blocks int  // compared; those of zeros say nothing
	plain  int  // equal to an encoding without an importance matrix
	matrix int  // equal to one with it
	err    error

	importance []float32 // the entry, a row for each matrix of the tensor
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

// checkEncoding looks at what encoding a sample of the source's rows again gives. Encoders of one kind give the same bytes,
// so it tells with which importance matrix, if any, each tensor was encoded; a file in which that changes from tensor to
// tensor is put together from several. What is not the source's has other bytes whatever the matrix, and is left to fidelity.
func checkEncoding(ctx context.Context, s *Subject) Result {
	if s.Reference == nil {
		return NewResult(NotApplicable, "no source to encode again")
	}
	a, err := s.audit(ctx)
	if err != nil {
		return failure(err)
	}
	var units []again
	for i, c := range a.got {
		if c.again != nil && a.sound(i) {
			units = append(units, *c.again)
			units[len(units)-1].err = cmp.Or(c.err, c.again.err)
		}
	}
	if len(units) == 0 {
		return NewResult(NotApplicable, "no tensor is quantized from values that the source has")
	}
	return s.judgeEncoding(units)
}

// encodeAgain chooses what is encoded again: some experts of each quantized tensor, and all others.
func (a *audit) encodeAgain(l *lineup) {
	_, ckpt := l.Reference.(interface{ Quirks() []convert.Quirk })
	for ref, first := range a.first {
		rt, t := l.refs[ref], a.tensors[a.units[first].tensor]
		if !t.Type.Quantized() || a.got[first].skipped || rt.Type.Quantized() && rt.Type != t.Type && !ckpt {
			continue // another file is not what this one was made from
		}
		n := int(rt.Shape.Rows()) / a.units[first].rows
		most := encodedExperts
		switch {
		case l.Full:
			most = n
		case searched[t.Type]:
			most = slowExperts
		}
		x := again{info: t, taken: rt.Type == t.Type}
		if l.Imatrix.Len() > 0 {
			e, ok := l.Imatrix.Entry(t.Name)
			if x.entry = ok && int64(len(e)) == t.Shape.NE(0)*t.Shape.NE(2); x.entry {
				x.importance = e
			}
		}
		for _, e := range a.sampler.some(t.Name, most, n) {
			one := x
			one.unit = a.units[first+e]
			a.got[first+e].again = &one
		}
	}
}

// encoded is the rows of a unit, of those sampled, that are encoded again.
func (a *audit) encoded(i int, rows []int) []int {
	switch {
	case a.got[i].again == nil:
		return nil
	case a.units[i].expert < 0:
		return spread(rows, slowExperts*encodedRows)
	}
	return spread(rows, encodedRows)
}

// row encodes the k-th row that w has read, row of the tensor, and compares it with the file's.
func (a *again) row(w *lineupWorker, k, row int) {
	ne0, length, bytesOf := int(a.info.Shape.NE(0)), a.info.Type.BlockLen(), int(a.info.RowBytes())
	mine, vals := w.mine.raw[k*bytesOf:][:bytesOf], w.theirs.vals[k*ne0:][:ne0]
	w.plain, w.matrix = resize(w.plain, bytesOf), resize(w.matrix, bytesOf)
	codec, _ := block.For(a.info.Type)
	switch {
	case a.err != nil:
		return
	case a.taken:
		copy(w.plain, w.theirs.raw[k*bytesOf:])
	case codec.NeedsImportance:
		clear(w.plain) // there is no encoding without
	default:
		a.err = block.EncodeRows(a.info.Type, w.plain, vals, ne0, nil)
	}
	copy(w.matrix, w.plain)
	if a.entry && !a.taken && a.err == nil {
		e := row / int(a.info.Shape.NE(1))
		a.err = block.EncodeRows(a.info.Type, w.matrix, vals, ne0, a.importance[e*ne0:][:ne0])
	}
	if a.err != nil {
		return
	}
	size := a.info.Type.BlockSize()
	for b := range ne0 / length {
		if !nonzero(vals[b*length : (b+1)*length]) {
			continue
		}
		at := b * size
		a.blocks++
		if bytes.Equal(w.plain[at:at+size], mine[at:at+size]) {
			a.plain++
		}
		if bytes.Equal(w.matrix[at:at+size], mine[at:at+size]) {
			a.matrix++
		}
	}
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
