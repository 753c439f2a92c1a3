package pretoken

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// stackLimit bounds one search's backtracking stack, in slots. A run of a million characters must fit.
const stackLimit = 1 << 24

// regex is a cutter for any regex.
type regex struct{ re *regexp2.Regexp }

// compiled shares the trusted regexes of the table between splitters.
var compiled sync.Map // string -> *regexp2.Regexp

func newRegexp(src string, timeout time.Duration) (cutter, error) {
	if timeout == 0 {
		if re, ok := compiled.Load(src); ok {
			return regex{re.(*regexp2.Regexp)}, nil
		}
	}
	translated, err := translate(src)
	if err != nil {
		return nil, err
	}
	// In Oniguruma's Ruby syntax ^ and $ match at every line.
	re, err := regexp2.Compile(translated, regexp2.Multiline, regexp2.OptionMaxBacktrackingStackSize(stackLimit))
	if err != nil {
		return nil, err
	}
	if timeout > 0 {
		re.MatchTimeout = timeout
		return regex{re}, nil
	}
	shared, _ := compiled.LoadOrStore(src, re)
	return regex{shared.(*regexp2.Regexp)}, nil
}

func (c regex) cut(r []rune, off int, ends []int) ([]int, error) {
	prev := off
	err := c.re.FindRunesMatches(r, -1, func(m regexp2.MatchView) bool {
		i, n, _ := m.GroupRange(0)
		ends = addMatch(ends, &prev, off+i, off+i+n)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("regex %q: %w", c.re.String(), err)
	}
	return addRest(ends, prev, off+len(r)), nil
}

// wordBoundary is Oniguruma's \b, wordClass the characters of its words: circled letters are among them, and of the
// digits that are no decimals those of Latin-1 and the Roman ones.
const (
	wordClass    = `[\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}²³¹¼-¾Ⓐ-ⓩ🄰-🅉🅐-🅩🅰-🆉]`
	wordBoundary = `(?:(?<=` + wordClass + `)(?!` + wordClass + `)|(?<!` + wordClass + `)(?=` + wordClass + `))`
)

// translate turns Oniguruma's class intersection into .NET's subtraction: [ab&&[^c]] into
// [ab-[c]]. Classes in classes without && have no counterpart and are refused.
func translate(src string) (string, error) {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case depth == 0 && strings.HasPrefix(src[i:], `\b`):
			b.WriteString(wordBoundary)
			i++
		case c == '\\' && i+1 < len(src):
			b.WriteString(src[i : i+2])
			i++
		case depth == 0 && c == '[':
			depth = 1
			b.WriteByte(c)
			i += copyClassHead(&b, src[i+1:])
		case depth == 1 && strings.HasPrefix(src[i:], "&&"):
			n, err := intersect(&b, src[i+2:])
			if err != nil {
				return "", err
			}
			i += 1 + n
		case depth == 1 && c == '[':
			return "", errors.New("a class in a class is not supported")
		case depth == 1 && c == ']':
			depth = 0
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	if depth != 0 {
		return "", errors.New("a class is not closed")
	}
	return b.String(), nil
}

// copyClassHead copies a ^ and a ] that stand first in a class, where ] is a character.
func copyClassHead(b *strings.Builder, rest string) int {
	n := 0
	if strings.HasPrefix(rest, "^") {
		n++
	}
	if strings.HasPrefix(rest[n:], "]") {
		b.WriteString(rest[:n] + `\]`)
		return n + 1
	}
	b.WriteString(rest[:n])
	return n
}

// intersect writes the right side of &&, which must be one class that ends the outer one, as a subtraction.
func intersect(b *strings.Builder, rest string) (int, error) {
	end := strings.IndexByte(rest, ']')
	if !strings.HasPrefix(rest, "[") || end < 0 || !strings.HasPrefix(rest[end+1:], "]") || strings.ContainsAny(rest[1:end], `[`) {
		return 0, errors.New("this use of && is not supported")
	}
	inner := rest[1:end]
	if neg, ok := strings.CutPrefix(inner, "^"); ok {
		inner = neg
	} else {
		inner = "^" + inner
	}
	b.WriteString("-[" + inner + "]")
	return end + 1, nil
}
