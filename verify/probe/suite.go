package probe

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/moeconv/moeconv/verify"
)

// Options of a Suite.
type Options struct {
	Thinking  string   // on, off, or empty: as the chat template has it
	MaxTokens int      // replaces that of chat probes; 0: their own
	Sandbox   *Sandbox // runs the code in answers; nil: it is parsed only
	Engine    Engine   // asked in place of the file; nil: the file, in the bundled runtime
}

// Suite is a set of probes with the source's answers, which are asked for once however many files are held against them.
type Suite struct {
	probes  []Probe
	opts    Options
	sources map[any]map[Query]Answer // by reference
	states  map[any][][]float64      // by reference: mean final hidden states of the prompts
	done    map[*verify.Subject][]outcome
}

type outcome struct {
	name   string
	status verify.Status
}

// NewSuite makes a suite of specs.
func NewSuite(specs []Spec, o Options) (*Suite, error) {
	if _, _, err := conversation(Query{Thinking: o.Thinking}); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	s := &Suite{opts: o, sources: map[any]map[Query]Answer{}, states: map[any][][]float64{}, done: map[*verify.Subject][]outcome{}}
	for _, spec := range specs {
		if o.MaxTokens > 0 && spec.Mode == ModeChat {
			spec.MaxTokens = o.MaxTokens
		}
		p, err := New(spec)
		if err != nil {
			return nil, err
		}
		if p.Code != nil && o.Sandbox != nil {
			p.Criteria = append(p.Criteria, p.Code.running(o.Sandbox)...)
		}
		s.probes = append(s.probes, p)
	}
	return s, nil
}

// Checks are the probes as checks, and one that sums them up.
func (s *Suite) Checks() []verify.Check {
	var out []verify.Check
	for _, p := range s.probes {
		out = append(out, verify.Check{Name: "probe " + p.Name, Run: func(ctx context.Context, sub *verify.Subject) verify.Result {
			r := s.run(ctx, p, sub)
			s.done[sub] = append(s.done[sub], outcome{p.Name, r.Status})
			return r
		}})
	}
	if len(s.probes) > 0 {
		out = append(out, s.hiddenCheck())
	}
	if len(s.probes) > 1 {
		out = append(out, verify.Check{Name: "probes", Run: func(_ context.Context, sub *verify.Subject) verify.Result {
			defer delete(s.done, sub)
			return sum(s.done[sub])
		}})
	}
	return out
}

// sum is the verdict of a set: PASS is all of them.
func sum(all []outcome) verify.Result {
	n, by := map[verify.Status]int{}, map[verify.Status][]string{}
	for _, o := range all {
		n[o.status]++
		by[o.status] = append(by[o.status], o.name)
	}
	r := verify.NewResult(verify.Pass, fmt.Sprintf("PASS: all %d probes", len(all)))
	switch {
	case n[verify.NotApplicable] == len(all):
		r = verify.NewResult(verify.NotApplicable, "no probe applies")
	case n[verify.Fail] > 0:
		r = verify.NewResult(verify.Fail, "FAIL: "+strings.Join(by[verify.Fail], ", "))
	case n[verify.Warn] > 0:
		r = verify.NewResult(verify.Warn, "no PASS: a failing answer was kept of "+strings.Join(by[verify.Warn], ", "))
	case n[verify.NotApplicable] > 0:
		r = verify.NewResult(verify.Warn, "INCOMPLETE: nothing is known of "+strings.Join(by[verify.NotApplicable], ", "))
	}
	r.Figures = map[string]verify.Number{"passed": verify.Number(n[verify.Pass]), "failed": verify.Number(n[verify.Fail]),
		"warned": verify.Number(n[verify.Warn]), "not judged": verify.Number(n[verify.NotApplicable])}
	return r
}

// run asks one probe of a file, and of its source.
func (s *Suite) run(ctx context.Context, p Probe, sub *verify.Subject) verify.Result {
	e := s.opts.Engine
	if e == nil {
		m, err := sub.Model()
		if err != nil {
			return verify.NewResult(verify.Fail, err.Error())
		}
		e = Builtin("builtin", m)
	}
	chats, err := e.Chats()
	if err != nil {
		return verify.NewResult(verify.Fail, err.Error())
	}
	if p.Mode == ModeChat && !chats {
		return verify.NewResult(verify.NotApplicable, "the model has no chat template: a base model answers no instructions")
	}
	a, rec, err := s.ask(ctx, p, e, s.query(p))
	if err != nil {
		return verify.NewResult(verify.Fail, err.Error())
	}
	if sub.Reference != nil {
		if a.Source, err = s.source(ctx, p, sub); err != nil {
			return verify.NewResult(verify.Fail, err.Error())
		}
	}
	v := p.judge(a)
	rec.fill(v)
	r := verify.NewResult(verify.Pass, "")
	r.Answers = []verify.Answer{rec.Answer}
	if v.status == verify.Fail && p.Retries > 0 {
		if err := s.retry(ctx, p, e, a.Source, &r, &v); err != nil {
			return verify.NewResult(verify.Fail, err.Error())
		}
	}
	p.report(&r, a, v)
	return r
}

