package convert

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// yamlErrorf names a line of the front matter as a line of the card, which has one --- line before it.
func yamlErrorf(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line+1, fmt.Sprintf(format, args...))
}

var pyBools = map[string]bool{"yes": true, "no": false, "true": true, "false": false, "on": true, "off": false}

// The forms of plain scalars that PyYAML takes for something else than text, in the
// order in which it tries them.
var (
	pyBoolForm  = regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	pyFloatForm = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	pyIntForm   = regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	pyNullForm  = regexp.MustCompile(`^(?:~|null|Null|NULL|)$`)
	pyTimeForm  = regexp.MustCompile(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?)$`)
)

// pyTag is the type of a plain scalar.
func pyTag(s string) string {
	switch {
	case pyBoolForm.MatchString(s):
		return "!!bool"
	case pyFloatForm.MatchString(s):
		return "!!float"
	case pyIntForm.MatchString(s):
		return "!!int"
	case s == "<<":
		return "!!merge"
	case pyNullForm.MatchString(s):
		return "!!null"
	case pyTimeForm.MatchString(s):
		return "!!timestamp"
	case s == "=":
		return "!!value"
	}
	return "!!str"
}

// pySigned takes the sign and the underscores off a number.
func pySigned(s string) (negative bool, digits string) {
	s = strings.ToLower(strings.ReplaceAll(s, "_", ""))
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[0] == '-', s[1:]
	}
	return false, s
}

// pyInt reads an integer of base two, eight, ten, sixteen, or sixty with colons; one beyond 64 bits is opaque.
func pyInt(s string) (any, bool) {
	negative, digits := pySigned(s)
	n, ok := new(big.Int), false
	switch {
	case digits == "0":
		ok = true
	case strings.HasPrefix(digits, "0b"):
		n, ok = n.SetString(digits[2:], 2)
	case strings.HasPrefix(digits, "0x"):
		n, ok = n.SetString(digits[2:], 16)
	case strings.HasPrefix(digits, "0"):
		n, ok = n.SetString(digits, 8)
	default:
		ok = true
		for _, part := range strings.Split(digits, ":") {
			d, good := new(big.Int).SetString(part, 10)
			if !good {
				return nil, false
			}
			n.Add(n.Mul(n, big.NewInt(60)), d)
		}
	}
	if !ok {
		return nil, false
	}
	if negative {
		n.Neg(n)
	}
	if !n.IsInt64() {
		return opaque{fmt.Sprintf("an integer of %d bits", n.BitLen())}, true
	}
	return n.Int64(), true
}

// pyFloat reads a float, also of base sixty with colons.
func pyFloat(s string) (any, bool) {
	negative, digits := pySigned(s)
	var x float64
	switch digits {
	case ".inf":
		x = math.Inf(1)
	case ".nan":
		return math.Float64frombits(0xfff8 << 48), true // PyYAML computes it, and x86 sets the sign then
	default:
		parts := strings.Split(digits, ":")
		base := 1.0
		for i := len(parts) - 1; i >= 0; i-- { // from the right: the order of the sum is Python's
			d, err := strconv.ParseFloat(parts[i], 64)
			if err != nil && !math.IsInf(d, 0) {
				return nil, false
			}
			x += float64(d * base)
			base *= 60
		}
	}
	if negative {
		x = -x
	}
	return x, true
}

var timeNumbers = regexp.MustCompile(`[0-9]+`)

// validTimestamp says whether the numbers of a date, and of a time of day where there is one, exist.
func validTimestamp(s string) bool {
	if !pyTimeForm.MatchString(s) {
		return false
	}
	var n [6]int
	for i, d := range timeNumbers.FindAllString(s, len(n)) {
		n[i], _ = strconv.Atoi(d) // four digits at most
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	return n[0] > 0 && t.Year() == n[0] && t.Month() == time.Month(n[1]) && t.Day() == n[2] && n[3] < 24 && n[4] < 60 && n[5] < 60
}
