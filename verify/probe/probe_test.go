package probe

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/verify"
)

func TestRepetitionScore(t *testing.T) {
	for _, c := range []struct {
		text string
		want float64
	}{
		{"", 0},
		{"one two", 0},
		{"one two three", 0},
		{"a b c d e f g", 0},
		{"a a a", 0},
		{"a a a a", 1.0 / 2},           // 2 grams, both the same
		{"a b a b a b", 2.0 / 4},       // aba bab aba bab
		{"x y z x y z x y z", 4.0 / 7}, // xyz 3, yzx 2, zxy 2
		{"the cat sat on the mat and the cat sat down", 1.0 / 9},
		{"a b c\n\ta  b c", 1.0 / 4}, // any blanks part words
		{"A b c a b c", 0},           // case counts
		{strings.Repeat("again ", 100), 97.0 / 98},
	} {
		if got := RepetitionScore(c.text); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%q: %v, want %v", c.text, got, c.want)
		}
	}
}

func TestRepetitionBounds(t *testing.T) {
	// 12 words, 10 grams: k repeats make a score of k/10.
	for _, c := range []struct {
		text string
		want verify.Status
	}{
		{"a b c d e f g h i a b c", verify.Pass}, // 0.1 is allowed
		{"a b c d e f g h a b c d", verify.Warn}, // 0.2
		{"a b c d e f g a b c d e", verify.Warn}, // 0.3 does not fail yet
		{"a b c d e f a b c d e f", verify.Fail}, // 0.4
		{"Write a haiku about AI. Write a haiku about AI. Write a haiku about AI.", verify.Fail},
	} {
		if f := (Repetition{}).Judge(Answer{Text: c.text}); f.Status != c.want {
			t.Errorf("%q: %s %s, want %s", c.text, f.Status, f.Message, c.want)
		}
	}
}

func TestEcho(t *testing.T) {
	prompt := "Explain quantum computing in simple terms."
	for _, c := range []struct {
		prompt, answer string
		score          float64
		want           verify.Status
	}{
		{prompt, "Explain quantum computing in simple terms.", 1, verify.Fail},
		{prompt, "explain QUANTUM computing in simple terms. Explain quantum computing in simple terms.", 1, verify.Fail},
		{prompt, "Sure: explain quantum computing in simple terms.", 6.0 / 7, verify.Fail},
		{prompt, "You ask me to explain quantum computing in simple terms.", 6.0 / 10, verify.Warn},
		{prompt, "Quantum computing uses qubits, which hold both values at a time.", 0, verify.Pass},
		{prompt, "In simple terms. Yes.", 0, verify.Pass},
		{prompt, "", 0, verify.Pass},
		{"Say hi", "Say hi Say hi", 1, verify.Fail},
		{"Yes?", "yes? yes?", 0, verify.Pass}, // one word tells nothing
	} {
		if got := EchoScore(c.prompt, c.answer); math.Abs(got-c.score) > 1e-12 {
			t.Errorf("%q: score %v, want %v", c.answer, got, c.score)
		}
		if f := (Echo{}).Judge(Answer{Prompt: c.prompt, Text: c.answer}); f.Status != c.want {
			t.Errorf("%q: %s, want %s", c.answer, f.Status, c.want)
		}
	}
}

func TestGoTokens(t *testing.T) {
	prompt := "package main\n\nfunc f(s string) {\n"
	for _, c := range []struct {
		name, answer string
		cut          bool
		want         verify.Status
	}{
		{"code", "\treturn s + \"x\" // done\n}\n", false, verify.Pass},
		{"cut in a string", "\treturn s + \"x", true, verify.Pass},
		{"cut in a raw string", "\treturn `a\nb", true, verify.Pass},
		{"cut in a comment", "\treturn /* as\nit", true, verify.Pass},
		{"cut in a rune", "\treturn '\\", true, verify.Pass},
		{"ends in a string", "\treturn s + \"x", false, verify.Fail},
		{"string over a line's end", "\treturn \"x\n}\n", true, verify.Fail},
		{"illegal character", "\treturn s # s\n", true, verify.Fail},
		{"prose", "the model's answer isn't code\n", true, verify.Fail},
		{"bad escape", "\treturn \"\\q\"\n", true, verify.Fail},
		{"braces alone", "}}}}\n", true, verify.Fail},
		{"comment alone", "// nothing to see\n", true, verify.Fail},
		{"empty", "", true, verify.Fail},
	} {
		if f := (GoTokens{}).Judge(Answer{Prompt: prompt, Text: c.answer, Cut: c.cut}); f.Status != c.want {
			t.Errorf("%s: %s: %s", c.name, f.Status, f.Message)
		}
	}
	if f := (GoTokens{}).Judge(Answer{Prompt: "package a // begin", Text: "ning's end isn't here\nvar x int\n"}); f.Status != verify.Pass {
		t.Errorf("answer within a comment: %s", f.Message)
	}
}

