package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Limits of the format as ggml has them; anything beyond is a damaged length field.
const (
	maxNameLen       = 63      // bytes of a tensor's name (GGML_MAX_NAME less its zero byte)
	maxHeader        = 1 << 28 // bytes before the data; the largest vocabularies need a tenth
	maxNesting       = 8       // arrays in arrays
	defaultAlignment = 32
)

// Least encoded sizes in bytes: what a count at the head of a file can be checked against before anything is read.
const (
	minKV         = 8 + 1 + 4 + 1     // key length, key of one byte, type, value of one byte
	minTensorInfo = 8 + 1 + 4 + 4 + 8 // name length, name of one byte, dimensions, type, offset
	minString     = 8
	minArray      = 4 + 8
)

// headerReader reads the header forward with buffered preads. Lengths are
// checked against what is left of the file, and memory grows with what was really read.
type headerReader struct {
	r    *bufio.Reader
	off  int64  // offset of the next byte
	size int64  // bytes in the file
	end  int64  // no header goes beyond: size, or maxHeader in a larger (perhaps sparse) file
	part string // what is being read, for the message when the file ends
	tmp  [8]byte
}

func newHeaderReader(r io.ReaderAt, size int64) *headerReader {
	return &headerReader{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10), size: size, end: min(size, maxHeader)}
}

func (h *headerReader) left() int64 { return h.end - h.off }

func (h *headerReader) errorf(off int64, format string, args ...any) error {
	return &FormatError{Off: off, Msg: fmt.Sprintf(format, args...)}
}

// fill reads len(p) bytes.
func (h *headerReader) fill(p []byte) error {
	if int64(len(p)) > maxHeader-h.off {
		return h.errorf(h.off, "the header is larger than %d bytes", maxHeader)
	}
	n, err := io.ReadFull(h.r, p)
	h.off += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return h.errorf(h.off, "unexpected end of file in the %s", h.part)
	}
	return err
}

func (h *headerReader) uint32() (uint32, error) {
	err := h.fill(h.tmp[:4])
	return binary.LittleEndian.Uint32(h.tmp[:]), err
}

func (h *headerReader) uint64() (uint64, error) {
	err := h.fill(h.tmp[:8])
	return binary.LittleEndian.Uint64(h.tmp[:]), err
}

// count reads a number of things of at least unit bytes each and fails when so many cannot follow.
func (h *headerReader) count(what string, unit int64) (int64, error) {
	at := h.off
	n, err := h.uint64()
	if err != nil {
		return 0, err
	}
	if n > uint64(h.left()/unit) {
		return 0, h.errorf(at, "%s %d does not fit the file of %d bytes", what, n, h.size)
	}
	return int64(n), nil
}

