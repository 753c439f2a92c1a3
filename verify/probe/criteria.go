package probe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moeconv/moeconv/verify"
)

// NotEmpty wants a letter or digit at least.
type NotEmpty struct{}

func (NotEmpty) needsEnd() {}

// Name of the criterion.
func (NotEmpty) Name() string { return "not empty" }

// Judge fails an answer of blanks.
func (NotEmpty) Judge(a Answer) Finding {
	if !strings.ContainsFunc(a.Text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return plain(verify.Fail, "the answer is empty")
	}
	return plain(verify.Pass, "%d bytes", len(a.Text))
}

// UTF8 wants valid text without replacement characters.
type UTF8 struct{}

// Name of the criterion.
func (UTF8) Name() string { return "utf-8" }

// Judge fails broken sequences, and U+FFFD unless the answer was cut within its last character.
func (UTF8) Judge(a Answer) Finding {
	text := a.Text
	if a.Cut {
		text = strings.TrimRight(text, "\uFFFD")
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
		return plain(verify.Fail, "the answer holds broken UTF-8")
	}
	return plain(verify.Pass, "valid")
}

// Contains wants all of these texts.
type Contains []string

func (Contains) needsEnd() {}

// Name of the criterion.
func (Contains) Name() string { return "contains" }

// Judge fails an answer that lacks one, naming it.
func (c Contains) Judge(a Answer) Finding {
	for _, want := range c {
		if !strings.Contains(a.Text, want) {
			return plain(verify.Fail, "%q is missing", want)
		}
	}
	return plain(verify.Pass, "%q", []string(c))
}

// Keywords wants some of these words, whatever their case. A word a|b is one or the other.
type Keywords struct {
	Words []string
	Min   int
}

func (Keywords) needsEnd() {}

// Name of the criterion.
func (Keywords) Name() string { return "keywords" }

// Judge counts the words that occur.
func (k Keywords) Judge(a Answer) Finding {
	text, found := folded(a.Text), 0
	var missing []string
	for _, w := range k.Words {
		if slices.ContainsFunc(strings.Split(w, "|"), func(alt string) bool {
			f := folded(alt)
			return f != "" && strings.Contains(text, f) || f == "" && strings.Contains(a.Text, alt)
		}) {
			found++
		} else {
			missing = append(missing, w)
		}
	}
	if found < k.Min {
		return finding(verify.Fail, float64(found), "%d of %d found, %d needed; missing: %s", found, len(k.Words), k.Min, strings.Join(missing, ", "))
	}
	return finding(verify.Pass, float64(found), "%d of %d found", found, len(k.Words))
}

// folded is a text in lower case, with a blank for every hyphen, line's end and run of blanks: learning-rate is learning rate.
func folded(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Pd, r) {
			return ' '
		}
		return unicode.ToLower(r)
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// Pattern wants a match of a regular expression.
type Pattern struct{ re *regexp.Regexp }

// NewPattern compiles the expression.
func NewPattern(expr string) (Pattern, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return Pattern{}, fmt.Errorf("pattern: %w", err)
	}
	return Pattern{re}, nil
}

func (Pattern) needsEnd() {}

// Name of the criterion.
func (Pattern) Name() string { return "pattern" }

// Judge fails an answer without a match.
func (p Pattern) Judge(a Answer) Finding {
	if !p.re.MatchString(a.Text) {
		return plain(verify.Fail, "no match of %s", p.re)
	}
	return plain(verify.Pass, "matches")
}

// Agreement compares with the source's answer: the share of its leading tokens that the answer begins with.
type Agreement struct{ Min float64 }

// Name of the criterion.
func (Agreement) Name() string { return "agreement" }

// Judge fails an answer that parts from the source's too early. Without a source's answer it does not apply.
func (c Agreement) Judge(a Answer) Finding {
	if a.Source == nil {
		return plain(verify.NotApplicable, "no source")
	}
	want := a.Source.IDs
	n := 0
	for n < min(len(want), len(a.IDs)) && want[n] == a.IDs[n] {
		n++
	}
	share := 1.0
	if longest := max(len(want), len(a.IDs)); longest > 0 {
		share = float64(n) / float64(longest)
	}
	if share < c.Min {
		return finding(verify.Fail, share, "the first %d of %d tokens are the source's, %.4g%% are needed", n, len(want), 100*c.Min)
	}
	return finding(verify.Pass, share, "the first %d of %d tokens are the source's", n, len(want))
}
