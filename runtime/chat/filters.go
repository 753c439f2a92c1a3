package chat

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// filterFunc is a filter applied to v.
type filterFunc = func(x *exec, v value, a args) (value, error)

var filters map[string]filterFunc

func init() { // not a literal: map, select and their like refer to it
	filters = map[string]filterFunc{
		"default": defaulted, "d": defaulted,
		"length": length, "count": length,
		"string": func(_ *exec, v value, _ args) (value, error) { return str(v), nil },
		"safe":   func(_ *exec, v value, _ args) (value, error) { return markup(str(v)), nil },
		"escape": escape, "e": escape,
		"forceescape": func(x *exec, v value, a args) (value, error) { return escape(x, str(v), a) },
		"upper":       onText(upper),
		"lower":       onText(strings.ToLower),
		"title":       onText(titleWords),
		"capitalize":  onText(capitalized),
		"trim":        viaMethod("strip"),
		"replace":     viaMethod("replace"),
		"center":      center,
		"wordcount":   func(_ *exec, v value, _ args) (value, error) { return int64(len(strings.Fields(str(v)))), nil },
		"indent":      indent,
		"truncate":    truncate,
		"format":      format,
		"urlencode":   urlEncode,
		"tojson":      toJSON,
		"join":        joinFilter,
		"list":        toList,
		"items":       items,
		"dictsort":    dictSort,
		"sort":        sortFilter,
		"unique":      unique,
		"min":         extremum(func(c int) bool { return c < 0 }),
		"max":         extremum(func(c int) bool { return c > 0 }),
		"first":       func(x *exec, v value, _ args) (value, error) { return end(x, v, false) },
		"last":        func(x *exec, v value, _ args) (value, error) { return end(x, v, true) },
		"reverse":     reverse,
		"map":         mapFilter,
		"select":      selecting(false, true), "reject": selecting(false, false),
		"selectattr": selecting(true, true), "rejectattr": selecting(true, false),
		"groupby": groupBy,
		"batch":   batch,
		"slice":   columns,
		"sum":     sum,
		"int":     toInt,
		"float":   toFloat,
		"abs":     absolute,
		"round":   round,
		"attr":    attrFilter,
	}
}

// filter applies a filter to v.
func (x *exec) filter(f filterExpr, v value, s *scope) (value, error) {
	a, err := x.evalArgs(f.args, s)
	if err != nil {
		return nil, err
	}
	return x.applyFilter(f.name, v, a)
}

func (x *exec) applyFilter(name string, v value, a args) (value, error) {
	fn, ok := filters[name]
	if !ok {
		return nil, fmt.Errorf("no filter named '%s'", name)
	}
	if name != "e" && name != "escape" {
		v = plain(v)
	}
	if s, ok := v.(string); ok {
		if err := x.fits(len(s)); err != nil { // every filter may copy
			return nil, err
		}
	}
	return fn(x, v, a)
}

func defaulted(_ *exec, v value, a args) (value, error) {
	_, missing := v.(undefined)
	if missing || truth(a.arg(1, "boolean", false)) && !truth(v) {
		return a.arg(0, "default_value", ""), nil
	}
	return v, nil
}

func length(_ *exec, v value, _ args) (value, error) {
	switch v := v.(type) {
	case undefined:
		return int64(0), nil
	case string:
		return int64(utf8.RuneCountInString(v)), nil
	case *list:
		if v.kind != aGenerator {
			return int64(len(v.items)), nil
		}
	case *dict:
		return int64(v.len()), nil
	case *loop:
		return int64(len(v.items)), nil
	}
	return nil, fmt.Errorf("object of type '%s' has no len()", typeName(v))
}

func escape(x *exec, v value, _ args) (value, error) {
	m := escaped(v)
	return m, x.fits(len(m))
}

// onText is a filter of the value's text.
func onText(f func(string) string) filterFunc {
	return func(_ *exec, v value, _ args) (value, error) { return f(str(v)), nil }
}

// viaMethod is a filter that calls a method of the value's text.
func viaMethod(name string) filterFunc {
	return func(x *exec, v value, a args) (value, error) {
		for i, p := range a.pos {
			if name == "replace" && i < 2 {
				a.pos[i] = str(p)
			}
		}
		return stringMethods[name](x, str(v), a)
	}
}

func center(x *exec, v value, a args) (value, error) {
	a.pos = []value{a.arg(0, "width", int64(80))}
	a.names = nil
	return stringMethods["center"](x, str(v), a)
}

