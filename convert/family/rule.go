package family

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf/names"
)

// Rule says what becomes of the source tensors whose whole name From describes.
// In From, {b} stands for a block number, {x} for an expert's, {s} for weight or bias, and {*} at the
// end for any rest; everything else stands for itself.
// The tensor's suffix is the source's: bias where the name ends so, else weight; see As.
type Rule struct {
	From string
	To   names.Role // empty for Split and Drop
	Op   Op
}

// Target is the name of the tensor a match becomes part of.
func (r Rule) Target(m Match) string {
	suffix := m.Suffix
	if as, ok := r.Op.(As); ok {
		suffix = as.Suffix
	}
	return names.Name{Role: r.To, Block: m.Block, Suffix: suffix}.String()
}

// Parts are the tensors a rule makes, each with a rule of its own: one, or those of a Split.
func (r Rule) Parts() []Rule {
	op := r.Op
	if first, ok := op.(First); ok {
		op = first.Op
	}
	split, ok := op.(Split)
	if !ok {
		return []Rule{r}
	}
	var out []Rule
	for _, p := range split {
		out = append(out, Rule{r.From, p.To, p.Op})
	}
	return out
}

// Match is a source tensor's place in the model.
type Match struct {
	Rule   int    // index in the rules
	Block  int    // -1 outside of blocks
	Expert int    // -1 where the rule has no {x}
	Suffix string // weight or bias
}

// Matcher finds the one rule of a source tensor.
type Matcher struct {
	rules []Rule
	parts [][]string // From cut at dots
}

// NewMatcher prepares rules.
func NewMatcher(rules []Rule) *Matcher {
	m := &Matcher{rules: rules}
	for _, r := range rules {
		m.parts = append(m.parts, strings.Split(r.From, "."))
	}
	return m
}

// Match finds the rule for a source tensor's name. No rule, or more than one, is an error.
func (m *Matcher) Match(name string) (Match, error) {
	parts := strings.Split(name, ".")
	found := Match{Rule: -1}
	for i := range m.rules {
		got, ok := matchParts(m.parts[i], parts)
		if !ok {
			continue
		}
		if found.Rule >= 0 {
			return Match{}, fmt.Errorf("family: source tensor %q matches two rules, %q and %q", name, m.rules[found.Rule].From, m.rules[i].From)
		}
		got.Rule = i
		found = got
	}
	if found.Rule < 0 {
		return Match{}, &UnknownTensorError{Name: name}
	}
	return found, nil
}

// UnknownTensorError says that no rule of the family covers a source tensor.
type UnknownTensorError struct{ Name string }

func (e *UnknownTensorError) Error() string {
	return fmt.Sprintf("cannot map tensor %q: the family has no such tensor", e.Name)
}

func matchParts(pattern, parts []string) (Match, bool) {
	m := Match{Block: -1, Expert: -1}
	if n := len(pattern) - 1; pattern[n] == "{*}" && len(parts) > n {
		pattern, parts = pattern[:n], parts[:n]
	}
	if len(pattern) != len(parts) {
		return m, false
	}
	for i, p := range pattern {
		switch p {
		case "{b}":
			n, ok := number(parts[i])
			if !ok {
				return m, false
			}
			m.Block = n
		case "{x}":
			n, ok := number(parts[i])
			if !ok {
				return m, false
			}
			m.Expert = n
		case "{s}":
			if parts[i] != "weight" && parts[i] != "bias" {
				return m, false
			}
		default:
			if p != parts[i] {
				return m, false
			}
		}
	}
	m.Suffix = "weight"
	if strings.HasSuffix(parts[len(parts)-1], "bias") {
		m.Suffix = "bias"
	}
	return m, true
}

// number reads a block or expert number, written without sign or leading zeros.
func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= maxDim && s == strconv.Itoa(n)
}

// Source is the name of the source tensor that the rule takes for a block and expert.
func (r Rule) Source(block, expert int, suffix string) string {
	return strings.NewReplacer("{b}", strconv.Itoa(block), "{x}", strconv.Itoa(expert), "{s}", suffix).Replace(r.From)
}
