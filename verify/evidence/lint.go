package evidence

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lint is one rule about a document's text.
type Lint struct {
	Name  string
	About string
	find  func(text string) []string
}

// Lints are the rules that Audit holds documents to.
func Lints() []Lint {
	return []Lint{
		{"merge-markers", "no conflict markers of a merge", mergeMarkers},
		{"clean-text", "UTF-8 without NUL, byte order mark, terminal codes or invisible characters", junk},
		{"finished", "nothing left to be done: TBD, TODO, FIXME, XXX", lines(`\b(TBD|TODO|FIXME|XXX|TBC|WIP)\b|- \[ \] `)},
		{"placeholders", "no placeholder unfilled", placeholders},
		{"sober", "no superlative that nothing can prove", superlatives},
		{"measured", "no figure that is guessed or provisional, no estimate without its method, and none of what can be measured", estimates},
		{"units", "decimal and binary sizes not mixed, and never the same number in both", mixedUnits},
		{"one-value", "one value for one metric and scope", twoValues},
		{"counting", "tokens counted by the tokenizer, times taken by the clock", lines(`(?i)word[_ ]?count\s*[×x*]|tokens?\s*[≈~=]+\s*words|10\s*%\s+of\s+(the\s+)?total\s+(time|duration|latency)`)},
	}
}

// lines finds the lines that a pattern matches.
func lines(pattern string) func(string) []string {
	re := regexp.MustCompile(pattern)
	return func(text string) []string {
		var out []string
		n := 0
		for line := range strings.Lines(text) {
			n++
			line = strings.TrimRight(line, "\r\n \x00")
			if m := re.FindString(line); m != "" {
				out = append(out, fmt.Sprintf("line %d: %s", n, strings.TrimSpace(m)))
			}
		}
		return out
	}
}

// mergeMarkers leaves a line of seven equal signs alone, which underlines a heading, unless the others are there.
func mergeMarkers(text string) []string { return lines(`^(<{7}|>{7}|\|{7})( |$)`)(text) }

func junk(text string) []string {
	var out []string
	say := func(at int, what string) {
		out = append(out, fmt.Sprintf("line %d: %s", 1+strings.Count(text[:at], "\n"), what))
	}
	if strings.HasPrefix(text, "\ufeff") {
		say(0, "byte order mark")
	}
	seen := map[rune]bool{}
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"):
			r = -1
		case r == '\n' || r == '\r' || r == '\t' || !invisible(r) || i == 0 && r == '\ufeff':
			continue
		}
		if seen[r] { // each kind once: a damaged file has thousands
			continue
		}
		seen[r] = true
		if r < 0 {
			say(i, "not UTF-8")
		} else {
			say(i, fmt.Sprintf("character %U", r))
		}
	}
	return out
}

// invisible reports a control character or one that shows nothing. The joiners and variation selectors of emoji are
// no such thing.
func invisible(r rune) bool {
	switch {
	case r == '\u200d' || r >= '\ufe00' && r <= '\ufe0f':
		return false
	case unicode.IsControl(r):
		return true
	}
	return unicode.Is(unicode.Cf, r)
}

var placeholder = regexp.MustCompile(`\{\{[^{}\n]*\}\}|\{[A-Z][A-Z0-9_]{2,}\}|\$\{[A-Za-z_]+\}|\[(INSERT|YOUR|ADD|PLACEHOLDER)[^\]\n]*\]|<(INSERT|YOUR|PLACEHOLDER|MODEL_NAME)[^>\n]*>|\bYOUR_[A-Z_]+\b|\blorem ipsum\b|\bPLACEHOLDER\b`)

// placeholders finds what a template left, outside of code, whose braces are its own.
func placeholders(text string) []string {
	return lines(placeholder.String())(prose(text))
}

var boast = regexp.MustCompile(`(?i)\b(revolutionary|revolutioni[sz]e[sd]?|groundbreaking|ground-breaking|game[- ]chang(er|ing)|breakthrough|unprecedented|` +
	`world'?s (first|best|fastest)|first[- ]ever|first (ever|known|working|successful)|industry[- ]leading|state[- ]of[- ]the[- ]art|best[- ]in[- ]class|cutting[- ]edge|` +
	`blazing(ly)?[- ]fast|lightning[- ]fast|amazing|incredible|massive (memory|vram|savings|improvements?)|dramatic(ally)?|unmatched|unparalleled|` +
	`perfect(ly)? (quality|accuracy)|no (quality )?degradation|zero (quality )?(loss|degradation)|lossless quality|production[- ]ready|flawless(ly)?|magic(al)?)\b`)

func superlatives(text string) []string { return lines(boast.String())(prose(text)) }

// prose is a Markdown text with fenced code blanked, its lines kept.
func prose(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence {
			fenced = !fenced
		}
		if fenced || fence {
			b.WriteString(strings.Repeat("\n", strings.Count(line, "\n")))
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

// Document runs all rules but the skipped over a text.
func Document(name string, data []byte, skip []string) []Item {
	text := string(data)
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		text = string(bytes.ReplaceAll(data, []byte{0}, nil)) // UTF-16 is junk's to report; the other rules still read it
	}
	var out []Item
	for _, l := range Lints() {
		if slices.Contains(skip, l.Name) {
			continue
		}
		item := Item{Name: "lint " + l.Name + " " + name, About: l.About}
		if l.Name == "clean-text" {
			item.Problems = l.find(string(data))
		} else {
			item.Problems = l.find(text)
		}
		out = append(out, item)
	}
	return out
}
