package probe

import (
	"errors"
	"slices"
	"strings"
)

// olderPython writes what Python got after 3.4 in words of 3.4 that have the same place in a sentence: formatted strings,
// annotated variables, :=, async and await, digits in groups, parameters before /, commas after the last argument, match,
// unpacking in displays. What it gives is for parsing, not for running.
func olderPython(src string) (string, error) {
	tokens, err := pyTokens(strings.ReplaceAll(src, "\r\n", "\n"))
	if err != nil {
		return "", err
	}
	o := &older{tokens: tokens}
	for o.at < len(tokens) {
		if !o.statement() {
			return "", errors.New("tabs and spaces are mixed")
		}
	}
	var out strings.Builder
	for _, t := range tokens {
		out.WriteString(t.text)
	}
	if text := out.String(); !strings.HasSuffix(text, "\n") {
		return text + "\n", nil
	}
	return out.String(), nil
}

type older struct {
	tokens []pyToken
	at     int
	kinds  []string // the brackets that are open
	margin string   // the last line's indent
}

// compound are the words that begin a statement whose colon is not an annotation's.
var compound = []string{"if", "elif", "else", "while", "for", "try", "except", "finally", "with", "def", "class", "lambda", "async", "match", "case"}

// statement rewrites a line, to the end of its statement. It is false for a line whose indent is neither the beginning of
// the last one's nor begins with it.
func (o *older) statement() (even bool) {
	from := o.at
	for o.at < len(o.tokens) && o.tokens[o.at].kind != pyNewline {
		o.token()
		o.at++
	}
	line := o.tokens[from:o.at]
	o.at++
	o.kinds = o.kinds[:0]
	first := slices.IndexFunc(line, func(t pyToken) bool { return t.kind != pyBlank && t.text != "" })
	if first < 0 {
		return true
	}
	margin := ""
	for _, t := range line[:first] {
		margin += t.text
	}
	even = strings.HasPrefix(margin, o.margin) || strings.HasPrefix(o.margin, margin)
	o.margin = margin
	word := line[first]
	switch {
	case word.kind != pyName:
	case word.text == "match" || word.text == "case":
		softKeyword(line[first:])
	case !slices.Contains(compound, word.text):
		annotation(line[first:])
	}
	return even
}

// token rewrites the token at o.at where it can be judged by its neighbours.
func (o *older) token() {
	t := &o.tokens[o.at]
	switch t.kind {
	case pyString:
		q := pyQuote(t.text)
		t.text = strings.NewReplacer("f", "", "F", "").Replace(t.text[:q]) + t.text[q:]
		return
	case pyNumber:
		t.text = strings.ReplaceAll(t.text, "_", "")
		return
	case pyName:
		if t.text == "await" || t.text == "async" && slices.Contains([]string{"def", "for", "with"}, o.near(1)) {
			t.text = ""
			if o.at+1 < len(o.tokens) && o.tokens[o.at+1].kind == pyBlank {
				o.tokens[o.at+1].text = "" // at the beginning of a line it would be an indent
			}
		}
		return
	}
	inside := ""
	if len(o.kinds) > 0 {
		inside = o.kinds[len(o.kinds)-1]
	}
	switch t.text {
	case "(", "[", "{":
		o.kinds = append(o.kinds, t.text)
	case ")", "]", "}":
		o.kinds = o.kinds[:max(0, len(o.kinds)-1)]
	case ":=":
		t.text = " or "
	case "/":
		if inside == "(" && o.near(-1) == "," && (o.near(1) == "," || o.near(1) == ")") {
			t.text = "_"
		}
	case ",":
		if inside == "(" && o.near(1) == ")" && o.near(-1) != "(" {
			t.text = ""
		}
	case "@":
		if o.near(-1) != "" && o.near(-1) != "\n" {
			t.text = "*" // a product of matrices, no decorator
		}
	case "*", "**":
		if inside == "[" || inside == "{" {
			o.unpacking(t, inside)
		}
	}
}

// unpacking rewrites a star in front of a display's element.
func (o *older) unpacking(t *pyToken, inside string) {
	if p := o.near(-1); p != "," && p != inside {
		return // a product
	}
	if t.text == "**" {
		t.text = "0: "
	} else {
		t.text = " "
	}
}

// near is the text of the next token that is no blank in a direction.
func (o *older) near(step int) string {
	for i := o.at + step; i >= 0 && i < len(o.tokens); i += step {
		if t := o.tokens[i]; t.kind != pyBlank && t.text != "" {
			return t.text
		}
	}
	return ""
}

// annotation makes "name: type = value" a "name = type or value".
func annotation(line []pyToken) {
	depth, colon := 0, -1
	for i, t := range line {
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case "lambda":
			return
		case ":":
			if depth == 0 && colon < 0 {
				colon = i
				line[i].text = " = "
			}
		case "=":
			if depth == 0 && colon < 0 {
				return // an assignment, whose value has the colon
			}
			if depth == 0 {
				line[i].text = " or "
			}
		}
	}
}

// softKeyword makes "match value:" a "while value:" and "case pattern:" an "if 1:"; as names they stay.
func softKeyword(line []pyToken) {
	last := len(line) - 1
	for last > 0 && (line[last].kind == pyBlank || line[last].text == "") {
		last--
	}
	next := ""
	for _, t := range line[1:] {
		if t.kind != pyBlank && t.text != "" {
			next = t.text
			break
		}
	}
	depth := 0
	colon := slices.IndexFunc(line, func(t pyToken) bool {
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
		return t.text == ":" && depth == 0
	})
	if colon < 0 || next == ":" || next == "=" || next == "." || next == "," {
		annotation(line)
		return
	}
	if line[0].text == "match" && colon == last {
		line[0].text = "while"
		return
	}
	if line[0].text == "case" {
		for i := 1; i < colon; i++ {
			line[i].text = ""
		}
		line[0].text = "if 1"
	}
}
