package token

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/moeconv/moeconv/gguf"
)

// spm is the coder of SentencePiece BPE: characters merge into tokens, the highest score first and the leftmost
// among equals; what is no token in the end is spelled in bytes.
type spm struct {
	t        *Tokenizer
	prefix   bool                         // a space goes before the text
	symbols  map[rune]int32               // characters that occur in tokens: their own token, or a number beyond all ids
	merges   map[pair]merge               // what two neighbours become
	joins    map[[2]rune]bool             // neighbouring characters of which some token has both
	ascii    [asciiRunes][asciiRunes]bool // joins, for the characters that have a slot
	unknown  int32                        // -1 where there is none
	encoders sync.Pool
}

const (
	space      = '▁' // how tokens spell a space
	asciiRunes = utf8.RuneSelf + 1
	// longestMerged bounds the length of tokens that merging can make, in bytes: the time to find their parts grows with its square.
	longestMerged = 512
)

const (
	keyScores      = "tokenizer.ggml.scores"
	keySpacePrefix = "tokenizer.ggml.add_space_prefix"
)

// buildSPM makes a SentencePiece BPE tokenizer.
func (t *Tokenizer) buildSPM(md *gguf.Metadata) error {
	scores, err := t.readScored(md, map[role]int32{bos: 1, eos: 2, unk: 0}, true)
	if err != nil {
		return err
	}
	c := &spm{t: t, prefix: true, unknown: t.unknownID()}
	if c.prefix, err = boolean(md, keySpacePrefix, true); err != nil {
		return err
	}
	t.readBytes()
	c.readSymbols()
	c.readMerges(ranks(scores))
	c.encoders.New = func() any { return &spmEncoder{c: c, cache: map[string][]int32{}} }
	t.coder = c
	t.strips = t.stripping()
	return nil
}

// readScored reads what the kinds with scores have in common. ids are those special tokens have unless the metadata says otherwise.
func (t *Tokenizer) readScored(md *gguf.Metadata, ids map[role]int32, addBOS bool) ([]float32, error) {
	if err := t.readTokens(md); err != nil {
		return nil, err
	}
	scores, err := optional[[]float32](md, keyScores)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if scores != nil && len(scores) != len(t.texts) {
		return nil, fmt.Errorf("token: %d tokens but %d in %s", len(t.texts), len(scores), keyScores)
	}
	if scores == nil {
		scores = make([]float32, len(t.texts))
	}
	for r, id := range ids {
		if t.valid(id) {
			t.special[r] = id
		}
	}
	t.addBOS, t.addEOS = addBOS, !addBOS
	if err := t.readSpecial(md); err != nil {
		return nil, err
	}
	t.findEOG()
	return scores, nil
}

// boolean is the value of key, or what it is without one.
func boolean(md *gguf.Metadata, key string, without bool) (bool, error) {
	if _, ok := md.Get(key); !ok {
		return without, nil
	}
	v, err := gguf.Value[bool](md, key)
	if err != nil {
		return false, fmt.Errorf("token: %w", err)
	}
	return v, nil
}

func (t *Tokenizer) unknownID() int32 {
	if id, ok := t.special[unk]; ok {
		return id
	}
	return -1
}

// readBytes finds the tokens of single bytes.
func (t *Tokenizer) readBytes() {
	for b := range t.bytes {
		t.bytes[b] = -1
	}
	for id, k := range t.kinds {
		if b, ok := parseByte(t.texts[id]); ok && k == byteToken && t.bytes[b] < 0 {
			t.bytes[b] = int32(id)
		}
	}
}

// ranks numbers scores from the highest on, equal ones alike.
func ranks(scores []float32) []int32 {
	order := make([]int32, len(scores))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(scores[b], scores[a]) })
	out := make([]int32, len(scores))
	for i := range order {
		if i > 0 && scores[order[i]] == scores[order[i-1]] {
			out[order[i]] = out[order[i-1]]
			continue
		}
		out[order[i]] = int32(i)
	}
	return out
}

// merged reports whether characters can merge into the token. Those of the other kinds are found in the text
// itself or not at all, as SentencePiece has it; llama.cpp merges into any.
func (c *spm) merged(id int32) bool {
	k := c.t.kinds[id]
	return (k == normal || k == unused || k == undefined) && len(c.t.texts[id]) <= longestMerged && utf8.ValidString(c.t.texts[id])
}

// readSymbols numbers the characters that occur in tokens.
func (c *spm) readSymbols() {
	c.symbols, c.joins = map[rune]int32{}, map[[2]rune]bool{}
	for i, text := range c.t.texts {
		if !c.merged(int32(i)) {
			continue
		}
		before := rune(-1)
		for _, r := range text {
			c.symbol(r)
			if before >= 0 {
				c.joins[[2]rune{before, r}] = true
				if a, b := slot(before), slot(r); a >= 0 && b >= 0 {
					c.ascii[a][b] = true
				}
			}
			before = r
		}
	}
}

// symbol is the number of a character that occurs in some token.
func (c *spm) symbol(r rune) int32 {
	n, ok := c.symbols[r]
	if !ok {
		if id, is := c.t.ids[string(r)]; is && c.merged(id) {
			n = id
		} else {
			n = int32(len(c.t.texts) + len(c.symbols)) // no two alike: symbols only grows
		}
		c.symbols[r] = n
	}
	return n
}

// slot is a character's place in the table of joins, -1 for those without one.
func slot(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return int(r)
	case r == space:
		return utf8.RuneSelf
	}
	return -1
}

// readMerges finds for every token the pairs it can be made of.
func (c *spm) readMerges(rank []int32) {
	c.merges = make(map[pair]merge, 2*len(c.t.texts))
	for i, text := range c.t.texts {
		if !c.merged(int32(i)) {
			continue
		}
		for at := range text {
			if at == 0 {
				continue
			}
			left, right := c.part(text[:at]), c.part(text[at:])
			if left >= 0 && right >= 0 {
				c.merges[pair{left, right}] = merge{rank[i], int32(i)}
			}
		}
	}
}

// part is the number of a token or a single character, -1 for other texts.
func (c *spm) part(text string) int32 {
	if id, ok := c.t.ids[text]; ok && c.merged(id) {
		return id
	}
	if r, n := utf8.DecodeRuneInString(text); n == len(text) {
		return c.symbols[r]
	}
	return -1
}

func (c *spm) piece(text string) string { return strings.ReplaceAll(text, string(space), " ") }

func (c *spm) spaced() bool { return c.prefix }
