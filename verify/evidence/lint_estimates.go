package evidence

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// guess are words for figures that nothing stands behind.
	guess = regexp.MustCompile(`(?i)\b(guess(ed|es|timate[sd]?)?|provisional(ly)?|assumed|extrapolated|ballpark|back[- ]of[- ]the[- ]envelope)\b`)
	// estimate are words for figures that were calculated.
	estimate = regexp.MustCompile(`(?i)\bestimat(e[ds]?|ions?)\b`)
	// method are words by which an estimate tells how it was found, so that a reader can find it again.
	method = regexp.MustCompile(`(?i)\b(fitted to|sums? (of|over)|(computed|calculated|derived|taken|predicted)\s+(from|by)\s+(the\s+)?(files?'?\s+)?(headers?|ledger|shapes?|metadata|tensors?|formula)|` +
		`from\s+the\s+(headers?|ledger|shapes?|metadata)|by\s+(the\s+)?(headers?|ledger)|without bias|unbiased|method:|formula)`)
	// clocked are things that a run measures: an estimate of them is not better than none.
	clocked = regexp.MustCompile(`(?i)\b(baseline|tok(ens)?/s(ec)?|tps|tokens per second|throughput|speed(up)?|ttft|first[- ]token|latency|savings?|saved|reduction)\b`)
)

// estimates finds guesses, estimates that do not say how they were found, and those of what runs measure. An estimate that
// is called one and names its method, as the ledger's do, is what it says. What belongs together is a paragraph, an item
// of a list, a heading or a row of a table.
func estimates(text string) []string {
	var out []string
	for _, p := range paragraphs(text) {
		if m := guess.FindStringIndex(p.text); m != nil {
			out = append(out, p.found(m, "says what was not measured"))
			continue
		}
		m := estimate.FindStringIndex(p.text)
		switch {
		case m == nil:
		case clocked.MatchString(p.text):
			out = append(out, p.found(m, "of what a run measures: "+clocked.FindString(p.text)))
		case !method.MatchString(p.text):
			out = append(out, p.found(m, "does not say how it was found"))
		}
	}
	return out
}

// paragraph is lines that belong together.
type paragraph struct {
	line int // of the first, from 1
	text string
}

// found is a match in a paragraph, for people.
func (p *paragraph) found(at []int, what string) string {
	return fmt.Sprintf("line %d: %s (%s)", p.line+strings.Count(p.text[:at[0]], "\n"), p.text[at[0]:at[1]], what)
}

// begins is a line that does not continue the one before it: an item of a list, a heading, a row of a table, a fence.
var begins = regexp.MustCompile("^\\s*([-*+] |\\d+[.)] |#|\\||```|~~~|>)")

// paragraphs divides a text in Markdown.
func paragraphs(text string) []paragraph {
	var out []paragraph
	n, open := 0, false
	for line := range strings.Lines(text) {
		n++
		blank := strings.TrimSpace(line) == ""
		if !blank && (!open || begins.MatchString(line)) {
			out = append(out, paragraph{line: n})
		}
		if open = !blank; open {
			out[len(out)-1].text += line
		}
	}
	return out
}
