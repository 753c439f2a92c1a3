package probe

import (
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moeconv/moeconv/verify"
)

// variants are other ways to write digits' company: minus signs, points of multiplication, bold type, TeX's spaces.
var variants = strings.NewReplacer("−", "-", "–", "-", "‒", "-", "‐", "-", "‑", "-", "∕", "/", "⁄", "/", "∗", "*", "⋅", "*", "·", "*", "✕", "×", "✖", "×",
	"**", "", "’", "'", `\$`, "$", "{,}", ",", `\,`, " ", `\!`, "", `\ `, " ")

var (
	thousands = regexp.MustCompile("([0-9])[\u00a0\u202f\u2009']([0-9]{3})\\b")
	texText   = regexp.MustCompile(`\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}`)
	texFrac   = regexp.MustCompile(`\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}`)
)

// plainText is an answer's text with numbers and signs as ASCII has them.
func plainText(text string) string {
	text = strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' { // full-width forms of ASCII
			return r - '！' + '!'
		}
		return r
	}, text)
	text = texText.ReplaceAllString(variants.Replace(text), "$1")
	for range 2 { // groups of digits overlap, matches do not
		text = thousands.ReplaceAllString(text, "$1,$2")
	}
	return text
}

// Parts of a step of a calculation: 120 miles / 2 hours.
const (
	stepNumber = `[$€£]?([0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?)`
	stepUnit   = `(?:[ \t]*([\pL]{2,}(?:[ \t]+per[ \t]+[\pL]+|/[\pL]+)?))?[ \t]*`
	stepSign   = `(\+|-|\*|/|÷|×|x|\\times|\\div|\\cdot|times|plus|minus|divided by|multiplied by)`
	aStep      = stepNumber + stepUnit + stepSign + `[ \t]*` + stepNumber + stepUnit
)

var (
	stepBehind = regexp.MustCompile(`(?i)` + aStep + `$`)
	stepAhead  = regexp.MustCompile(`(?i)^[ \t]*` + aStep)
	measures   = regexp.MustCompile(`[0-9][ \t]*\pL+[ \t]+$`) // 2 hours 30 minutes
	joined     = regexp.MustCompile(`(?i) (and|or|so|then|but|also)[ \t]+$`)
	aheadOf    = regexp.MustCompile(`^[ \t]*(-?)[ \t]*` + stepNumber)
)

// Arithmetic wants the calculations that are written out, 120 miles / 2 hours = 60, to be right. Those of other forms than
// one operation on two numbers are not judged.
type Arithmetic struct{}

// Name of the criterion.
func (Arithmetic) Name() string { return "arithmetic" }

// Judge computes the steps; one without any passes.
func (Arithmetic) Judge(a Answer) Finding {
	judged := 0
	text := texFrac.ReplaceAllString(plainText(a.Text), "$1 / $2")
	for line := range strings.Lines(text) {
		if strings.Contains(line, "==") || strings.ContainsAny(line, "<>!%^²³") {
			continue
		}
		sides := strings.Split(strings.TrimSpace(line), "=")
		for i := range len(sides) - 1 {
			wrong, ok := wrongStep(sides[i], sides[i+1])
			if ok {
				judged++
			}
			if wrong != "" && !(i+2 == len(sides) && a.Cut && strings.HasSuffix(text, line)) {
				return plain(verify.Fail, "%s is wrong", wrong)
			}
		}
	}
	return finding(verify.Pass, float64(judged), "%d steps are right", judged)
}

// wrongStep computes what stands before an equals sign and compares it with what stands behind it: a number, or one more
// step. ok says that there was something to compare.
func wrongStep(left, right string) (wrong string, ok bool) {
	left = strings.TrimRight(left, " \t$\\([")
	at := stepBehind.FindStringIndex(left)
	if at == nil || !begins(left[:at[0]]) {
		return "", false
	}
	v, ok := compute(stepBehind.FindStringSubmatch(left))
	right = strings.TrimLeft(right, " \t$\\([")
	m := aheadOf.FindStringSubmatch(right)
	if !ok || m == nil {
		return "", false
	}
	want, err := value(m[2])
	if err != nil {
		return "", false
	}
	if m[1] == "-" {
		want = -want
	}
	if next, ok := leadingStep(right); ok && math.Abs(next-v) <= 1e-6*math.Max(1, math.Abs(v)) {
		return "", true
	}
	unit := 1.0 // of the last digit written
	if _, decimals, ok := strings.Cut(m[2], "."); ok {
		unit = math.Pow(10, -float64(len(decimals)))
	}
	if math.Abs(v-want) < unit*(1-1e-9) && v != math.Trunc(v) || near(v, want) {
		return "", true
	}
	return strings.TrimSpace(left[at[0]:]) + " = " + strings.TrimSpace(m[0]), true
}

// begins reports whether a step may begin behind text: not where text goes on to it with a sign, a bracket or a variable.
func begins(text string) bool {
	trimmed := strings.TrimRight(text, " \t")
	if trimmed == "" {
		return true
	}
	last, n := utf8.DecodeLastRuneInString(trimmed)
	if strings.ContainsRune("+-*/÷×^()[]{}.,:;_'", last) {
		return strings.ContainsRune(":;,.", last) && len(trimmed) < len(text)
	}
	if unicode.IsDigit(last) || len(trimmed) == len(text) || measures.MatchString(text) && !joined.MatchString(text) {
		return false
	}
	before, _ := utf8.DecodeLastRuneInString(trimmed[:len(trimmed)-n])
	word := trimmed[strings.LastIndexAny(trimmed, " \t")+1:]
	switch strings.ToLower(word) {
	case "times", "plus", "minus", "by", "over", `\times`, `\div`, `\cdot`:
		return false
	}
	return !unicode.IsLetter(last) || unicode.IsLetter(before) // a letter alone is a variable, or a sign
}

// leadingStep is the value of the step that a text begins with.
func leadingStep(text string) (float64, bool) {
	m := stepAhead.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	return compute(m)
}

// compute is the value of a step: numbers, their units, and the sign between them. Units that differ are not added.
func compute(m []string) (float64, bool) {
	a, err := value(m[1])
	b, err2 := value(m[4])
	if err != nil || err2 != nil {
		return 0, false
	}
	switch sign := strings.ToLower(m[3]); sign {
	case "+", "plus", "-", "minus":
		if m[2] != "" && m[5] != "" && !strings.EqualFold(strings.TrimSuffix(m[2], "s"), strings.TrimSuffix(m[5], "s")) {
			return 0, false
		}
		if sign == "-" || sign == "minus" {
			b = -b
		}
		return a + b, true
	case "/", "÷", `\div`, "divided by":
		return a / b, b != 0
	}
	return a * b, true
}
