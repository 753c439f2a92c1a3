package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
)

// answer is a text that no template writes by itself.
const answer = "Bluebird 7351"

// checkStop asks whether a generation ends where the template ends an answer: it renders a conversation with an answer,
// and feeds the answer's tokens and what follows it to a generation as if the model had drawn them.
func checkStop(ctx context.Context, s *Subject) Result {
	md := s.Source.Metadata()
	if s.Reference != nil && len(templatesOf(s.Reference.Metadata())) > 0 {
		md = s.Reference.Metadata()
	}
	source := templatesOf(md)[""]
	if source == "" {
		return NewResult(NotApplicable, "there is no chat template that ends an answer")
	}
	turn := templateCase{messages: `[{"role": "user", "content": "Name?"}, {"role": "assistant", "content": "` + answer + `"}]`}
	text, err := render(ctx, source, turn, specialsOf(md))
	if err != nil {
		return Resultf(NotApplicable, "the chat template refuses a conversation with an answer: %v", err)
	}
	head, tail, ok := cutLast(text, answer)
	if !ok {
		return NewResult(NotApplicable, "the chat template does not write the answer")
	}
	m, err := s.Model()
	if err != nil {
		return cannot(err)
	}
	tk, err := m.Tokenizer()
	if err != nil {
		return cannot(err)
	}
	return s.judgeStop(ctx, m, tk, head, tail)
}

// cutLast cuts text around the last occurrence of what.
func cutLast(text, what string) (before, after string, ok bool) {
	at := strings.LastIndex(text, what)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(what):], true
}

func (s *Subject) judgeStop(ctx context.Context, m *runtime.Model, tk *token.Tokenizer, head, tail string) Result {
	prompt, err := tk.Encode(head, token.Options{ParseSpecial: true})
	if err != nil {
		return cannot(err)
	}
	said, err := tk.Encode(answer, token.Options{})
	if err != nil {
		return cannot(err)
	}
	closing, err := tk.Encode(tail, token.Options{ParseSpecial: true})
	if err != nil {
		return cannot(err)
	}
	at := slices.IndexFunc(closing, tk.IsControl)
	if at < 0 && tail != "" && s.endsTurn(tail) {
		return Resultf(Fail, "the chat template ends an answer with %.40q, which is no token of the file", tail)
	}
	if at < 0 {
		return NewResult(NotApplicable, "the chat template ends an answer with no special token")
	}
	end := closing[at]
	if len(prompt) == 0 {
		prompt = said[:1]
	}
	forced := append(slices.Clone(said), closing[:at+1]...)
	room := len(prompt) + len(forced) + 1
	if c := m.ContextLength(); c > 0 && room > c {
		prompt = prompt[min(len(prompt)-1, room-c):]
	}
	g, err := runtime.Generate(ctx, m.NewSession(), prompt, runtime.GenerateOptions{MaxTokens: len(forced) + 1, Forced: forced})
	if err != nil {
		return cannot(err)
	}
	r := Resultf(Pass, "a generation ends at %d %q, with which the chat template ends an answer", end, tk.TokenText(end))
	if g.Reason == runtime.ReasonEOG && g.Tokens == len(forced) {
		return r
	}
	p := Problem{Expert: -1, Damage: "eos", Message: fmt.Sprintf("a generation does not end at token %d %q, with which the chat template ends an answer: it would run on", end, tk.TokenText(end))}
	if s.Reference != nil {
		if ref, err := token.New(s.Reference.Metadata()); err == nil {
			if ids, err := ref.Encode(tail, token.Options{ParseSpecial: true}); err == nil {
				p.warn = !slices.ContainsFunc(ids, ref.IsEOG) // the conversion of the source does not either
			}
		}
	}
	r.Find(p)
	r.summarize("")
	return r
}

// endsTurn reports whether the source's vocabulary has a special token in the text that ends an answer.
func (s *Subject) endsTurn(tail string) bool {
	if s.Reference == nil {
		return false
	}
	ref, err := token.New(s.Reference.Metadata())
	if err != nil {
		return false
	}
	ids, err := ref.Encode(tail, token.Options{ParseSpecial: true})
	return err == nil && slices.ContainsFunc(ids, ref.IsControl)
}
