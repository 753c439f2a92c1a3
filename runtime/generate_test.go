package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/sample"
	"github.com/moeconv/moeconv/runtime/token"
)

// TestStopper feeds texts cut at every place; what comes out ends before the stop string that begins first.
func TestStopper(t *testing.T) {
	for _, c := range []struct {
		stops      []string
		text, want string
		stopped    bool
	}{
		{nil, "any text", "any text", false},
		{[]string{"END"}, "some text END of it", "some text ", true},
		{[]string{"END"}, "EEEND", "EE", true},
		{[]string{"END"}, "the EN", "the EN", false},
		{[]string{"aab"}, "aaaab", "aa", true},
		{[]string{"b c", "c"}, "a b c d", "a ", true},
		{[]string{"\n\n", "é"}, "a\nb\n\nc", "a\nb", true},
		{[]string{"é"}, "caf\xc3\xa9 x", "caf", true},
	} {
		for cut := range len(c.text) + 1 {
			for cut2 := cut; cut2 <= len(c.text); cut2++ {
				s := stopper{stops: c.stops}
				var b strings.Builder
				stopped := false
				for _, part := range []string{c.text[:cut], c.text[cut:cut2], c.text[cut2:]} {
					if stopped {
						break
					}
					var out string
					out, stopped = s.push(part)
					b.WriteString(out)
				}
				if !stopped {
					b.WriteString(s.flush())
				}
				if b.String() != c.want || stopped != c.stopped {
					t.Fatalf("%q cut at %d and %d with stops %q: %q, %v", c.text, cut, cut2, c.stops, b.String(), stopped)
				}
			}
		}
	}
}

// tiny is the trained model with its tokenizer.
func tiny(t testing.TB, opts Options) (*Model, *token.Tokenizer) {
	t.Helper()
	m := load(t, plan(t, tinyDir, "bf16"), opts)
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	return m, tok
}

func prompt(t testing.TB, tok *token.Tokenizer, text string) []int32 {
	t.Helper()
	ids, err := encode(tok, text)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func generate(t testing.TB, s *Session, ids []int32, opts GenerateOptions) Generation {
	t.Helper()
	g, err := Generate(t.Context(), s, ids, opts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGenerateReasons ends one text in every way there is.
func TestGenerateReasons(t *testing.T) {
	m, tok := tiny(t, Options{Context: 40})
	ids := prompt(t, tok, "package main\n\nimport (\n")
	full := generate(t, m.NewSession(), ids, GenerateOptions{MaxTokens: 20})
	if full.Reason != ReasonLength || len(full.IDs) != 20 || full.Text != tok.Decode(full.IDs, token.Options{}) {
		t.Fatalf("%+v", full)
	}
	if full.PromptTokens != len(ids) || full.PromptTime <= 0 || full.Time <= 0 {
		t.Errorf("%+v", full)
	}

	s := m.NewSession()
	rest := generate(t, s, ids, GenerateOptions{IgnoreEOG: true})
	if rest.Reason != ReasonContext || s.Len() != 40 || len(rest.IDs) != 40-len(ids)+1 || !slices.Equal(rest.IDs[:20], full.IDs) {
		t.Errorf("%+v, length %d", rest, s.Len())
	}

	at := len(full.Text) / 2
	stop := full.Text[at : at+3]
	first := strings.Index(full.Text, stop)
	var streamed strings.Builder
	stopped := generate(t, m.NewSession(), ids, GenerateOptions{MaxTokens: 20, Stop: []string{stop}, OnToken: func(t Token) {
		streamed.WriteString(t.Text)
	}})
	if stopped.Reason != ReasonStop || stopped.Text != full.Text[:first] || streamed.String() != stopped.Text {
		t.Errorf("stop %q: %+v, streamed %q", stop, stopped, streamed.String())
	}
}

// eogSource is a model whose end-of-text token is another one.
type eogSource struct {
	gguf.Source
	md *gguf.Metadata
}

func (s eogSource) Metadata() *gguf.Metadata { return s.md }

func TestGenerateEndsAtEOG(t *testing.T) {
	m, tok := tiny(t, Options{})
	ids := prompt(t, tok, "package main\n\nimport (\n")
	full := generate(t, m.NewSession(), ids, GenerateOptions{MaxTokens: 12})
	eog := full.IDs[7]
	src := plan(t, tinyDir, "bf16")
	md := src.Metadata().Clone()
	md.Set("tokenizer.ggml.eos_token_id", uint32(eog))
	other := load(t, eogSource{src, md}, Options{})
	want := full.IDs[:slices.Index(full.IDs, eog)]
	g := generate(t, other.NewSession(), ids, GenerateOptions{MaxTokens: 12})
	if g.Reason != ReasonEOG || !slices.Equal(g.IDs, want) {
		t.Errorf("%+v, want %v", g, want)
	}
	g = generate(t, other.NewSession(), ids, GenerateOptions{MaxTokens: 12, IgnoreEOG: true})
	if g.Reason != ReasonLength || !slices.Equal(g.IDs, full.IDs) {
		t.Errorf("ignoring EOG: %+v, want %v", g, full.IDs)
	}
}

func TestGenerateSamples(t *testing.T) {
	m, tok := tiny(t, Options{})
	ids := prompt(t, tok, "func (")
	text := func(seed uint64) string {
		o := sample.Default()
		o.Seed = seed
		return generate(t, m.NewSession(), ids, GenerateOptions{MaxTokens: 24, Sample: o, IgnoreEOG: true}).Text
	}
	a, again, b, c := text(1), text(1), text(2), text(3)
	if a != again {
		t.Errorf("a seed gives two texts, %q and %q", a, again)
	}
	if a == b && b == c {
		t.Error("three seeds give one text")
	}
}

// TestGeneratePenaltiesSeeThePrompt: a penalty without bounds keeps prompt's tokens from coming back.
func TestGeneratePenaltiesSeeThePrompt(t *testing.T) {
	m, tok := tiny(t, Options{})
	ids := prompt(t, tok, "package main\n\nimport (\n")
	o := sample.Options{PresencePenalty: 1e6, RepeatLast: -1}
	g := generate(t, m.NewSession(), ids, GenerateOptions{MaxTokens: 10, Sample: o, IgnoreEOG: true})
	for i, id := range g.IDs {
		if slices.Contains(ids, id) || slices.Contains(g.IDs[:i], id) {
			t.Errorf("token %d came back in %v", id, g.IDs)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	m, tok := tiny(t, Options{Context: 4})
	for what, o := range map[string]GenerateOptions{
		"temperature": {Sample: sample.Options{Temperature: -1}},
		"length":      {MaxTokens: -1},
		"stop":        {Stop: []string{"a", ""}},
	} {
		if _, err := Generate(t.Context(), m.NewSession(), []int32{1}, o); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	var full *ContextError
	if _, err := Generate(t.Context(), m.NewSession(), prompt(t, tok, "a long enough prompt"), GenerateOptions{}); !errors.As(err, &full) {
		t.Errorf("prompt beyond the context: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m, _ = tiny(t, Options{})
	g, err := Generate(ctx, m.NewSession(), prompt(t, tok, "func ("), GenerateOptions{IgnoreEOG: true, OnToken: func(Token) { cancel() }})
	if !errors.Is(err, context.Canceled) || len(g.IDs) != 1 {
		t.Errorf("cancelled: %v, %+v", err, g)
	}
}