// bytes reads n bytes in chunks, so that a false length in a sparse file costs no more than what is there.
func (h *headerReader) bytes(n int64) ([]byte, error) {
	const chunk = 1 << 20
	buf := make([]byte, 0, min(n, chunk))
	for int64(len(buf)) < n {
		m := min(n-int64(len(buf)), chunk)
		buf = append(buf, make([]byte, m)...)
		if err := h.fill(buf[int64(len(buf))-m:]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

func (h *headerReader) string() (string, error) {
	at := h.off
	n, err := h.uint64()
	if err != nil {
		return "", err
	}
	if n > uint64(h.size-h.off) {
		// Both are true of a cut file and of a damaged length; the offsets tell which.
		return "", h.errorf(at, "string length %d at offset %d exceeds the file: unexpected end of file in the %s", n, at, h.part)
	}
	if n > uint64(h.left()) {
		return "", h.errorf(at, "string length %d at offset %d exceeds the %d bytes a header may have", n, at, maxHeader)
	}
	b, err := h.bytes(int64(n))
	return string(b), err
}

// metadata reads n keys with their values.
func (h *headerReader) metadata(n int64) (*Metadata, error) {
	md := &Metadata{}
	h.part = "KV section"
	for i := range n {
		at := h.off
		key, err := h.string()
		if err != nil {
			return nil, err
		}
		if key == "" {
			return nil, h.errorf(at, "key %d is empty", i)
		}
		if _, ok := md.Get(key); ok {
			return nil, h.errorf(at, "duplicate key %q", key)
		}
		v, err := h.value(key)
		if err != nil {
			return nil, err
		}
		md.Set(key, v)
	}
	return md, nil
}

// value reads a type and a value of that type.
func (h *headerReader) value(key string) (any, error) {
	at := h.off
	t, err := h.uint32()
	if err != nil {
		return nil, err
	}
	switch ValueType(t) {
	case String:
		return h.string()
	case ArrayType:
		return h.array(key, 1)
	}
	size := scalarSize(ValueType(t))
	if size == 0 {
		return nil, h.errorf(at, "key %q: unknown value type %d", key, t)
	}
	at = h.off
	if err := h.fill(h.tmp[:size]); err != nil {
		return nil, err
	}
	if ValueType(t) == Bool && h.tmp[0] > 1 {
		return nil, h.errorf(at, "key %q: byte %d is not a bool", key, h.tmp[0])
	}
	return scalar(ValueType(t), h.tmp[:size]), nil
}

// scalarSize is the encoded size of a scalar type, 0 for others.
func scalarSize(t ValueType) int {
	switch t {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16:
		return 2
	case Uint32, Int32, Float32:
		return 4
	case Uint64, Int64, Float64:
		return 8
	}
	return 0
}

// scalar decodes one scalar of type t.
func scalar(t ValueType, b []byte) any {
	switch t {
	case Uint8:
		return b[0]
	case Int8:
		return int8(b[0])
	case Bool:
		return b[0] == 1
	case Uint16:
		return binary.LittleEndian.Uint16(b)
	case Int16:
		return int16(binary.LittleEndian.Uint16(b))
	case Uint32:
		return binary.LittleEndian.Uint32(b)
	case Int32:
		return int32(binary.LittleEndian.Uint32(b))
	case Float32:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case Uint64:
		return binary.LittleEndian.Uint64(b)
	case Int64:
		return int64(binary.LittleEndian.Uint64(b))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// array reads an array: the type of its elements, their number, the elements.
func (h *headerReader) array(key string, depth int) (any, error) {
	at := h.off
	t, err := h.uint32()
	if err != nil {
		return nil, err
	}
	elem := ValueType(t)
	unit := int64(scalarSize(elem))
	switch elem {
	case String:
		unit = minString
	case ArrayType:
		unit = minArray
	}
	if unit == 0 {
		return nil, h.errorf(at, "key %q: unknown value type %d of an array", key, t)
	}
	if depth > maxNesting {
		return nil, h.errorf(at, "key %q: arrays nested more than %d deep", key, maxNesting)
	}
	at = h.off
	n, err := h.uint64()
	if err != nil {
		return nil, err
	}
	if n > uint64(h.left()/unit) {
		return nil, h.errorf(at, "array %q of %d elements exceeds the file", key, n)
	}
	switch elem {
	case String:
		return h.strings(int64(n))
	case ArrayType:
		return h.arrays(key, int64(n), depth)
	}
	return h.scalars(key, elem, int64(n))
}

func (h *headerReader) strings(n int64) ([]string, error) {
	out := make([]string, 0, min(n, 4096))
	for range n {
		s, err := h.string()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (h *headerReader) arrays(key string, n int64, depth int) (Array, error) {
	out := make(Array, 0, min(n, 4096))
	for range n {
		v, err := h.array(key, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (h *headerReader) scalars(key string, t ValueType, n int64) (any, error) {
	at := h.off
	b, err := h.bytes(n * int64(scalarSize(t)))
	if err != nil {
		return nil, err
	}
	if t == Bool {
		for i, v := range b {
			if v > 1 {
				return nil, h.errorf(at+int64(i), "key %q: byte %d is not a bool", key, v)
			}
		}
	}
	return scalarSlice(t, b), nil
}

// scalarSlice decodes a slice of scalars of type t.
func scalarSlice(t ValueType, b []byte) any {
	switch t {
	case Uint8:
		return b
	case Int8:
		return decodeSlice[int8](t, b)
	case Bool:
		return decodeSlice[bool](t, b)
	case Uint16:
		return decodeSlice[uint16](t, b)
	case Int16:
		return decodeSlice[int16](t, b)
	case Uint32:
		return decodeSlice[uint32](t, b)
	case Int32:
		return decodeSlice[int32](t, b)
	case Float32:
		return decodeSlice[float32](t, b)
	case Uint64:
		return decodeSlice[uint64](t, b)
	case Int64:
		return decodeSlice[int64](t, b)
	}
	return decodeSlice[float64](t, b)
}

func decodeSlice[T any](t ValueType, b []byte) []T {
	size := scalarSize(t)
	out := make([]T, len(b)/size)
	for i := range out {
		out[i] = scalar(t, b[i*size:]).(T)
	}
	return out
}
