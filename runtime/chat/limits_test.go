package chat

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestLimits: a hostile template ends with an error, soon and without much memory. Where the race detector looks at
// every byte, values are smaller.
func TestLimits(t *testing.T) {
	limits := Limits{Steps: 1_000_000}
	if testing.Short() {
		defer func(n int) { maxText = n }(maxText)
		limits.Output, maxText = 2<<20, 4<<20
	}
	for name, source := range map[string]string{
		"loops":          "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
		"recursion":      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
		"doubling":       "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
		"doubling list":  "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"repeat":         "{{ 'x' * 10000000000 }}",
		"repeat list":    "{{ [1] * 10000000000 }}",
		"many texts":     "{% set ns = namespace(l=[]) %}{% set big = 'x' * 10000000 %}{% for i in range(100000) %}{% set ns.l = ns.l + [big ~ i] %}{% endfor %}",
		"replace":        "{% set a = 'x' * 1000000 %}{{ a.replace('x', a) }}",
		"join":           "{% set a = 'x' * 1000000 %}{{ a.join(range(100000)|map('string')) }}",
		"width":          "{{ '%999999999d' % 1 }}",
		"format width":   "{{ '{:999999999}'.format(1) }}",
		"center":         "{{ 'a'.center(9999999999) }}",
		"indent":         "{{ 'a'|indent(9999999999, true) }}",
		"tojson indent":  "{{ [1]|tojson(indent=9999999999) }}",
		"lists of lists": "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
		"json of lists":  "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}",
		"compare lists":  "{% set a = namespace(l=[1]) %}{% set b = namespace(l=[1]) %}{% for i in range(60) %}{% set a.l = [a.l, a.l] %}{% set b.l = [b.l, b.l] %}{% endfor %}{{ a.l == b.l }}{{ a.l < b.l }}",
		"power":          "{{ 9 ** 9 ** 9 }}",
		"output":         "{% set a = 'x' * 10000000 %}{% for i in range(1000) %}{{ a }}{% endfor %}",
		"batch":          "{{ [1]|batch(99999999999, 'x')|list }}",
		"slice":          "{{ [1]|slice(99999999999, 'x')|list }}",
	} {
		start := time.Now()
		tmpl, err := Parse(source)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = tmpl.Render(context.Background(), Input{Limits: limits})
		if err == nil {
			t.Errorf("%s: rendered", name)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

// TestCancel: a rendering ends with its context.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tmpl, err := Parse("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Render(ctx, Input{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestDeep: sources nested without end are refused, not followed.
func TestDeep(t *testing.T) {
	for _, source := range []string{
		strings.Repeat("{{ (", 1) + strings.Repeat("(", 100_000),
		"{{ " + strings.Repeat("not ", 100_000) + "x }}",
		"{{ " + strings.Repeat("-", 100_000) + "1 }}",
		"{{ " + strings.Repeat("[", 100_000) + " }}",
		strings.Repeat("{% if x %}", 100_000),
		"{% for " + strings.Repeat("(", 100_000),
		"{{ x" + strings.Repeat(" if y else x", 100_000) + " }}",
	} {
		var se *SyntaxError
		if _, err := Parse(source); !errors.As(err, &se) {
			t.Errorf("%.40s...: %v", source, err)
		}
	}
	in := Input{Messages: []byte(strings.Repeat("[", 100_000))}
	tmpl, _ := Parse("x")
	if _, err := tmpl.Render(context.Background(), in); err == nil || !strings.Contains(err.Error(), "messages") {
		t.Errorf("%v", err)
	}
}

// TestErrors: what a template raises itself, what goes wrong, and what cannot be parsed are told apart, with lines.
func TestErrors(t *testing.T) {
	render := func(source string) error {
		tmpl, err := Parse(source)
		if err != nil {
			return err
		}
		_, err = tmpl.Render(context.Background(), Input{})
		return err
	}
	var raised *RaisedError
	if err := render("a\n{{ raise_exception('no tools') }}"); !errors.As(err, &raised) || raised.Line != 2 || raised.Msg != "no tools" {
		t.Errorf("%v", err)
	}
	var failed *RenderError
	if err := render("a\nb\n{{ x.y }}"); !errors.As(err, &failed) || failed.Line != 3 || !strings.Contains(err.Error(), "'x' is undefined") {
		t.Errorf("%v", err)
	}
	if err := render("{{ 'x' * 9999999999 }}"); !errors.Is(err, ErrLimit) {
		t.Errorf("%v", err)
	}
	var syntax *SyntaxError
	if err := render("a\n{% if x %}"); !errors.As(err, &syntax) || syntax.Line != 2 {
		t.Errorf("%v", err)
	}
}
