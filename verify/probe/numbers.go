package probe

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moeconv/moeconv/verify"
)

func errNegative(key string) error { return fmt.Errorf("%s: a number is negative", key) }

func letterBefore(text string) bool {
	r, _ := utf8.DecodeLastRuneInString(text)
	return unicode.IsLetter(r)
}

func letterAfter(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return unicode.IsLetter(r)
}

// Sum is what an answer to a question of arithmetic must come to.
type Sum struct {
	Value float64  `yaml:"value"` // the last line with a number must hold it: that is the answer's conclusion
	Work  []string `yaml:"work"`  // A/B, A*B, A+B or A-B: one of these steps must be shown
}

var step = regexp.MustCompile(`^([0-9.]+)([-+*/])([0-9.]+)$`)

func (s *Sum) check() error {
	if s == nil {
		return nil
	}
	for _, w := range s.Work {
		if !step.MatchString(w) {
			return fmt.Errorf("result.work: %q is no step such as 120/2", w)
		}
	}
	return nil
}

func (Sum) needsEnd() {}

// Name of the criterion.
func (Sum) Name() string { return "result" }

// Judge looks for the value in the last line that has a number, behind the last = in it, and for a step of the work
// anywhere.
func (s Sum) Judge(a Answer) Finding {
	text, conclusion := plainText(a.Text), ""
	for line := range strings.Lines(text) {
		if len(numbers(line)) > 0 {
			conclusion = line
		}
	}
	if conclusion == "" {
		return plain(verify.Fail, "no number in the answer")
	}
	if end := conclusion[strings.LastIndex(conclusion, "=")+1:]; len(numbers(end)) > 0 {
		conclusion = end
	}
	last := numbers(conclusion)
	if v, ok := leadingStep(conclusion); ok {
		last = append(last, v)
	}
	figure := last[len(last)-1]
	if !slices.ContainsFunc(last, func(v float64) bool { return near(v, s.Value) }) {
		return finding(verify.Fail, figure, "the last line with a number comes to %g, not to %g", figure, s.Value)
	}
	if len(s.Work) > 0 && !slices.ContainsFunc(s.Work, func(w string) bool { return shown(w, text) }) {
		return finding(verify.Fail, figure, "%g without the work that leads there (%s)", s.Value, strings.Join(s.Work, ", "))
	}
	return finding(verify.Pass, s.Value, "%g, with the work shown", s.Value)
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

var number = regexp.MustCompile(`[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?`)

// numbers lists those written in digits, commas between thousands left out.
func numbers(text string) []float64 {
	var out []float64
	for _, n := range number.FindAllString(text, -1) {
		if v, err := value(n); err == nil {
			out = append(out, v)
		}
	}
	return out
}

func value(digits string) (float64, error) {
	return strconv.ParseFloat(strings.ReplaceAll(digits, ",", ""), 64)
}

// signs are the ways to write an operation, in words, signs and TeX.
var signs = map[string]string{
	"/": `(?:/|÷|:|\\div|divided by|over)`,
	"*": `(?:\*|×|x|\\times|\\cdot|times|multiplied by)`,
	"+": `(?:\+|plus)`,
	"-": `(?:-|minus)`,
}

// shown reports whether a step is written out: the operands with the operation between them, units beside them, or as
// a fraction of TeX.
func shown(work, text string) bool {
	m := step.FindStringSubmatch(work)
	a, b := regexp.QuoteMeta(m[1]), regexp.QuoteMeta(m[3])
	const unit = `(?:[ \t]*\)?[ \t]*(?:\\text\{)?[ \t]*[\pL]+\}?)?[ \t]*[)}$\]]*[ \t]*`
	expr := `(?i)(?:^|[^0-9.])` + a + unit + signs[m[2]] + `[ \t$([{]*` + b + `(?:$|[^0-9])`
	if m[2] == "/" {
		const inner = `[ \t]*(?:\\(?:text|mathrm)\{[^}]*\}|[\pL~\\, ])*`
		expr += `|\\[dt]?frac\{` + a + inner + `\}\{` + b + inner + `\}|divid[a-z]*[^.\n]*[^0-9.]` + a + unit + `by[^.\n0-9]*` + b + `(?:$|[^0-9])`
	}
	return regexp.MustCompile(expr).MatchString(text)
}
