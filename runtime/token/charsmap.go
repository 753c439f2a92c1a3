package token

import (
	"encoding/binary"
	"errors"
	"strings"
)

// charsMap is SentencePiece's precompiled normalisation: a double array (XOR-compressed) of the texts that change,
// and what they become, each ended by a zero byte.
type charsMap struct {
	nodes []uint32
	texts string
}

var errCharsMap = errors.New("token: tokenizer.ggml.precompiled_charsmap is damaged")

// readCharsMap reads the blob: the array's size in bytes, the array, the texts. Nothing gives a map that changes nothing.
func readCharsMap(raw []byte) (*charsMap, error) {
	if len(raw) == 0 {
		return &charsMap{}, nil
	}
	if len(raw) < 4 {
		return nil, errCharsMap
	}
	size := binary.LittleEndian.Uint32(raw)
	if uint64(size)+4 >= uint64(len(raw)) {
		return nil, errCharsMap
	}
	m := &charsMap{nodes: make([]uint32, size/4), texts: string(raw[4+size:])}
	for i := range m.nodes {
		m.nodes[i] = binary.LittleEndian.Uint32(raw[4+4*i:])
	}
	return m, nil
}

// A node has the offset of its children in bits 10 to 30, times 256 if bit 9 is set; bit 8 says that a text ends here and the
// first child holds what becomes of it; the low bits (and bit 31) are the byte that leads here.
func offset(node uint32) uint32 { return node >> 10 << (node & (1 << 9) >> 6) }

// longest is what the longest known beginning of text becomes, and its length; 0 where there is none.
func (m *charsMap) longest(text string) (becomes string, n int, err error) {
	if len(m.nodes) == 0 {
		return "", 0, nil
	}
	at := offset(m.nodes[0])
	value := uint32(0)
	for i := range len(text) {
		b := uint32(text[i])
		if at ^= b; b == 0 || uint64(at) >= uint64(len(m.nodes)) {
			break
		}
		node := m.nodes[at]
		if node&(1<<31|0xff) != b {
			break
		}
		at ^= offset(node)
		if node>>8&1 != 0 {
			if uint64(at) >= uint64(len(m.nodes)) {
				return "", 0, errCharsMap
			}
			n, value = i+1, m.nodes[at]&(1<<31-1)
		}
	}
	if n == 0 {
		return "", 0, nil
	}
	if uint64(value) >= uint64(len(m.texts)) {
		return "", 0, errCharsMap
	}
	becomes, _, ok := strings.Cut(m.texts[value:], "\x00")
	if !ok {
		return "", 0, errCharsMap
	}
	return becomes, n, nil
}
