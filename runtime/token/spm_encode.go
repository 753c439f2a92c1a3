package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// spmEncoder is the scratch memory of one text at a time.
type spmEncoder struct {
	c      *spm
	cache  map[string][]int32
	ids    []int32
	chars  []string       // by position of ids: the character, for those that are no token
	at     []int32        // positions of ids that are left
	formed map[int32]pair // what unused tokens were made of
}

func (c *spm) encode(text string, ids []int32) ([]int32, error) {
	e := c.encoders.Get().(*spmEncoder)
	defer c.encoders.Put(e)
	if c.prefix {
		text = " " + text
	}
	return e.text(text, ids)
}

// text cuts the text where no token has both neighbours: merging never reaches across, so that each chunk is
// encoded by itself and remembered.
func (e *spmEncoder) text(text string, ids []int32) ([]int32, error) {
	start, before := 0, rune(-1)
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		switch {
		case r == ' ':
			r = space
		case r >= utf8.RuneSelf:
			if r, n = utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && n == 1 {
				r = -1
			}
		}
		if i > start && !e.c.joined(before, r) {
			var err error
			if ids, err = e.chunk(text[start:i], ids); err != nil {
				return nil, err
			}
			start = i
		}
		before = r
		i += n
	}
	return e.chunk(text[start:], ids)
}

// joined reports whether some token has the two characters side by side.
func (c *spm) joined(a, b rune) bool {
	if a < 0 || b < 0 {
		return false
	}
	if i, k := slot(a), slot(b); i >= 0 && k >= 0 {
		return c.ascii[i][k]
	}
	return c.joins[[2]rune{a, b}]
}

// chunk appends the ids of a text that is not empty.
func (e *spmEncoder) chunk(text string, ids []int32) ([]int32, error) {
	known, ok := e.cache[text]
	if !ok {
		merged, err := e.merge(text)
		if err != nil {
			return nil, err
		}
		if len(text) <= cacheBytes {
			if len(e.cache) >= cacheWords {
				clear(e.cache)
			}
			e.cache[strings.Clone(text)] = slices.Clone(merged)
		}
		known = merged
	}
	if c := e.c; len(known) > 0 && known[0] == c.unknown && len(ids) > 0 && ids[len(ids)-1] == c.unknown {
		known = known[1:] // neighbouring unknown characters are one
	}
	return append(ids, known...), nil
}

// merge is the ids of a chunk.
func (e *spmEncoder) merge(text string) ([]int32, error) {
	e.ids, e.chars = e.ids[:0], e.chars[:0]
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == ' ' {
			r = space
		}
		id, ok := e.c.symbols[r]
		if !ok || r == utf8.RuneError && n == 1 {
			id = -1
		}
		e.ids, e.chars = append(e.ids, id), append(e.chars, text[i:i+n])
		i += n
	}
	if len(e.ids) == 1 {
		return e.finish(nil, []int32{0})
	}
	clear(e.formed)
	next := e.mergeShort
	if len(e.ids) > smallWord {
		next = e.mergeLong
	}
	return e.finish(nil, next())
}

// lookup is what two neighbours become; unused tokens note what they are made of.
func (e *spmEncoder) lookup(left, right int32) merge {
	if left < 0 || right < 0 {
		return merge{rank: never}
	}
	m, ok := e.c.merges[pair{left, right}]
	if !ok {
		return merge{rank: never}
	}
	if e.c.t.kinds[m.id] == unused {
		if e.formed == nil {
			e.formed = map[int32]pair{}
		}
		e.formed[m.id] = pair{left, right}
	}
	return m
}

