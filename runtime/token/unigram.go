package token

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/moeconv/moeconv/gguf"
)

// unigram is the coder of SentencePiece's unigram model: of all ways to cut the text into tokens the one with the highest sum of scores.
type unigram struct {
	t            *Tokenizer
	prefix       bool // a space goes before the text
	mergeSpaces  bool // runs of spaces become one, none at the end
	chars        *charsMap
	words        *trie
	added        *trie // user-defined tokens, which normalisation leaves alone
	scores       []float32
	unknown      int32
	unknownScore float64
}

// unknownPenalty is how much worse an unknown character is than the worst token.
const unknownPenalty = 10

// buildUnigram makes a unigram tokenizer.
func (t *Tokenizer) buildUnigram(md *gguf.Metadata) error {
	scores, err := t.readScored(md, map[role]int32{eos: 1, unk: 2}, false)
	if err != nil {
		return err
	}
	c := &unigram{t: t, scores: scores, unknown: t.unknownID(), words: newTrie(), added: newTrie()}
	if c.unknown < 0 {
		return fmt.Errorf("token: tokenizer.ggml.unknown_token_id is missing or outside of the vocabulary of %d", len(t.texts))
	}
	if c.prefix, err = boolean(md, keySpacePrefix, false); err != nil {
		return err
	}
	if c.mergeSpaces, err = boolean(md, "tokenizer.ggml.remove_extra_whitespaces", false); err != nil {
		return err
	}
	raw, err := optional[[]uint8](md, "tokenizer.ggml.precompiled_charsmap")
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if c.chars, err = readCharsMap(raw); err != nil {
		return err
	}
	t.readBytes()
	c.readTokens()
	t.coder = c
	return nil
}

func (c *unigram) readTokens() {
	worst := float32(math.MaxFloat32)
	for i, k := range c.t.kinds {
		switch k {
		case normal, undefined:
			worst = min(worst, c.scores[i])
			c.words.add(c.t.texts[i], int32(i))
		case userDefined:
			c.words.add(c.t.texts[i], int32(i))
			c.added.add(c.t.texts[i], int32(i))
		case unused:
			c.words.add(c.t.texts[i], int32(i))
		}
	}
	c.unknownScore = float64(worst - unknownPenalty)
}

func (c *unigram) piece(text string) string { return strings.ReplaceAll(text, string(space), " ") }

func (c *unigram) spaced() bool { return c.prefix }

// step is the best way found to reach a position of the text: by this token, from there.
type step struct {
	id    int32
	from  int
	score float64
}

func (c *unigram) encode(text string, ids []int32) ([]int32, error) {
	norm, err := c.normalize(text)
	if err != nil || len(norm) == 0 {
		return ids, err
	}
	best := make([]step, len(norm)+1)
	for i := range best {
		best[i] = step{c.unknown, 0, -math.MaxFloat64}
	}
	best[0].score = 0
	for at := 0; at < len(norm); {
		_, size := utf8.DecodeRune(norm[at:])
		if !c.extend(best, norm, at, size) && best[at].score+c.unknownScore > best[at+size].score {
			best[at+size] = step{c.unknown, at, best[at].score + c.unknownScore}
		}
		at += size
	}
	return c.collect(best, ids), nil
}

// extend tries all tokens that begin at a position, and reports whether one of them is the single character there.
func (c *unigram) extend(best []step, norm []byte, at, size int) (single bool) {
	node := int32(0)
	for i := at; i < len(norm); i++ {
		if node = c.words.next(node, norm[i]); node < 0 {
			break
		}
		id := c.words.ids[node]
		if id < 0 {
			continue
		}
		single = single || i+1-at == size
		score := best[at].score // user-defined tokens cost nothing
		if c.t.kinds[id] != userDefined {
			score += float64(c.scores[id])
		}
		if score > best[i+1].score {
			best[i+1] = step{id, at, score}
		}
	}
	return single
}

// collect walks back from the end. Neighbouring unknown characters are one token.
func (c *unigram) collect(best []step, ids []int32) []int32 {
	begin := len(ids)
	for at := len(best) - 1; at > 0; at = best[at].from {
		if id := best[at].id; id != c.unknown || len(ids) == begin || ids[len(ids)-1] != c.unknown {
			ids = append(ids, id)
		}
	}
	slices.Reverse(ids[begin:])
	return ids
}

// normalize maps characters as the model was trained with, and writes spaces as tokens spell them.
func (c *unigram) normalize(text string) ([]byte, error) {
	out := make([]byte, 0, len(text)+len(text)/2+3)
	prefixed, inWord := false, false
	for text != "" {
		part, n, err := c.normalizePrefix(text)
		if err != nil {
			return nil, err
		}
		for i := range len(part) {
			if part[i] == ' ' {
				inWord = false
				if !c.mergeSpaces {
					out = append(out, string(space)...)
				}
				continue
			}
			if !inWord {
				inWord = true
				if c.prefix && !prefixed || c.mergeSpaces {
					out = append(out, string(space)...)
					prefixed = true
				}
			}
			out = append(out, part[i])
		}
		text = text[n:]
	}
	for c.mergeSpaces && bytes.HasSuffix(out, []byte(string(space))) { // spelled as tokens spell it
		out = out[:len(out)-len(string(space))]
	}
	return out, nil
}

// normalizePrefix is what the first n bytes of text become.
func (c *unigram) normalizePrefix(text string) (part string, n int, err error) {
	if n := c.added.longest(text); n > 0 {
		return text[:n], n, nil
	}
	if part, n, err = c.chars.longest(text); n > 0 || err != nil {
		return part, n, err
	}
	if r, n := utf8.DecodeRuneInString(text); r != utf8.RuneError || n > 1 {
		return text[:n], n, nil
	}
	return string(utf8.RuneError), 1, nil
}
