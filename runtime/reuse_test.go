package runtime

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// close4 demands rows that are equal to 1e-4.
func close4(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= 1e-4) {
			t.Fatalf("%s: logit %d is %v off", what, i, d)
		}
	}
}

// TestReuse holds a conversation of ten turns, each prompt of which begins with all that was said before, and one that
// goes back: logits are those of a text evaluated from its beginning.
func TestReuse(t *testing.T) {
	m, tok := tiny(t, Options{})
	s := m.NewSession()
	text := prompt(t, tok, "package main\n")
	for turn := range 10 {
		text = append(text, prompt(t, tok, fmt.Sprintf("\nfunc f%d(a int) error {", turn))[1:]...)
		if turn == 7 {
			text = append(text[:len(text)/2:len(text)/2], prompt(t, tok, "return nil\n}")[1:]...)
		}
		common := s.Common(text)
		rest := s.Reuse(text)
		if turn > 0 && (common == 0 || len(rest) != len(text)-common) || len(rest) == 0 {
			t.Fatalf("turn %d: %d of %d tokens in common, %d left", turn, common, len(text), len(rest))
		}
		g := generate(t, s, rest, GenerateOptions{MaxTokens: 4, IgnoreEOG: true})
		if g.PromptTokens != len(text) || g.CachedTokens != len(text)-len(rest) {
			t.Errorf("turn %d: %+v", turn, g)
		}
		fresh := m.NewSession()
		if want := generate(t, fresh, text, GenerateOptions{MaxTokens: 4, IgnoreEOG: true}); !slices.Equal(g.IDs, want.IDs) {
			t.Errorf("turn %d: %v, want %v", turn, g.IDs, want.IDs)
		}
		close4(t, fmt.Sprint("turn ", turn), eval(t, s, text[:1], WantLast).Last(), eval(t, fresh, text[:1], WantLast).Last())
		text = append(text, g.IDs...)
	}
	if rest := s.Reuse(text[:3]); !slices.Equal(rest, text[2:3]) || s.Len() != 2 {
		t.Errorf("a text that is there already: %v left, length %d", rest, s.Len())
	}
}

func TestShift(t *testing.T) {
	m, tok := tiny(t, Options{Context: 24})
	ids := prompt(t, tok, "package main\n\nimport (\n")
	s := m.NewSession()
	g := generate(t, s, ids, GenerateOptions{MaxTokens: 60, IgnoreEOG: true, Shift: true, Keep: 3})
	if g.Reason != ReasonLength || len(g.IDs) != 60 {
		t.Fatalf("%+v", g)
	}
	if text := s.Tokens(); len(text) > 24 || !slices.Equal(text[:3], ids[:3]) || !slices.Equal(text[3:], g.IDs[60-1-len(text[3:]):59]) {
		t.Errorf("after shifts: %v, generated %v", text, g.IDs)
	}
	rest := s.Reuse(s.Tokens())
	close4(t, "after shifts", eval(t, s, rest, WantLast).Last(), eval(t, m.NewSession(), s.Tokens(), WantLast).Last())

	long := slices.Repeat(ids, 5)
	var full *ContextError
	if _, err := Generate(t.Context(), m.NewSession(), long, GenerateOptions{}); !errors.As(err, &full) || full.Add != len(long) || full.Context != 24 {
		t.Errorf("prompt beyond the context: %v", err)
	}
	g = generate(t, m.NewSession(), long, GenerateOptions{MaxTokens: 30, IgnoreEOG: true, Shift: true, Keep: 3})
	if len(g.IDs) != 30 || g.PromptTokens != 3+10 {
		t.Errorf("long prompt: %+v", g)
	}
	if _, err := Generate(t.Context(), m.NewSession(), long, GenerateOptions{Shift: true, Keep: 23}); err == nil {
		t.Error("keeping nearly all: no error")
	}
}

// TestTokenEvents: one event a token, their texts make the text, and the last says why it ended.
func TestTokenEvents(t *testing.T) {
	m, tok := tiny(t, Options{})
	ids := prompt(t, tok, "package main\n\nimport (\n")
	full := generate(t, m.NewSession(), ids, GenerateOptions{MaxTokens: 30, IgnoreEOG: true})
	stop := full.Text[9:20] // several tokens
	if n := len(prompt(t, tok, stop)); n < 4 {
		t.Fatalf("the stop string has %d tokens", n)
	}
	for _, opts := range []GenerateOptions{{MaxTokens: 30}, {MaxTokens: 30, Stop: []string{stop}}, {MaxTokens: 7, Stop: []string{full.Text[:3] + "\x00"}}} {
		var events []Token
		opts.Logprobs, opts.Top = true, 3
		opts.OnToken = func(t Token) { events = append(events, t) }
		g := generate(t, m.NewSession(), ids, opts)
		var text strings.Builder
		for i, e := range events {
			text.WriteString(e.Text)
			if last := i == len(events)-1; (e.Reason != "") != last || last && e.Reason != g.Reason {
				t.Errorf("event %d of %d: reason %q, generation's %q", i, len(events), e.Reason, g.Reason)
			}
			if len(e.Top) != 3 || e.Top[0].ID != e.ID || e.Top[0].Logprob != e.Logprob || e.Logprob > 0 || e.Top[1].Logprob < e.Top[2].Logprob {
				t.Errorf("event %d: %+v", i, e)
			}
		}
		if len(events) != g.Tokens || text.String() != g.Text {
			t.Errorf("%d events, %d tokens; %q, %q", len(events), g.Tokens, text.String(), g.Text)
		}
		if opts.Stop != nil && opts.MaxTokens == 30 && (g.Reason != ReasonStop || g.Text != full.Text[:9]) {
			t.Errorf("stop string across tokens: %+v", g)
		}
	}
}

// TestLogprobs: probabilities of all tokens add up to one, and ties come in the order of their ids.
func TestLogprobs(t *testing.T) {
	logits := []float32{1, -2, 3, 3, float32(math.Inf(-1)), 0}
	p, top := logprobs(logits, 2, 6)
	sum := 0.0
	for _, l := range top {
		sum += math.Exp(l.Logprob)
	}
	if len(top) != 6 || math.Abs(sum-1) > 1e-12 || top[0].ID != 2 || top[1].ID != 3 || top[0].Logprob != p || top[5].ID != 4 {
		t.Errorf("%v, %v, sum %v", p, top, sum)
	}
	if _, top := logprobs(logits, 2, 2); len(top) != 2 || top[0].ID != 2 || top[1].ID != 3 {
		t.Errorf("two best: %v", top)
	}
}
