package token

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moeconv/moeconv/gguf/pretoken"
)

// encoder is the scratch memory of one Encode at a time.
type encoder struct {
	t       *Tokenizer
	cache   *wordCache
	buf     []int32
	spelled []byte
	err     error
}

func newEncoder(t *Tokenizer) *encoder { return &encoder{t: t, cache: newWordCache()} }

// Encode is the ids of text. Bytes that are not UTF-8 keep their own tokens where the
// vocabulary has such, and become U+FFFD otherwise. The error says which byte has no token at all.
func (t *Tokenizer) Encode(text string, opts Options) ([]int32, error) {
	ids := make([]int32, 0, len(text)/3+2)
	if opts.AddSpecial && t.addBOS {
		ids = append(ids, t.special[bos])
	}
	m := t.added[0]
	if opts.ParseSpecial {
		m = t.added[1]
	}
	for text != "" {
		at, end, id := m.find(text)
		if at > 0 {
			var err error
			if ids, err = t.coder.encode(text[:at], ids); err != nil {
				return nil, err
			}
		}
		if id >= 0 {
			ids = append(ids, id)
		}
		text = text[end:]
		if t.strips[id] {
			text = strings.TrimLeftFunc(text, unicode.IsSpace)
		}
	}
	if opts.AddSpecial && t.addEOS {
		ids = append(ids, t.special[eos])
	}
	return ids, nil
}

// bpe is the coder of byte-level BPE.
type bpe struct {
	t   *Tokenizer
	nfc bool // text is composed first
}

func (c bpe) encode(text string, ids []int32) ([]int32, error) {
	if c.nfc {
		text = compose(text)
	}
	e := c.t.encoders.Get().(*encoder)
	defer c.t.encoders.Put(e)
	return e.words(text, ids)
}

func (c bpe) piece(text string) string {
	if piece, ok := pretoken.Unspell(text); ok {
		return piece
	}
	return text
}

func (c bpe) spaced() bool { return false }

// words encodes text without added tokens.
func (e *encoder) words(text string, ids []int32) ([]int32, error) {
	if text == "" {
		return ids, nil
	}
	e.err = nil
	err := e.t.splitter.Split(text, func(word string) bool {
		ids = e.word(word, ids)
		return e.err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return ids, e.err
}

func (e *encoder) word(word string, ids []int32) []int32 {
	slot := e.cache.slot(word)
	if slot == nil {
		return append(ids, e.encodeWord(word)...)
	}
	if !slot.holds(word) {
		merged := e.encodeWord(word)
		if e.err != nil {
			return ids
		}
		slot.put(word, merged)
		return append(ids, merged...)
	}
	return append(ids, slot.ids[:slot.count]...)
}

func (e *encoder) encodeWord(word string) []int32 {
	if e.t.ignoreMerges {
		e.spelled = e.spelled[:0]
		for i := range len(word) {
			e.spelled = append(e.spelled, pretoken.Letter(word[i])...)
		}
		if id, ok := e.t.ids[string(e.spelled)]; ok && e.t.kinds[id] != userDefined && e.t.kinds[id] != control {
			return append(e.buf[:0], id)
		}
	}
	e.buf = e.buf[:0]
	for i := range len(word) {
		if id := e.t.bytes[word[i]]; id >= 0 {
			e.buf = append(e.buf, id)
			continue
		}
		if valid := utf8.ValidString(word); valid || e.t.invalid == nil {
			e.err = fmt.Errorf("token: no token for byte 0x%02x of %q", word[i], word)
			return nil
		}
		e.buf = append(e.buf, e.t.invalid...)
	}
	return e.mergeWord(e.buf)
}

// encodeInvalid is the bytes of U+FFFD as ids, nil where the vocabulary lacks one of them.
func (t *Tokenizer) encodeInvalid() []int32 {
	var ids []int32
	for _, b := range []byte(string(utf8.RuneError)) {
		if t.bytes[b] < 0 {
			return nil
		}
		ids = append(ids, t.bytes[b])
	}
	return ids
}

// matcher finds the tokens that are matched in the text before anything else: a trie over their bytes.
type matcher struct {
	first [256]bool
	edges map[edge]int32
	ends  []int32 // by node: the id that ends there, -1 for none
}

type edge struct {
	node int32
	b    byte
}

func newMatcher() *matcher { return &matcher{edges: map[edge]int32{}, ends: []int32{-1}} }

func (m *matcher) add(text string, id int32) {
	node := int32(0)
	m.first[text[0]] = true
	for i := range len(text) {
		e := edge{node, text[i]}
		next, ok := m.edges[e]
		if !ok {
			next = int32(len(m.ends))
			m.edges[e] = next
			m.ends = append(m.ends, -1)
		}
		node = next
	}
	m.ends[node] = id
}

// find is the leftmost token in text and the longest there; id -1 and at the text's end when there is none.
func (m *matcher) find(text string) (at, end int, id int32) {
	for at := range len(text) {
		if !m.first[text[at]] {
			continue
		}
		node, id, end := int32(0), int32(-1), at
		for i := at; i < len(text); i++ {
			next, ok := m.edges[edge{node, text[i]}]
			if !ok {
				break
			}
			node = next
			if m.ends[node] >= 0 {
				id, end = m.ends[node], i+1
			}
		}
		if id >= 0 {
			return at, end, id
		}
	}
	return len(text), len(text), -1
}

func (t *Tokenizer) buildMatchers() {
	t.added = [2]*matcher{newMatcher(), newMatcher()}
	for i, text := range t.texts {
		switch t.kinds[i] {
		case userDefined:
			t.added[0].add(text, int32(i))
			t.added[1].add(text, int32(i))
		case control, unknown:
			t.added[1].add(text, int32(i))
		}
	}
}
