package chat

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

func sum(x *exec, v value, a args) (value, error) {
	all, err := x.iterate(v)
	if err != nil {
		return nil, err
	}
	get, err := x.getter(a.arg(0, "attribute", nil), nil)
	if err != nil {
		return nil, err
	}
	total := a.arg(1, "start", int64(0))
	for _, it := range all {
		if it, err = get(it); err != nil {
			return nil, err
		}
		if total, err = x.arith("+", total, it); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func toInt(_ *exec, v value, a args) (value, error) {
	missing := a.arg(0, "default", int64(0))
	base, _, _, _ := number(a.arg(1, "base", int64(10)))
	i, f, isInt, ok := number(v)
	if s, is := v.(string); is {
		text := strings.TrimSpace(s)
		if i, ok := parseInt(text, base); ok {
			return i, nil
		}
		var err error
		f, err = strconv.ParseFloat(text, 64)
		ok = err == nil
	}
	switch {
	case ok && isInt:
		return i, nil
	case ok && math.Abs(f) < 1<<63:
		return int64(f), nil
	}
	return missing, nil
}

// parseInt is Python's int(text, base), which allows the prefix of the base.
func parseInt(text string, base int64) (int64, bool) {
	if base < 0 || base == 1 || base > 36 {
		return 0, false
	}
	text = strings.ToLower(strings.ReplaceAll(text, "_", ""))
	if prefix := map[int64]string{2: "0b", 8: "0o", 16: "0x"}[base]; prefix != "" {
		text = strings.Replace(text, prefix, "", 1)
	}
	i, err := strconv.ParseInt(text, int(base), 64)
	return i, err == nil
}

func toFloat(_ *exec, v value, a args) (value, error) {
	if s, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			return f, nil
		}
	} else if _, f, _, ok := number(v); ok {
		return f, nil
	}
	return a.arg(0, "default", 0.0), nil
}

func absolute(_ *exec, v value, _ args) (value, error) {
	i, f, isInt, ok := number(v)
	switch {
	case !ok:
		return nil, fmt.Errorf("bad operand type for abs(): '%s'", typeName(v))
	case isInt:
		return max(i, -i), nil
	}
	return math.Abs(f), nil
}

func round(_ *exec, v value, a args) (value, error) {
	i, f, whole, ok := number(v)
	n, _, isInt, _ := number(a.arg(0, "precision", int64(0)))
	if !ok || !isInt || n > 300 || n < -300 {
		return nil, errors.New("round: want a number and a precision")
	}
	scale := math.Pow(10, float64(n))
	switch how := a.arg(1, "method", "common"); how {
	case "common":
		if whole && n >= 0 {
			return i, nil
		}
		if whole {
			return int64(math.RoundToEven(f*scale) / scale), nil
		}
		if n >= 0 {
			r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', int(n), 64), 64)
			return r, err
		}
		return math.RoundToEven(f*scale) / scale, nil
	case "ceil":
		return math.Ceil(f*scale) / scale, nil
	case "floor":
		return math.Floor(f*scale) / scale, nil
	}
	return nil, errors.New("round: the method must be common, ceil or floor")
}
