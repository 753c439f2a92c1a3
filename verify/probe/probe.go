// Package probe asks a model questions and lets criteria, not people, judge the
// answers: is there text, is it text, does it repeat itself or the prompt, does
// it hold what it must, does it scan as code, does it agree with the source
// model. Answers are greedy, so that the same file always gives the same one.
package probe

import (
	"context"
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
	"github.com/moeconv/moeconv/verify"
)

// Probe is a prompt and what its answer must satisfy.
type Probe struct {
	Name      string
	Prompt    string // given to the model as it is, without a chat template
	MaxTokens int
	Criteria  []Criterion
}

// Answer is what a model wrote.
type Answer struct {
	Prompt string
	Text   string
	IDs    []int32
	Cut    bool    // the text ended for its length, perhaps within a word
	Source *Answer // the source model's own, nil where there is none
}

// Criterion judges answers by one property.
type Criterion interface {
	Name() string
	Judge(Answer) Finding
}

// Finding is a criterion's judgement.
type Finding struct {
	Status  verify.Status
	Figure  verify.Number
	Message string
}

func finding(s verify.Status, figure float64, format string, args ...any) Finding {
	return Finding{s, verify.Number(figure), fmt.Sprintf(format, args...)}
}

// Spec is a probe as a recipe states it.
type Spec struct {
	Name       string
	Prompt     string
	MaxTokens  int      // 0: DefaultMaxTokens
	Language   string   // "go": prompt and answer together must scan as Go tokens; empty: any text
	Contains   []string // all of these must be in the answer
	Keywords   []string // at least MinMatches of these must be, whatever their case
	MinMatches int
	Pattern    string  // the answer must match this regular expression
	Agreement  float64 // share of the source's leading tokens that the answer begins with, at least
}

// DefaultMaxTokens is the length of an answer whose Spec states none.
const DefaultMaxTokens = 64

// New makes a probe. Every probe has the standard criteria (not empty, UTF-8, repetition, echo) besides those of the spec.
func New(s Spec) (Probe, error) {
	if s.Name == "" || s.Prompt == "" || s.MaxTokens < 0 {
		return Probe{}, fmt.Errorf("probe: %q: a name, a prompt and a number of tokens are needed", s.Name)
	}
	p := Probe{Name: s.Name, Prompt: s.Prompt, MaxTokens: s.MaxTokens, Criteria: []Criterion{
		NotEmpty{}, UTF8{}, Repetition{}, Echo{},
	}}
	if p.MaxTokens == 0 {
		p.MaxTokens = DefaultMaxTokens
	}
	switch s.Language {
	case "":
	case "go":
		p.Criteria = append(p.Criteria, GoTokens{})
	default:
		return Probe{}, fmt.Errorf("probe: %q: unknown language %q", s.Name, s.Language)
	}
	if len(s.Contains) > 0 {
		p.Criteria = append(p.Criteria, Contains(s.Contains))
	}
	if s.MinMatches < 0 || s.MinMatches > len(s.Keywords) {
		return Probe{}, fmt.Errorf("probe: %q: %d of %d keywords can never match", s.Name, s.MinMatches, len(s.Keywords))
	}
	if s.MinMatches > 0 {
		p.Criteria = append(p.Criteria, Keywords{s.Keywords, s.MinMatches})
	}
	if s.Pattern != "" {
		c, err := NewPattern(s.Pattern)
		if err != nil {
			return Probe{}, fmt.Errorf("probe: %q: %w", s.Name, err)
		}
		p.Criteria = append(p.Criteria, c)
	}
	if !(s.Agreement >= 0 && s.Agreement <= 1) {
		return Probe{}, fmt.Errorf("probe: %q: agreement %v is not a share", s.Name, s.Agreement)
	}
	p.Criteria = append(p.Criteria, Agreement{s.Agreement})
	return p, nil
}

// Check is the probe as a check: the worst finding counts, the answer is kept in the result.
func (p Probe) Check() verify.Check {
	return verify.Check{Name: "probe " + p.Name, Run: p.run}
}

func (p Probe) run(ctx context.Context, s *verify.Subject) verify.Result {
	m, err := s.Model()
	if err != nil {
		return verify.NewResult(verify.Fail, err.Error())
	}
	a, err := p.ask(ctx, m)
	if err != nil {
		return verify.NewResult(verify.Fail, err.Error())
	}
	if s.Reference != nil {
		ref, err := s.ReferenceModel()
		if err != nil {
			return verify.NewResult(verify.Fail, err.Error())
		}
		src, err := p.ask(ctx, ref)
		if err != nil {
			return verify.NewResult(verify.Fail, err.Error())
		}
		a.Source = &src
	}
	return p.Judge(a)
}

// ask lets a model continue the prompt greedily.
func (p Probe) ask(ctx context.Context, m *runtime.Model) (Answer, error) {
	tk, err := m.Tokenizer()
	if err != nil {
		return Answer{}, fmt.Errorf("probe: %s: %w", p.Name, err)
	}
	ids, err := tk.Encode(p.Prompt, token.Options{AddSpecial: true})
	if err != nil {
		return Answer{}, fmt.Errorf("probe: %s: %w", p.Name, err)
	}
	g, err := runtime.Generate(ctx, m.NewSession(), ids, runtime.GenerateOptions{MaxTokens: p.MaxTokens})
	if err != nil {
		return Answer{}, fmt.Errorf("probe: %s: %w", p.Name, err)
	}
	cut := g.Reason == runtime.ReasonLength || g.Reason == runtime.ReasonContext
	return Answer{Prompt: p.Prompt, Text: g.Text, IDs: g.IDs, Cut: cut}, nil
}

// Judge applies all criteria to an answer. The headline figure is the repetition score, held against its failing bound.
func (p Probe) Judge(a Answer) verify.Result {
	r := verify.NewResult(verify.Pass, "")
	r.Prompt, r.Output = a.Prompt, a.Text
	if a.Source != nil {
		r.Original = a.Source.Text
	}
	var bad, good []string
	for _, c := range p.Criteria {
		f := c.Judge(a)
		if f.Figure.Valid() {
			if r.Figures == nil {
				r.Figures = map[string]verify.Number{}
			}
			r.Figures[c.Name()] = f.Figure
		}
		line := c.Name() + ": " + f.Message
		switch f.Status {
		case verify.Fail, verify.Warn:
			r.Status = verify.Worse(r.Status, f.Status)
			bad = append(bad, line)
		case verify.Pass:
			good = append(good, c.Name())
		}
		if _, ok := c.(Repetition); ok {
			r.Figure, r.Threshold = f.Figure, verify.Number(RepetitionFail)
		}
	}
	r.Detail = fmt.Sprintf("%d tokens, raw prompt; good: %s", len(a.IDs), strings.Join(good, ", "))
	if len(bad) > 0 {
		r.Detail = strings.Join(bad, "; ") + fmt.Sprintf(" (%d tokens, raw prompt)", len(a.IDs))
	}
	return r
}
