package pretoken

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Splitter cuts text as one pre-tokenizer does. It is safe for concurrent use.
type Splitter struct{ steps []cutter }

// cutter finds one regex's matches in a piece of text.
type cutter interface {
	// cut appends to ends the ends of the pieces that r, which starts at rune off of the
	// text, falls into: matches and what lies between them. The last end is off+len(r).
	cut(r []rune, off int, ends []int) ([]int, error)
}

// matchTimeout bounds one search with a regex that came with a model. Regexes of the table need no bound.
const matchTimeout = 2 * time.Second

// New is the splitter of a pre-tokenizer named as in tokenizer.ggml.pre.
// An unknown name is an *UnknownError.
func New(name string) (*Splitter, error) {
	info, ok := Lookup(name)
	if !ok {
		return nil, &UnknownError{Name: name, Candidates: similarNames(name)}
	}
	return compile(info.Model, 0)
}

// Compile is a splitter that applies regexes in Oniguruma's syntax, as tokenizer.json files
// hold them, each to the pieces the one before left. They are not trusted: a search that
// takes too long is an error of Split.
func Compile(regexes []string) (*Splitter, error) { return compile(regexes, matchTimeout) }

func compile(regexes []string, timeout time.Duration) (*Splitter, error) {
	s := &Splitter{}
	for _, re := range regexes {
		c, err := newCutter(re, timeout)
		if err != nil {
			return nil, fmt.Errorf("pretoken: regex %q: %w", re, err)
		}
		s.steps = append(s.steps, c)
	}
	return s, nil
}

func newCutter(re string, timeout time.Duration) (cutter, error) {
	switch re {
	case rightGroups:
		return digitGroups{}, nil
	case trailingSpace:
		return endSpace{}, nil
	}
	if timeout == 0 {
		if c, ok := machines.Load(re); ok {
			return c.(*machine), nil
		}
		if m, err := newMachine(re); err == nil {
			c, _ := machines.LoadOrStore(re, m)
			return c.(*machine), nil
		}
	}
	return newRegexp(re, timeout)
}

// machines shares the machines of the table's regexes between splitters.
var machines sync.Map // string -> *machine

// Split calls yield with each word of text in order; together they are text, bytes that are
// not UTF-8 included (regexes see them as U+FFFD). It stops early when yield returns false.
func (s *Splitter) Split(text string, yield func(word string) bool) error {
	runes := decode(text)
	ends := []int{len(runes)}
	var next []int
	for _, step := range s.steps {
		next = next[:0]
		start := 0
		for _, end := range ends {
			if start < end {
				var err error
				if next, err = step.cut(runes[start:end], start, next); err != nil {
					return fmt.Errorf("pretoken: %w", err)
				}
			}
			start = end
		}
		ends, next = next, ends
	}
	n, from, to := 0, 0, 0
	for _, end := range ends {
		for ; n < end; n++ {
			if text[to] < utf8.RuneSelf {
				to++
				continue
			}
			_, size := utf8.DecodeRuneInString(text[to:])
			to += size
		}
		if from < to && !yield(text[from:to]) {
			return nil
		}
		from = to
	}
	return nil
}

// Words is Split collected.
func (s *Splitter) Words(text string) ([]string, error) {
	var out []string
	err := s.Split(text, func(w string) bool { out = append(out, w); return true })
	return out, err
}

// decode is text as runes, one U+FFFD for each byte that is not UTF-8.
func decode(text string) []rune {
	out := make([]rune, 0, len(text)/4*3+8)
	for _, r := range text {
		out = append(out, r)
	}
	return out
}

// addMatch appends a match [from, to) and the gap before it, which starts at the last end.
func addMatch(ends []int, prev *int, from, to int) []int {
	if from > *prev {
		ends = append(ends, from)
	}
	if to > from {
		ends = append(ends, to)
	}
	*prev = max(*prev, to)
	return ends
}

// addRest appends what follows the last match.
func addRest(ends []int, prev, end int) []int {
	if end > prev {
		ends = append(ends, end)
	}
	return ends
}

// similarNames is the known names that look like name.
func similarNames(name string) []string {
	var out []string
	stem, _, _ := strings.Cut(name, "-")
	for _, n := range Names() {
		if stem != "" && strings.HasPrefix(n, stem) {
			out = append(out, n)
		}
	}
	return out
}
