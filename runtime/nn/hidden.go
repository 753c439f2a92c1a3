package nn

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
)

// hidden keeps the hidden states of texts, in memory or in a file that has no name any more.
type hidden struct {
	kept  [][]float32 // nil: in the file
	sizes []int       // values of each text
	at    []int64     // where it lies in the file
	file  *os.File
	buf   []float32
	raw   []byte
}

func newHidden(texts []Text, embedding int, memory int64) (*hidden, error) {
	h := &hidden{}
	var total int64
	for _, t := range texts {
		n := t.Ends[len(t.Ends)-1] * embedding
		h.sizes, h.at = append(h.sizes, n), append(h.at, total)
		total += 4 * int64(n)
	}
	if total <= memory {
		for _, n := range h.sizes {
			h.kept = append(h.kept, make([]float32, n))
		}
		return h, nil
	}
	f, err := os.CreateTemp("", "moeconv-hidden-*")
	if err != nil {
		return nil, fmt.Errorf("nn: hidden states: %w", err)
	}
	h.file = f
	if err := f.Truncate(total); err != nil {
		return nil, fmt.Errorf("nn: hidden states: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("nn: hidden states: %w", err)
	}
	return h, nil
}

// get is the values of text i, until the next call.
func (h *hidden) get(i int) ([]float32, error) {
	if h.file == nil {
		return h.kept[i], nil
	}
	h.buf = grow(h.buf, h.sizes[i])
	h.size(4 * h.sizes[i])
	if _, err := h.file.ReadAt(h.raw, h.at[i]); err != nil {
		return nil, fmt.Errorf("nn: hidden states: %w", err)
	}
	for j := range h.buf {
		h.buf[j] = math.Float32frombits(binary.LittleEndian.Uint32(h.raw[4*j:]))
	}
	return h.buf, nil
}

// put keeps what get returned, changed.
func (h *hidden) put(i int, x []float32) error {
	if h.file == nil {
		return nil
	}
	h.size(4 * len(x))
	for j, v := range x {
		binary.LittleEndian.PutUint32(h.raw[4*j:], math.Float32bits(v))
	}
	if _, err := h.file.WriteAt(h.raw, h.at[i]); err != nil {
		return fmt.Errorf("nn: hidden states: %w", err)
	}
	return nil
}

func (h *hidden) size(n int) {
	if cap(h.raw) < n {
		h.raw = make([]byte, n)
	}
	h.raw = h.raw[:n]
}
