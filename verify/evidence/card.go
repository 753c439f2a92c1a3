package evidence

import (
	"fmt"
	"io/fs"
)

// CardName is the file of a bundle that tells where each number of the model card comes from.
const CardName = "card.json"

const cardSchema = "moeconv/card/1"

// Card is the record of a model card: every figure with its evidence, and every word that holds a digit.
type Card struct {
	Schema  string     `json:"schema"`
	File    string     `json:"file"`
	SHA256  string     `json:"sha256"` // as it was written; its prose may be edited after
	Figures []Figure   `json:"figures"`
	Words   []CardWord `json:"words"`
}

// Figure is one value on a card.
type Figure struct {
	Line     int    `json:"line"`
	Text     string `json:"text"`
	Evidence string `json:"evidence"`
	Pointer  string `json:"pointer"`
	Format   string `json:"format,omitempty"` // of Render
}

// CardWord is one word of a card that holds a digit.
type CardWord struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// NewCard is the record of a card's text and its figures.
func NewCard(file, sha string, figures []Figure, text string) *Card {
	c := &Card{Schema: cardSchema, File: file, SHA256: sha, Figures: figures, Words: []CardWord{}}
	for _, w := range Words(text) {
		c.Words = append(c.Words, CardWord{w.Line, w.Text})
	}
	return c
}

// card checks the card's record against the evidence, and the card against its record.
func (r *AuditReport) card(fsys fs.FS, m *Manifest, doc *Doc) {
	if _, ok := m.File(CardName); !ok {
		if doc != nil {
			r.add(Item{Name: "card", About: "the card comes from the bundle", Problems: []string{"the bundle has no " + CardName}})
		}
		return
	}
	var c Card
	if err := readJSON(fsys, CardName, &c); err != nil || c.Schema != cardSchema {
		r.add(Item{Name: "card", About: "the card comes from the bundle", Problems: []string{fmt.Sprintf("%s: %v (schema %q)", CardName, err, c.Schema)}})
		return
	}
	r.add(Item{Name: "card figures", About: "every figure of the card is what its evidence says", Problems: c.figures(fsys)})
	words := Item{Name: "card numbers", About: "every number of the card comes from the evidence"}
	if doc == nil {
		words.Problems = []string{c.File + " is missing"}
	} else {
		words.Problems = c.differences(string(doc.Data))
	}
	r.add(words)
}

func (c *Card) figures(fsys fs.FS) []string {
	var out []string
	docs := cached(fsys)
	for _, f := range c.Figures {
		text, err := f.render(docs)
		switch {
		case err != nil:
			out = append(out, fmt.Sprintf("line %d: %q: %v", f.Line, f.Text, err))
		case text != f.Text:
			out = append(out, fmt.Sprintf("line %d: %q, %s#%s says %q", f.Line, f.Text, f.Evidence, f.Pointer, text))
		}
	}
	return out
}

func (f *Figure) render(open func(string) (*document, error)) (string, error) {
	d, err := open(f.Evidence)
	if err != nil {
		return "", err
	}
	v, err := d.at(f.Pointer)
	if err != nil {
		return "", err
	}
	return Render(f.Format, v)
}

// differences finds the words with digits that a card has got or lost since it was written. Text between may be edited:
// only their order counts.
func (c *Card) differences(text string) []string {
	now := Words(text)
	var out []string
	i, j := 0, 0
	for i < len(c.Words) || j < len(now) {
		switch {
		case i < len(c.Words) && j < len(now) && c.Words[i].Text == now[j].Text:
			i, j = i+1, j+1
		case i < len(c.Words) && j < len(now) && (aligned(c.Words[i+1:], now[j+1:]) || c.Words[i].Line == now[j].Line):
			out = append(out, fmt.Sprintf("line %d: %s was %s", now[j].Line, now[j].Text, c.Words[i].Text))
			i, j = i+1, j+1
		case j < len(now) && (i == len(c.Words) || aligned(c.Words[i:], now[j+1:])):
			out = append(out, fmt.Sprintf("line %d: %s is in no evidence", now[j].Line, now[j].Text))
			j++
		default:
			out = append(out, fmt.Sprintf("%s, line %d when the card was written, is gone", c.Words[i].Text, c.Words[i].Line))
			i++
		}
	}
	return out
}

// aligned reports whether two sequences go on alike.
func aligned(was []CardWord, now []Word) bool {
	const ahead = 3
	for k := range ahead {
		if k == len(was) || k == len(now) {
			return len(was) == len(now) || k > 0
		}
		if was[k].Text != now[k].Text {
			return false
		}
	}
	return true
}

// Lookup reads values out of a bundle for a card.
type Lookup struct {
	open func(string) (*document, error)
}

// NewLookup is a Lookup over a bundle; each document is read once.
func NewLookup(fsys fs.FS) *Lookup { return &Lookup{cached(fsys)} }

// Value is the evidence at a pointer.
func (l *Lookup) Value(name, pointer string) (any, error) {
	d, err := l.open(name)
	if err != nil {
		return nil, err
	}
	v, err := d.at(pointer)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return v, nil
}
