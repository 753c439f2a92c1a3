package gguf

import (
	"fmt"
	"io"
	"math/bits"
)

// header is what one file says before its data.
type header struct {
	version    int
	alignment  int64
	dataOffset int64
	md         *Metadata
	tensors    []TensorInfo
	offsets    []int64 // parallel to tensors, in the data section
}

// readHeader reads and validates the header of a file of size bytes.
func readHeader(r io.ReaderAt, size int64) (*header, error) {
	h := newHeaderReader(r, size)
	version, err := h.preamble()
	if err != nil {
		return nil, err
	}
	nt, err := h.count("tensor count", minTensorInfo)
	if err != nil {
		return nil, err
	}
	nkv, err := h.count("KV count", minKV)
	if err != nil {
		return nil, err
	}
	out := &header{version: version}
	if out.md, err = h.metadata(nkv); err != nil {
		return nil, err
	}
	if out.alignment, err = alignmentOf(out.md); err != nil {
		return nil, h.errorf(h.off, "%v", err)
	}
	if err := h.tensorInfos(out, nt); err != nil {
		return nil, err
	}
	out.dataOffset = pad(h.off, out.alignment)
	return out, h.checkOffsets(out)
}

// preamble reads magic and version.
func (h *headerReader) preamble() (int, error) {
	if h.size == 0 {
		return 0, h.errorf(0, "not a GGUF file (empty)")
	}
	h.part = "file header"
	magic := h.tmp[:4]
	if h.size < 4 {
		magic = magic[:h.size]
	}
	if err := h.fill(magic); err != nil {
		return 0, err
	}
	if string(magic) != "GGUF" {
		return 0, h.errorf(0, "not a GGUF file (magic % x)", magic)
	}
	v, err := h.uint32()
	if err != nil {
		return 0, err
	}
	if v != 0 && v&0xffff == 0 { // a small number with its bytes in the other order
		return 0, &UnsupportedError{fmt.Sprintf("GGUF file is big-endian (version 0x%08x, big-endian version %d); only little-endian files are supported", v, bits.ReverseBytes32(v))}
	}
	if v != 2 && v != 3 {
		return 0, &UnsupportedError{fmt.Sprintf("GGUF version %d is not supported (versions 2 and 3 are)", v)}
	}
	return int(v), nil
}

// alignmentOf is the alignment of data that the metadata ask for.
func alignmentOf(md *Metadata) (int64, error) {
	v, ok := md.Get("general.alignment")
	if !ok {
		return defaultAlignment, nil
	}
	a, ok := v.(uint32)
	if !ok {
		return 0, fmt.Errorf("general.alignment is %T, want uint32", v)
	}
	if bits.OnesCount32(a) != 1 {
		return 0, fmt.Errorf("general.alignment %d is not a power of two", a)
	}
	return int64(a), nil
}

// pad rounds n up to a multiple of a power of two.
func pad(n, align int64) int64 { return (n + align - 1) &^ (align - 1) }

// tensorInfos reads n tensor infos.
func (h *headerReader) tensorInfos(out *header, n int64) error {
	h.part = "tensor infos"
	seen := map[string]bool{}
	for range n {
		at := h.off
		t, off, err := h.tensorInfo()
		if err != nil {
			return err
		}
		if seen[t.Name] {
			return h.errorf(at, "duplicate tensor name %q", t.Name)
		}
		seen[t.Name] = true
		out.tensors = append(out.tensors, t)
		out.offsets = append(out.offsets, off)
	}
	return nil
}

// tensorInfo reads name, shape, type and offset of one tensor.
func (h *headerReader) tensorInfo() (t TensorInfo, off int64, err error) {
	at := h.off
	if t.Name, err = h.string(); err != nil {
		return t, 0, err
	}
	if err := checkName(t.Name); err != nil {
		return t, 0, h.errorf(at, "%v", err)
	}
	dims, err := h.uint32()
	if err != nil {
		return t, 0, err
	}
	if dims > MaxDims {
		return t, 0, h.errorf(at, "tensor %q has %d dimensions, at most %d are allowed", t.Name, dims, MaxDims)
	}
	t.Shape = make(Shape, dims)
	for i := range t.Shape {
		d, err := h.uint64()
		if err != nil {
			return t, 0, err
		}
		t.Shape[i] = int64(d)
	}
	typ, err := h.uint32()
	if err != nil {
		return t, 0, err
	}
	t.Type = Type(typ)
	switch {
	case t.Type.Removed():
		return t, 0, h.errorf(at, "tensor %q: type %d (%v) was removed from ggml", t.Name, typ, t.Type)
	case !t.Type.Known():
		return t, 0, h.errorf(at, "tensor %q: type %d is unknown", t.Name, typ)
	}
	if err := t.Check(); err != nil {
		return t, 0, h.errorf(at, "%v", err)
	}
	u, err := h.uint64()
	if err == nil && int64(u) < 0 {
		err = h.errorf(at, "tensor %q: data offset %d lies outside of the file", t.Name, u)
	}
	return t, int64(u), err
}

// checkName fails on a tensor name that ggml could not hold.
func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("a tensor has no name")
	}
	if len(name) > maxNameLen {
		return fmt.Errorf("tensor name %.80q is longer than %d bytes", name, maxNameLen)
	}
	return nil
}

// checkOffsets proves that tensors follow each other with only padding between and end inside of the file.
func (h *headerReader) checkOffsets(out *header) error {
	var next, end int64 // where the next tensor must start, where the last one ended
	room := h.size - out.dataOffset
	for i, t := range out.tensors {
		off, n := out.offsets[i], t.Bytes()
		at := min(out.dataOffset+min(off, h.size), h.size)
		switch {
		case off%out.alignment != 0:
			return h.errorf(at, "tensor %q: offset %d is not aligned to %d", t.Name, off, out.alignment)
		case off > room || n > room-off:
			return h.errorf(h.size, "tensor %q data is not within the file bounds: %d bytes at offset %d lie outside of the file, which holds %d (truncated?)", t.Name, n, off, max(room, 0))
		case off < end:
			return h.errorf(at, "tensor %q: data overlap other tensors' (offset %d, expected %d)", t.Name, off, next)
		case off != next:
			return h.errorf(at, "tensor %q: offset %d is not the expected %d", t.Name, off, next)
		}
		end = off + n
		next = pad(end, out.alignment) // no overflow: end is within the file
	}
	return nil
}
