package imatrix

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// readLegacy takes an importance matrix in the form of before 2025, little-endian: the number of entries, and for each
// the length of its name, the name, the number of calls, the number of values and the values as float32. Then may follow
// the number of chunks and the name of the text. Values are means times calls; there are no counts by expert.
func readLegacy(r io.Reader, size int64) (*Matrix, error) {
	m := &Matrix{entries: map[string]entry{}}
	var err error
	m.chunks, m.datasets, err = legacyEntries(r, size, func(name string, values []float32, calls int32) {
		for i := range values {
			if calls > 0 {
				values[i] /= float32(calls)
			}
		}
		m.entries[name] = entry{values: values}
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// legacyEntries calls f for each entry and returns what follows them.
func legacyEntries(r io.Reader, size int64, f func(name string, values []float32, calls int32)) (chunks int64, datasets []string, err error) {
	d := &legacyReader{r: bufio.NewReaderSize(r, 1<<16), left: size}
	n := d.int()
	if d.err != nil || n < 1 {
		return 0, nil, errors.New("neither a GGUF file nor an importance matrix of the older form")
	}
	for i := range n {
		name, values, calls := d.entry()
		if d.err != nil {
			return 0, nil, fmt.Errorf("entry %d of %d (older form): %w", i+1, n, d.err)
		}
		f(name, values, calls)
	}
	c := d.int()
	if d.err != nil { // files from before chunks were counted
		return 0, nil, nil
	}
	if dataset := d.text(); d.err == nil && dataset != "" {
		datasets = []string{dataset}
	}
	return max(0, int64(c)), datasets, nil
}

// legacyReader reads fields until the first error. left is what the file can still hold.
type legacyReader struct {
	r    io.Reader
	left int64
	err  error
}

func (d *legacyReader) bytes(n int64) []byte {
	if d.err == nil && (n < 0 || n > d.left) {
		d.err = fmt.Errorf("%d bytes of %d that are left: %w", n, d.left, io.ErrUnexpectedEOF)
	}
	if d.err != nil {
		return nil
	}
	b := make([]byte, n)
	_, d.err = io.ReadFull(d.r, b)
	d.left -= n
	return b
}

func (d *legacyReader) int() int32 {
	b := d.bytes(4)
	if d.err != nil {
		return 0
	}
	return int32(binary.LittleEndian.Uint32(b))
}

// text ends at a zero byte where it holds one.
func (d *legacyReader) text() string {
	b := d.bytes(int64(d.int()))
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func (d *legacyReader) entry() (name string, values []float32, calls int32) {
	name = d.text()
	calls = d.int()
	n := int64(d.int())
	if d.err == nil && n < 1 {
		d.err = fmt.Errorf("tensor %q: %d values", name, n)
	}
	raw := d.bytes(4 * n)
	if d.err != nil {
		return "", nil, 0
	}
	values = make([]float32, n)
	for i := range values {
		v := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if !(v >= 0) || v > math.MaxFloat32 {
			d.err = fmt.Errorf("tensor %q: value %d is %v", name, i, v)
			return "", nil, 0
		}
		values[i] = v
	}
	return name, values, calls
}