// titleWords is jinja2's title: words begin after white space, brackets and hyphens only.
func titleWords(s string) string {
	var b strings.Builder
	start := true
	for _, r := range s {
		if start {
			b.WriteString(strings.ToUpper(string(r)))
		} else {
			b.WriteString(strings.ToLower(string(r)))
		}
		start = isSpace(r) || strings.ContainsRune("-({[<", r)
	}
	return b.String()
}

// indent puts spaces before every line but the first and blank ones.
func indent(x *exec, v value, a args) (value, error) {
	pad := "    "
	switch w := a.arg(0, "width", int64(4)).(type) {
	case string:
		pad = w
	case int64:
		if err := x.fits(int(max(0, min(w, 1<<40)))); err != nil {
			return nil, err
		}
		pad = strings.Repeat(" ", int(max(0, w)))
	default:
		return nil, errors.New("indent: the width must be an integer or a string")
	}
	first, blank := truth(a.arg(1, "first", false)), truth(a.arg(2, "blank", false))
	lines := strings.Split(str(v), "\n")
	if len(pad) > 0 && len(lines) > x.limits.Output/len(pad) {
		return nil, x.fits(-1)
	}
	if err := x.fits(len(lines) * len(pad)); err != nil {
		return nil, err
	}
	for i, l := range lines {
		if (i > 0 || first) && (blank || l != "" || i == 0) {
			lines[i] = pad + l
		}
	}
	return strings.Join(lines, "\n"), nil
}

// truncate cuts a text that is longer than length by more than leeway, at a word unless killwords.
func truncate(_ *exec, v value, a args) (value, error) {
	n, _, isInt, _ := number(a.arg(0, "length", int64(255)))
	end, ok := a.arg(2, "end", "...").(string)
	leeway, _, leewayInt, _ := number(a.arg(3, "leeway", int64(5)))
	if !isInt || !ok || !leewayInt || n < int64(len(end)) || leeway < 0 {
		return nil, errors.New("truncate: the length must be an integer not below that of the end")
	}
	r := []rune(str(v))
	if int64(len(r)) <= n+leeway {
		return string(r), nil
	}
	cut := string(r[:n-int64(utf8.RuneCountInString(end))])
	if i := strings.LastIndexByte(cut, ' '); i >= 0 && !truth(a.arg(1, "killwords", false)) {
		cut = cut[:i]
	}
	return cut + end, nil
}

// format is the text as a printf format.
func format(x *exec, v value, a args) (value, error) {
	if len(a.pos) > 0 && len(a.names) > 0 {
		return nil, errors.New("can't handle positional and keyword arguments at the same time")
	}
	if len(a.names) > 0 {
		d := newDict()
		for i, n := range a.names {
			d.put(n, a.named[i])
		}
		return x.printf(str(v), d)
	}
	return x.printf(str(v), tuple(a.pos...))
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/"

func urlEncode(x *exec, v value, _ args) (value, error) {
	switch v.(type) {
	case *list, *dict:
		return nil, errors.New("urlencode: not supported of lists and mappings")
	}
	s := str(v)
	if err := x.fits(3 * len(s)); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(unreserved, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String(), nil
}

// toJSON is transformers' tojson, not jinja2's: it escapes nothing for HTML.
func toJSON(x *exec, v value, a args) (value, error) {
	style := jsonStyle{x: x, comma: ", ", colon: ": ", ascii: truth(a.arg(0, "ensure_ascii", false)), sortKey: truth(a.arg(3, "sort_keys", false))}
	switch w := a.arg(1, "indent", nil).(type) {
	case nil:
	case string:
		style.pretty, style.indent = true, w
	case int64:
		if err := x.fits(int(max(0, min(w, 1<<40)))); err != nil {
			return nil, err
		}
		style.pretty, style.indent = true, strings.Repeat(" ", int(max(0, w)))
	default:
		return nil, errors.New("tojson: indent must be an integer or a string")
	}
	if style.pretty {
		style.comma = ","
	}
	if seps, ok := a.arg(2, "separators", nil).(*list); ok {
		if len(seps.items) != 2 || !isString(seps.items[0]) || !isString(seps.items[1]) {
			return nil, errors.New("tojson: separators must be two strings")
		}
		style.comma, style.colon = seps.items[0].(string), seps.items[1].(string)
	}
	var b strings.Builder
	if err := style.dump(&b, v, 0); err != nil {
		return nil, err
	}
	return b.String(), x.fits(b.Len())
}
