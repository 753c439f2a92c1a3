package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"unicode/utf8"

	nst "github.com/nlpodyssey/safetensors"
)

// maxHeader is the format's limit on the length of the JSON header, in bytes.
const maxHeader = 100_000_000

// readHeader reads and checks the header of a file of size bytes. The tensors come
// in the order of their data; none reaches beyond the file and they fill it.
func readHeader(file string, r io.ReaderAt, size int64) ([]Tensor, error) {
	text, err := headerText(file, r, size)
	if err != nil {
		return nil, err
	}
	entries, err := scanHeader(file, text)
	if err != nil {
		return nil, err
	}
	var md nst.Metadata
	if err := json.Unmarshal(aliasDTypes(text, entries), &md); err != nil {
		return nil, fileErrorf(file, "header: %v", err)
	}
	infos := md.Tensors()
	if len(infos) != len(entries) {
		return nil, fileErrorf(file, "header: %d tensors read as %d", len(entries), len(infos))
	}
	base := 8 + int64(len(text))
	ts := make([]Tensor, 0, len(entries))
	for _, e := range entries {
		t, err := newTensor(file, e, infos[e.name])
		if err != nil {
			return nil, err
		}
		ts = append(ts, t)
	}
	if err := checkLayout(file, ts, size-base); err != nil {
		return nil, err
	}
	for i := range ts {
		ts[i].Off += base
	}
	return ts, nil
}

// headerText is the JSON, whose claimed length is checked against the file before memory is taken for it.
func headerText(file string, r io.ReaderAt, size int64) ([]byte, error) {
	head := make([]byte, min(size, 200))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fileErrorf(file, "header: %s", cause(err))
	}
	if err := checkPointer(file, head); err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, fileErrorf(file, "file is empty, too short for a safetensors header (unfinished download?)")
	}
	if size < 8 {
		return nil, fileErrorf(file, "file of %d bytes is too short for a safetensors header", size)
	}
	n := binary.LittleEndian.Uint64(head)
	if n > maxHeader {
		return nil, fileErrorf(file, "header length %d exceeds the limit of %d bytes (is this a safetensors file?)", n, maxHeader)
	}
	if n > uint64(size-8) {
		return nil, fileErrorf(file, "header length %d exceeds the file of %d bytes (unfinished download?)", n, size)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, 8, int64(n)), text); err != nil {
		return nil, fileErrorf(file, "header: %s", cause(err))
	}
	if !utf8.Valid(text) {
		return nil, fileErrorf(file, "header is not valid JSON: not UTF-8 at byte %d", 8+invalidUTF8(text))
	}
	return text, nil
}

// invalidUTF8 is the position of the first byte that is no UTF-8.
func invalidUTF8(p []byte) int {
	for i := 0; i < len(p); {
		c, n := utf8.DecodeRune(p[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(p)
}

// newTensor checks one header entry: its bytes are what its shape and dtype need. Off counts from the data section.
func newTensor(file string, e entry, info *nst.TensorInfo) (Tensor, error) {
	t := Tensor{Name: e.name, DType: e.dtype, Shard: file, Shape: make([]int64, len(info.Shape))}
	begin, end := info.DataOffsets[0], info.DataOffsets[1]
	if end < begin {
		return t, tensorErrorf(file, e.name, "data_offsets end before they begin: [%d, %d]", begin, end)
	}
	if end > math.MaxInt64/2 {
		return t, tensorErrorf(file, e.name, "data_offsets [%d, %d] lie outside of any file", begin, end)
	}
	n := int64(e.dtype.Bits())
	for i, d := range info.Shape {
		if d > math.MaxInt64 || d > 0 && n > math.MaxInt64/int64(d) {
			return t, tensorErrorf(file, e.name, "shape %v of %s overflows", info.Shape, e.dtype)
		}
		n *= int64(d)
		t.Shape[i] = int64(d)
	}
	if n%8 != 0 {
		return t, tensorErrorf(file, e.name, "shape %v of %s needs %d bits, not whole bytes", t.Shape, e.dtype, n)
	}
	t.Off, t.Size = int64(begin), int64(end-begin)
	if t.Size != n/8 {
		return t, tensorErrorf(file, e.name, "shape %v of %s needs %d bytes, data_offsets [%d, %d] give %d",
			t.Shape, e.dtype, n/8, begin, end, t.Size)
	}
	return t, nil
}
