package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// Plan is what types and shapes fix before a byte is written.
type Plan struct {
	HeaderSize int64   // bytes up to the padding in front of the data section
	DataOffset int64   // byte offset of the data section
	Offsets    []int64 // of each tensor in the data section
	Size       int64   // of the whole file, bytes
	Alignment  int64
}

// Layout computes where everything in a file of these metadata and tensors will
// lie. It fails, naming the tensor or key, on what cannot stand in a GGUF file.
func Layout(md *Metadata, ts []TensorInfo) (Plan, error) {
	p, _, err := layout(md, ts)
	return p, err
}

// layout is Layout; it also returns the encoded header, padded up to the data section.
func layout(md *Metadata, ts []TensorInfo) (Plan, []byte, error) {
	var p Plan
	var err error
	if p.Alignment, err = alignmentOf(md); err != nil {
		return p, nil, fmt.Errorf("gguf: %w", err)
	}
	if err := p.place(ts); err != nil {
		return p, nil, err
	}
	header, err := encodeHeader(md, ts, p.Offsets)
	if err != nil {
		return p, nil, err
	}
	p.HeaderSize = int64(len(header))
	p.DataOffset = pad(p.HeaderSize, p.Alignment)
	header = append(header, make([]byte, p.DataOffset-p.HeaderSize)...)
	if p.Size > math.MaxInt64-p.DataOffset {
		return p, nil, fmt.Errorf("gguf: size of the file overflows")
	}
	p.Size += p.DataOffset
	return p, header, nil
}

// place sets Offsets, and Size to the bytes of the data section; every tensor is padded, the last one too.
func (p *Plan) place(ts []TensorInfo) error {
	seen := make(map[string]bool, len(ts))
	p.Offsets = make([]int64, len(ts))
	for i, t := range ts {
		if err := checkName(t.Name); err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
		if err := t.Check(); err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
		if seen[t.Name] {
			return fmt.Errorf("gguf: duplicate tensor name %q", t.Name)
		}
		seen[t.Name] = true
		p.Offsets[i] = p.Size
		if t.Bytes() > math.MaxInt64-p.Size-p.Alignment {
			return fmt.Errorf("gguf: tensor %q: size of the file overflows", t.Name)
		}
		p.Size = pad(p.Size+t.Bytes(), p.Alignment)
	}
	return nil
}

// encodeHeader is everything before the padding in front of the data section.
func encodeHeader(md *Metadata, ts []TensorInfo, offsets []int64) ([]byte, error) {
	var e encoder
	e.WriteString("GGUF")
	e.uint32(3)
	e.uint64(uint64(len(ts)))
	e.uint64(uint64(md.Len()))
	for k, v := range md.All() {
		if k == "" {
			return nil, fmt.Errorf("gguf: a metadata key is empty")
		}
		e.string(k)
		t, _, _ := TypeOf(v)
		e.uint32(uint32(t))
		if err := e.value(v, 0); err != nil {
			return nil, fmt.Errorf("gguf: key %q: %w", k, err)
		}
	}
	for i, t := range ts {
		e.string(t.Name)
		e.uint32(uint32(len(t.Shape)))
		for _, d := range t.Shape {
			e.uint64(uint64(d))
		}
		e.uint32(uint32(t.Type))
		e.uint64(uint64(offsets[i]))
	}
	return e.Bytes(), nil
}

// encoder appends values in GGUF's little-endian encoding.
type encoder struct{ bytes.Buffer }

func (e *encoder) uint32(v uint32) { e.Write(binary.LittleEndian.AppendUint32(e.AvailableBuffer(), v)) }
func (e *encoder) uint64(v uint64) { e.Write(binary.LittleEndian.AppendUint64(e.AvailableBuffer(), v)) }

func (e *encoder) string(s string) {
	e.uint64(uint64(len(s)))
	e.WriteString(s)
}

// value appends v without its type (an array with that of its elements).
func (e *encoder) value(v any, depth int) error {
	switch v := v.(type) {
	case string:
		e.string(v)
		return nil
	case []string:
		e.uint32(uint32(String))
		e.uint64(uint64(len(v)))
		for _, s := range v {
			e.string(s)
		}
		return nil
	case Array:
		return e.array(v, depth+1)
	}
	t, elem, ok := TypeOf(v)
	if !ok {
		return fmt.Errorf("value of type %T", v)
	}
	if t == ArrayType {
		e.uint32(uint32(elem))
		e.uint64(uint64(sliceLen(v)))
	}
	// What is left are numbers, bools and slices of them, which package binary encodes as GGUF does.
	return binary.Write(&e.Buffer, binary.LittleEndian, v)
}

// array appends an array of arrays.
func (e *encoder) array(a Array, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("arrays nested more than %d deep", maxNesting)
	}
	e.uint32(uint32(ArrayType))
	e.uint64(uint64(len(a)))
	for i, v := range a {
		if t, _, ok := TypeOf(v); !ok || t != ArrayType {
			return fmt.Errorf("element %d of an array of arrays is a %T", i, v)
		}
		if err := e.value(v, depth); err != nil {
			return err
		}
	}
	return nil
}
