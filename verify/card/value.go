package card

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/verify/evidence"
)

// Value is a value of the bundle that remembers where it stands. Printed by a template it is written as it is; the
// functions gb, fixed, percent and the like write it otherwise.
type Value struct {
	document, pointer string
	raw               any
	press             *press
}

// String writes the value as it is.
func (v Value) String() string { return v.press.mark(v, "") }

// Text is the value without its origin, "" of a nil one, for comparisons in a template: {{if eq .Verdict.Text "pass"}}.
func (v *Value) Text() string {
	if v == nil {
		return ""
	}
	s, err := evidence.Render("", v.raw)
	if err != nil {
		return ""
	}
	return s
}

// Float is the value as a number, 0 where it is none.
func (v Value) Float() float64 {
	n, _ := v.raw.(json.Number)
	f, _ := n.Float64()
	return f
}

// At is the value at a pointer below this one, nil where there is none.
func (v Value) At(pointer string) (*Value, error) { return v.press.find(v.document, v.pointer+pointer) }

// press takes what a template prints and keeps where it came from.
type press struct {
	look    *evidence.Lookup
	figures []evidence.Figure
	errs    []error
}

// Marks enclose a figure's number and text in what a template writes. They are removed before anybody sees them.
const (
	markOpen  = "\x01"
	markText  = "\x02"
	markClose = "\x03"
)

// mark is a value as text, enclosed in marks that lead to its figure.
func (p *press) mark(v Value, format string) string {
	text, err := evidence.Render(format, v.raw)
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s#%s: %w", v.document, v.pointer, err))
		return ""
	}
	if strings.ContainsAny(text, markOpen+markText+markClose) {
		p.errs = append(p.errs, fmt.Errorf("%s#%s: control characters", v.document, v.pointer))
		return ""
	}
	p.figures = append(p.figures, evidence.Figure{Text: text, Evidence: v.document, Pointer: v.pointer, Format: format})
	return markOpen + strconv.Itoa(len(p.figures)-1) + markText + text + markClose
}

// find looks a value up; nil where the bundle has none or null.
func (p *press) find(document, pointer string) (*Value, error) {
	raw, err := p.look.Value(document, pointer)
	if err != nil || raw == nil {
		return nil, nil //nolint:nilerr // what is not there is not shown
	}
	return &Value{document, pointer, raw, p}, nil
}

// list makes a Value of every element of an array.
func (p *press) list(document, pointer string) []Value {
	raw, err := p.look.Value(document, pointer)
	items, ok := raw.([]any)
	if err != nil || !ok {
		return nil
	}
	out := make([]Value, len(items))
	for i, it := range items {
		out[i] = Value{document, pointer + "/" + strconv.Itoa(i), it, p}
	}
	return out
}

// settle removes the marks and gives every figure that was printed its line. Texts of several lines count from the
// first.
func (p *press) settle(text string) (string, []evidence.Figure, error) {
	var b strings.Builder
	var out []evidence.Figure
	line := 1
	for {
		before, rest, ok := strings.Cut(text, markOpen)
		b.WriteString(before)
		line += strings.Count(before, "\n")
		if !ok {
			break
		}
		number, rest, ok1 := strings.Cut(rest, markText)
		shown, rest, ok2 := strings.Cut(rest, markClose)
		i, err := strconv.Atoi(number)
		if !ok1 || !ok2 || err != nil || i >= len(p.figures) {
			return "", nil, fmt.Errorf("card: line %d: a value was cut by the template", line)
		}
		f := p.figures[i]
		if f.Text != shown {
			return "", nil, fmt.Errorf("card: line %d: %q was changed after it was printed: use a format instead", line, f.Text)
		}
		f.Line = line
		out = append(out, f)
		b.WriteString(shown)
		line += strings.Count(shown, "\n")
		text = rest
	}
	return b.String(), out, nil
}
