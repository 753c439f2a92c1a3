package quantize

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// Override forces the type of tensors whose name a regular expression matches anywhere, in any case.
// As in llama-quantize it has no effect when the scheme's base type is F32, F16 or BF16.
type Override struct {
	Pattern string
	Type    gguf.Type
	Match   func(name string) bool // what the pattern matches, where it is no regular expression of Go's; else nil
}

// Match is how often a rule applied.
type Match struct {
	Override
	Tensors int // whose names it matches, and whose types schemes decide
	Decided int // of these, those that no earlier rule had decided
}

// ParseOverride reads REGEX=TYPE. The last = divides, so that a regular expression may hold one.
func ParseOverride(s string) (Override, error) {
	i := strings.LastIndexByte(s, '=')
	if i <= 0 || i == len(s)-1 {
		return Override{}, fmt.Errorf("quantize: tensor type %q: want REGEX=TYPE", s)
	}
	t, err := gguf.ParseType(s[i+1:])
	if err != nil {
		return Override{}, fmt.Errorf("quantize: tensor type %q: %w", s, err)
	}
	o := Override{Pattern: s[:i], Type: t}
	if _, err := o.matcher(); err != nil {
		return o, err
	}
	return o, nil
}

// SplitRules takes a file of rules apart, REGEX=TYPE divided by blanks or line ends as llama-quantize has it.
// A # at the beginning of a word begins a comment that ends with the line.
func SplitRules(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		for _, word := range strings.Fields(line) {
			if word[0] == '#' {
				break
			}
			out = append(out, word)
		}
	}
	return out
}

func (o Override) matcher() (func(string) bool, error) {
	if o.Match != nil {
		return o.Match, nil
	}
	re, err := regexp.Compile("(?i)" + o.Pattern)
	if err != nil {
		return nil, fmt.Errorf("quantize: tensor type %s=%v: %w", o.Pattern, o.Type, err)
	}
	return re.MatchString, nil
}