// mergeShort merges the best pair until there is none, and returns the positions that are left.
func (e *spmEncoder) mergeShort() []int32 {
	var ranks [smallWord]merge
	at := e.at[:0]
	for i := range e.ids {
		at = append(at, int32(i))
	}
	e.at = at
	for i := range len(at) - 1 {
		ranks[i] = e.lookup(e.ids[i], e.ids[i+1])
	}
	for n := len(at); n > 1; n-- {
		best := 0
		for i := 1; i < n-1; i++ {
			if ranks[i].rank < ranks[best].rank {
				best = i
			}
		}
		if ranks[best].rank == never {
			break
		}
		e.ids[at[best]] = ranks[best].id
		copy(at[best+1:], at[best+2:])
		at = at[:n-1]
		copy(ranks[best:n-2], ranks[best+1:n-1])
		if best+1 < len(at) {
			ranks[best] = e.lookup(e.ids[at[best]], e.ids[at[best+1]])
		}
		if best > 0 {
			ranks[best-1] = e.lookup(e.ids[at[best-1]], e.ids[at[best]])
		}
	}
	return at
}

// mergeLong is mergeShort in O(n log n): a linked list and a heap of candidates, in which outdated ones are skipped.
func (e *spmEncoder) mergeLong() []int32 {
	n := int32(len(e.ids))
	next, prev := make([]int32, n), make([]int32, n)
	q := make(candidates, 0, n)
	push := func(left, right int32) {
		if left < 0 || right >= n {
			return
		}
		if m := e.lookup(e.ids[left], e.ids[right]); m.rank != never {
			q.push(candidate{m, left, pair{e.ids[left], e.ids[right]}})
		}
	}
	for i := range n {
		next[i], prev[i] = i+1, i-1
		push(i, i+1)
	}
	const gone = -2
	for len(q) > 0 {
		c := q.pop()
		right := next[c.at]
		if e.ids[c.at] != c.pair.left || right >= n || e.ids[right] != c.pair.right {
			continue
		}
		e.ids[c.at], e.ids[right] = c.id, gone
		next[c.at] = next[right]
		if next[right] < n {
			prev[next[right]] = c.at
		}
		push(prev[c.at], c.at)
		push(c.at, next[c.at])
	}
	e.at = e.at[:0]
	for i := int32(0); i < n; i = next[i] {
		e.at = append(e.at, i)
	}
	return e.at
}

// finish appends the tokens at the positions: those that are none are spelled in bytes, or become the unknown token.
func (e *spmEncoder) finish(out, at []int32) ([]int32, error) {
	var err error
	for _, i := range at {
		if out, err = e.emit(out, e.ids[i], e.chars[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// emit appends a token. An unused one is never given: it is taken apart, or spelled if it is a character.
func (e *spmEncoder) emit(out []int32, id int32, char string) ([]int32, error) {
	t := e.c.t
	if t.valid(id) {
		if t.kinds[id] != unused {
			return append(out, id), nil
		}
		if p, ok := e.formed[id]; ok {
			return e.takeApart(out, p)
		}
		char = t.texts[id]
	}
	if char == " " {
		char = string(space)
	}
	return t.spell(out, char, e.c.unknown)
}

// takeApart gives the parts of an unused token; such a part can be a character that is no token.
func (e *spmEncoder) takeApart(out []int32, p pair) ([]int32, error) {
	var err error
	for _, id := range []int32{p.left, p.right} {
		if out, err = e.emit(out, id, e.c.char(id)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// char is the character with a number beyond the ids.
func (c *spm) char(n int32) string {
	if c.t.valid(n) {
		return ""
	}
	for r, m := range c.symbols { // rare: only to take unused tokens apart
		if m == n {
			return string(r)
		}
	}
	return ""
}

// spell appends the tokens of the bytes of a character, or the unknown token where one of them has none.
func (t *Tokenizer) spell(out []int32, char string, unknown int32) ([]int32, error) {
	n := len(out)
	for i := range len(char) {
		id := t.bytes[char[i]]
		if id < 0 && unknown < 0 {
			return nil, fmt.Errorf("token: no token for byte 0x%02x of %q", char[i], char)
		}
		if id < 0 {
			if n > 0 && out[n-1] == unknown {
				return out[:n], nil
			}
			return append(out[:n], unknown), nil
		}
		out = append(out, id)
	}
	return out, nil
}
