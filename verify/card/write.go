package card

import (
	"crypto/sha256"
	_ "embed" // the default template
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/template"

	"github.com/moeconv/moeconv/verify/evidence"
)

//go:embed card.md.tmpl
var defaultTemplate string

// DefaultTemplate is the template that Write takes where no other is given, as a start for one's own.
func DefaultTemplate() string { return defaultTemplate }

// ErrHeld says that there is nothing to write a card for.
var ErrHeld = errors.New("card: every file is held back")

// Render writes the card of a bundle, and the record by which an audit finds its numbers again. tmpl is a text/template
// over Data; name is the card's file name, for messages and the record; plots lie beside it.
func Render(fsys fs.FS, name, tmpl string, plots []Plot) ([]byte, *evidence.Card, error) {
	p := &press{look: evidence.NewLookup(fsys)}
	d, err := p.data(fsys)
	if err != nil {
		return nil, nil, err
	}
	d.Plots = plots
	if len(d.Outputs) == 0 {
		return nil, nil, ErrHeld
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(p.functions()).Parse(tmpl)
	if err != nil {
		return nil, nil, fmt.Errorf("card: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, d); err != nil {
		return nil, nil, fmt.Errorf("card: %w", err)
	}
	if len(p.errs) > 0 {
		return nil, nil, fmt.Errorf("card: %w", errors.Join(p.errs...))
	}
	text, figures, err := p.settle(b.String())
	if err != nil {
		return nil, nil, err
	}
	if err := complete(text, figures); err != nil {
		return nil, nil, err
	}
	facts := Facts{License: d.License.Text(), BaseModel: d.Source.Text()}
	for _, p := range plots {
		facts.Files = append(facts.Files, p.File)
	}
	if problems := Check(text, facts); len(problems) > 0 {
		return nil, nil, fmt.Errorf("card: %s", strings.Join(problems, "; "))
	}
	sum := sha256.Sum256([]byte(text))
	return []byte(text), evidence.NewCard(name, hex.EncodeToString(sum[:]), figures, text), nil
}

// absent is what text/template prints for a nil pointer.
const absent = "<nil>"

// functions are the formats of a template.
func (p *press) functions() template.FuncMap {
	return template.FuncMap{
		"gb":      func(v *Value) string { return p.format(v, "GB") },
		"mb":      func(v *Value) string { return p.format(v, "MB") },
		"size":    func(v *Value) string { return p.format(v, sizeUnit(v)) },
		"whole":   func(v *Value) string { return p.format(v, "d") },
		"ms":      func(v *Value) string { return p.format(v, "ms") },
		"short":   func(v *Value) string { return p.format(v, "s8") },
		"count":   func(v *Value) string { return p.format(v, countUnit(v)) },
		"fixed":   func(n int, v *Value) string { return p.format(v, fmt.Sprintf("f%d", n)) },
		"percent": func(n int, v *Value) string { return p.format(v, fmt.Sprintf("p%d", n)) },
	}
}

func (p *press) format(v *Value, format string) string {
	if v == nil {
		return absent
	}
	return p.mark(*v, format)
}

// sizeUnit writes what is below a tenth of a gigabyte in megabytes.
func sizeUnit(v *Value) string {
	if v != nil && v.Float() < 1e8 {
		return "MB"
	}
	return "GB"
}

// countUnit writes parameters in billions where there are that many.
func countUnit(v *Value) string {
	if v != nil && v.Float() >= 1e8 {
		return "B"
	}
	return "d"
}

// UnbackedError says that a card states a number that is in no evidence.
type UnbackedError struct {
	Line int
	Text string
}

func (e *UnbackedError) Error() string {
	return fmt.Sprintf("card: line %d: %s comes from no evidence", e.Line, e.Text)
}

// Hint tells where such a number belongs.
func (e *UnbackedError) Hint() string {
	return "print a value of the bundle instead; a fact of your own stands in the recipe's card section (about, citation)"
}

// complete refuses placeholders left open and numbers that the template made up. Names with digits in them (Q4_K_M,
// a version, an address) state nothing.
func complete(text string, figures []evidence.Figure) error {
	for n, line := range strings.Split(text, "\n") {
		if strings.Contains(line, absent) || strings.Contains(line, "<no value>") {
			return fmt.Errorf("card: line %d: a value that the bundle lacks", n+1)
		}
	}
	for _, it := range evidence.Document("the card", []byte(text), nil) {
		if strings.HasPrefix(it.Name, "lint placeholders") && len(it.Problems) > 0 {
			return fmt.Errorf("card: a placeholder is left: %s", it.Problems[0])
		}
	}
	backed := map[int]string{}
	for _, f := range figures {
		for i, part := range strings.Split(f.Text, "\n") {
			backed[f.Line+i] += " " + part
		}
	}
	for _, w := range evidence.Words(text) {
		if w.Number && !holds(backed[w.Line], w.Text) {
			return &UnbackedError{w.Line, w.Text}
		}
	}
	return nil
}

// holds reports whether a line's figures contain the number as a word of its own.
func holds(figures, number string) bool {
	for _, w := range evidence.Words(figures) {
		if w.Text == number {
			return true
		}
	}
	return false
}

// convert reads a decoded document into a struct.
func convert(v, to any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("card: %s: %w", FactsName, err)
	}
	return nil
}