func TestOtherCriteria(t *testing.T) {
	pattern, err := NewPattern(`\b60\b`)
	if err != nil {
		t.Fatal(err)
	}
	source := &Answer{IDs: []int32{1, 2, 3, 4}}
	for _, c := range []struct {
		name      string
		criterion Criterion
		answer    Answer
		want      verify.Status
	}{
		{"blanks", NotEmpty{}, Answer{Text: " \n\t"}, verify.Fail},
		{"text", NotEmpty{}, Answer{Text: "x"}, verify.Pass},
		{"broken bytes", UTF8{}, Answer{Text: "a\xff"}, verify.Fail},
		{"replacement", UTF8{}, Answer{Text: "a\uFFFDb", Cut: true}, verify.Fail},
		{"cut within a character", UTF8{}, Answer{Text: "ab\uFFFD", Cut: true}, verify.Pass},
		{"replacement at a whole end", UTF8{}, Answer{Text: "ab\uFFFD"}, verify.Fail},
		{"emoji", UTF8{}, Answer{Text: "🙂"}, verify.Pass},
		{"contains", Contains{"return", "n"}, Answer{Text: "return n"}, verify.Pass},
		{"contains not", Contains{"return", "z"}, Answer{Text: "return n"}, verify.Fail},
		{"keywords", Keywords{[]string{"Gradient", "loss", "step"}, 2}, Answer{Text: "the gradient of the LOSS"}, verify.Pass},
		{"keywords in two lines and with hyphens", Keywords{[]string{"learning rate", "step-size", "x"}, 2}, Answer{Text: "Learning\u2011rate or step\nsize"}, verify.Pass},
		{"a keyword that is a hyphen", Keywords{[]string{"-"}, 1}, Answer{Text: "n - 1"}, verify.Pass},
		{"no hyphen", Keywords{[]string{"-"}, 1}, Answer{Text: "n + 1"}, verify.Fail},
		{"punctuation alone", NotEmpty{}, Answer{Text: "```\n```\n..."}, verify.Fail},
		{"keywords not", Keywords{[]string{"gradient", "loss", "step"}, 2}, Answer{Text: "the gradient"}, verify.Fail},
		{"pattern", pattern, Answer{Text: "it is 60 mph"}, verify.Pass},
		{"pattern not", pattern, Answer{Text: "it is 160 mph"}, verify.Fail},
		{"agreement", Agreement{0.5}, Answer{IDs: []int32{1, 2, 9, 4}, Source: source}, verify.Pass},
		{"agreement not", Agreement{0.6}, Answer{IDs: []int32{1, 2, 9, 4}, Source: source}, verify.Fail},
		{"agreement, but longer", Agreement{0.9}, Answer{IDs: []int32{1, 2, 3, 4, 5, 6}, Source: source}, verify.Fail},
		{"agreement alone", Agreement{0.6}, Answer{IDs: []int32{1}}, verify.NotApplicable},
		{"both silent", Agreement{1}, Answer{Source: &Answer{}}, verify.Pass},
	} {
		if f := c.criterion.Judge(c.answer); f.Status != c.want {
			t.Errorf("%s: %s: %s", c.name, f.Status, f.Message)
		}
	}
}

// A whole probe: degenerate answers fail and say why, a sound one passes.
func TestJudge(t *testing.T) {
	p, err := New(Spec{Name: "code", Prompt: "package main\n\nimport (\n", Language: "go", Contains: []string{")"}, Agreement: 0.25})
	if err != nil {
		t.Fatal(err)
	}
	source := &Answer{IDs: []int32{5, 6, 7, 8}}
	for _, c := range []struct {
		text string
		ids  []int32
		want verify.Status
		why  string
	}{
		{"\t\"fmt\"\n\t\"os\"\n)\n", []int32{5, 6, 1, 1}, verify.Pass, "good: not empty, utf-8, repetition, echo, go tokens, contains, agreement, edits"},
		{strings.Repeat("\t\"fmt\"\n", 30) + ")", []int32{5, 6, 7, 8}, verify.Fail, "repetition: score 0.931"},
		{"package main import ( package main import ( )", []int32{5, 6, 7, 8}, verify.Fail, "echo: 89% of the answer is the prompt again"},
		{"", nil, verify.Fail, "not empty: the answer is empty"},
		{"\t\"fmt\"\n)\n", []int32{9, 6, 7, 8}, verify.Fail, "agreement: the first 0 of 4 tokens are the source's, 25% are needed"},
	} {
		r := p.Judge(Answer{Prompt: p.Prompt, Text: c.text, IDs: c.ids, Source: source})
		if r.Status != c.want || !strings.Contains(r.Detail, c.why) || r.Output != c.text {
			t.Errorf("%q: %s: %s; want %q", c.text, r.Status, r.Detail, c.why)
		}
	}
}

func TestSpecs(t *testing.T) {
	p, err := New(Spec{Name: "n", Prompt: "p", Keywords: []string{"a", "b"}, MinMatches: 1, Pattern: "x"})
	if err != nil || p.MaxTokens != DefaultMaxTokens {
		t.Fatalf("%+v, %v", p, err)
	}
	var names []string
	for _, c := range p.Criteria {
		names = append(names, c.Name())
	}
	if want := []string{"not empty", "utf-8", "repetition", "echo", "script", "keywords", "pattern", "agreement", "edits"}; !slices.Equal(names, want) {
		t.Errorf("criteria %q, want %q", names, want)
	}
	for name, s := range map[string]Spec{
		"no name":            {Prompt: "p"},
		"no prompt":          {Name: "n"},
		"unknown language":   {Name: "n", Prompt: "p", Language: "cobol"},
		"3 of 2 keywords":    {Name: "n", Prompt: "p", Keywords: []string{"a", "b"}, MinMatches: 3},
		"missing closing )":  {Name: "n", Prompt: "p", Pattern: "("},
		"is not a share":     {Name: "n", Prompt: "p", Agreement: 1.5},
		"a number of tokens": {Name: "n", Prompt: "p", MaxTokens: -1},
	} {
		if _, err := New(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
