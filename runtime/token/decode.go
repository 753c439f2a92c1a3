package token

import (
	"strings"
	"unicode/utf8"
)

// Decode is the text of ids; ids outside of the vocabulary are skipped. The text is as the ids
// spell it, which need not be UTF-8. A space that encoding puts in front is taken away.
func (t *Tokenizer) Decode(ids []int32, opts Options) string {
	var b strings.Builder
	c := cutter{t: t, begins: true}
	for _, id := range ids {
		if t.valid(id) && (opts.ParseSpecial || !t.IsControl(id)) {
			b.WriteString(c.piece(id))
		}
	}
	return b.String()
}

// cutter takes away the spaces that encoding puts before texts.
type cutter struct {
	t      *Tokenizer
	begins bool // a text begins here: nothing or an added token came before
}

// piece is what id adds to a text.
func (c *cutter) piece(id int32) string {
	piece, begins := c.t.pieces[id], c.begins
	k := c.t.kinds[id]
	c.begins = k == control || k == unknown || k == userDefined
	if begins && !c.begins && k != byteToken && c.t.coder.spaced() {
		return strings.TrimPrefix(piece, " ")
	}
	return piece
}

// Decoder decodes ids one by one into UTF-8: it holds back the bytes of a character until it
// is complete. Bytes that cannot become one are given out as U+FFFD.
type Decoder struct {
	Special bool // write control tokens out
	t       *Tokenizer
	cutter  cutter
	held    []byte
}

// NewDecoder is a decoder of a text from its beginning on that leaves control tokens out.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t, cutter: cutter{t, true}} }

// DecoderAfter is a decoder of what follows ids: a space goes on with their text, unless they end with an added token.
func (t *Tokenizer) DecoderAfter(ids []int32) *Decoder {
	d := t.NewDecoder()
	for _, id := range ids {
		if t.valid(id) {
			d.cutter.piece(id)
		}
	}
	return d
}

// Push is the text that is complete with id, often empty.
func (d *Decoder) Push(id int32) string {
	if !d.t.valid(id) || d.t.IsControl(id) && !d.Special {
		return ""
	}
	d.held = append(d.held, d.cutter.piece(id)...)
	n := len(d.held) - incomplete(d.held)
	out := strings.ToValidUTF8(string(d.held[:n]), string(utf8.RuneError))
	d.held = append(d.held[:0], d.held[n:]...)
	return out
}

// Flush is what was held back, as U+FFFD: the character it began is not coming.
func (d *Decoder) Flush() string {
	out := strings.ToValidUTF8(string(d.held), string(utf8.RuneError))
	d.held = d.held[:0]
	return out
}

// incomplete is the number of bytes at the end of b that begin a character but do not end it.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		tail := b[len(b)-n:]
		if utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
