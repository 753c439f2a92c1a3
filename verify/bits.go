package verify

import (
	"errors"
	"math/bits"
)

// bitWriter packs numbers into bytes, lowest bits first.
type bitWriter struct {
	out  []byte
	acc  uint64
	held int
}

// put appends the n lowest bits of v, 32 at most.
func (w *bitWriter) put(v uint32, n int) {
	w.acc |= uint64(v) << w.held
	for w.held += n; w.held >= 8; w.held -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
}

// rice appends a number by Rice's code: v>>k ones, a zero, and the k lowest bits. Numbers about 2^k take k+2 bits.
func (w *bitWriter) rice(v, k int) {
	q := v >> k
	for ; q >= 16; q -= 16 {
		w.put(0xffff, 16)
	}
	w.put(1<<q-1, q+1)
	w.put(uint32(v)&(1<<k-1), k)
}

// bytes is what was written, with zeros to the end of its last byte.
func (w *bitWriter) bytes() []byte {
	if w.held > 0 {
		w.put(0, 8-w.held)
	}
	return w.out
}

// riceFor is the k with which numbers of a mean are shortest.
func riceFor(mean float64) int { return max(0, bits.Len(uint(0.7*mean))-1) }

// bitReader reads what a bitWriter wrote. Its error stays.
type bitReader struct {
	in   []byte
	acc  uint64
	held int
	err  error
}

var errBits = errors.New("its record ends early: the file is damaged")

func (r *bitReader) get(n int) uint32 {
	for r.held < n {
		if len(r.in) == 0 {
			r.err = errBits
			return 0
		}
		r.acc |= uint64(r.in[0]) << r.held
		r.in, r.held = r.in[1:], r.held+8
	}
	v := uint32(r.acc & (1<<n - 1))
	r.acc, r.held = r.acc>>n, r.held-n
	return v
}

func (r *bitReader) rice(k int) int {
	q := 0
	for r.err == nil && r.get(1) == 1 {
		if q++; q > 1<<20 {
			r.err = errBits
		}
	}
	return q<<k | int(r.get(k))
}