func (s *Suite) query(p Probe) Query {
	return Query{Prompt: p.Prompt, Chat: p.Mode == ModeChat, Thinking: s.opts.Thinking, MaxTokens: p.MaxTokens}
}

// record is an answer as the report keeps it.
type record struct{ verify.Answer }

func (r *record) fill(v verdict) {
	r.Status, r.Scores, r.Findings, r.NotJudged = v.status, v.scores, v.bad, v.open
}

func (s *Suite) ask(ctx context.Context, p Probe, e Engine, q Query) (Answer, *record, error) {
	r, err := e.Ask(ctx, q)
	if err != nil {
		return Answer{}, nil, fmt.Errorf("probe: %s: %w", p.Name, err)
	}
	rec := &record{verify.Answer{Engine: e.Name(), Template: p.Mode, Temperature: q.Temperature, Seed: q.Seed, MaxTokens: q.MaxTokens,
		PromptTokens: r.PromptTokens, Tokens: r.Tokens, Finish: r.Finish, Text: r.Text}}
	return Answer{Prompt: p.Prompt, Text: r.Answer, Whole: r.Text, IDs: r.IDs, Cut: r.cut(), Chat: q.Chat, thinking: r.Thinking}, rec, nil
}

// source is the source model's answer.
func (s *Suite) source(ctx context.Context, p Probe, sub *verify.Subject) (*Answer, error) {
	q := s.query(p)
	known := s.sources[sub.Reference]
	if known == nil {
		known = map[Query]Answer{}
		s.sources[sub.Reference] = known
	}
	if a, ok := known[q]; ok {
		return &a, nil
	}
	m, err := sub.ReferenceModel()
	if err != nil {
		return nil, err
	}
	a, _, err := s.ask(ctx, p, Builtin("source", m), q)
	if err != nil {
		return nil, err
	}
	known[q] = a
	return &a, nil
}

// retry draws more answers to a probe whose greedy one failed. When most of them pass, the failure is a warning; it is kept,
// and nothing makes a pass of it.
func (s *Suite) retry(ctx context.Context, p Probe, e Engine, source *Answer, r *verify.Result, v *verdict) error {
	passed := 0
	for seed := 1; seed <= p.Retries; seed++ {
		q := s.query(p)
		q.Temperature, q.Seed = p.Temperature, uint64(seed)
		a, rec, err := s.ask(ctx, p, e, q)
		if err != nil {
			return err
		}
		a.Source, a.drawn = source, true
		again := p.judge(a)
		rec.fill(again)
		r.Answers = append(r.Answers, rec.Answer)
		if again.status == verify.Pass || again.status == verify.Warn {
			passed++
		}
	}
	v.scores["pass@1"] = verify.Number(PassAtK(p.Retries, passed, 1))
	v.scores["passed retries"] = verify.Number(passed)
	v.bad = append(v.bad, fmt.Sprintf("%d of %d answers drawn at temperature %g pass", passed, p.Retries, p.Temperature))
	if 2*passed > p.Retries {
		v.status = verify.Warn
	}
	return nil
}

// PassAtK is the unbiased estimate of the probability that at least one of k answers passes, when c of n did:
// 1 - C(n-c, k)/C(n, k) (Chen et al. 2021, https://arxiv.org/abs/2107.03374). NaN unless 0 < k <= n and 0 <= c <= n.
func PassAtK(n, c, k int) float64 {
	if k < 1 || k > n || c < 0 || c > n {
		return math.NaN()
	}
	if n-c < k {
		return 1
	}
	miss := 1.0
	for i := n - c + 1; i <= n; i++ {
		miss *= 1 - float64(k)/float64(i)
	}
	return 1 - miss
}

// report makes a result of a verdict.
func (p Probe) report(r *verify.Result, a Answer, v verdict) {
	r.Status, r.Prompt, r.Output, r.Figures = v.status, a.Prompt, a.Text, v.scores
	if a.Source != nil {
		r.Original = a.Source.Text
	}
	if f, ok := v.scores[Repetition{}.Name()]; ok {
		r.Figure, r.Threshold = f, verify.Number(RepetitionFail)
	}
	how := "raw prompt"
	if a.Chat {
		how = "chat template"
	}
	if len(r.Answers) > 0 {
		how = fmt.Sprintf("%d tokens, %s", r.Answers[0].Tokens, how)
	}
	lines := append(v.bad, v.open...)
	if len(lines) == 0 {
		r.Detail = fmt.Sprintf("%s; good: %s", how, strings.Join(v.good, ", "))
		return
	}
	if v.status == verify.NotApplicable {
		lines[0] = "not judged: " + lines[0]
	}
	r.Detail = strings.Join(lines, "; ") + " (" + how + ")"
}
