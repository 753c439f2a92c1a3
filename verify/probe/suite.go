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
	sources map[any]map[Query]sourced // by reference
	states  map[any][][]float64       // by reference: mean final hidden states of the prompts
	done    map[*verify.Subject][]outcome
}

// sourced is an answer of the source's.
type sourced struct {
	Answer
	record verify.Answer
}

type outcome struct {
	name     string
	status   verify.Status
	asSource bool // it misses what the source misses
}

// NewSuite makes a suite of specs.
func NewSuite(specs []Spec, o Options) (*Suite, error) {
	if _, _, err := conversation(Query{Thinking: o.Thinking}); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	s := &Suite{opts: o, sources: map[any]map[Query]sourced{}, states: map[any][][]float64{}, done: map[*verify.Subject][]outcome{}}
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
			s.done[sub] = append(s.done[sub], outcome{p.Name, r.Status, len(r.Answers) > 0 && len(r.Answers[0].AsSource) > 0})
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
	n, by, asSource := map[verify.Status]int{}, map[verify.Status][]string{}, []string(nil)
	for _, o := range all {
		n[o.status]++
		by[o.status] = append(by[o.status], o.name)
		if o.asSource {
			asSource = append(asSource, o.name)
		}
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
	if len(asSource) > 0 {
		r.Detail += "; the source misses criteria of " + strings.Join(asSource, ", ") + " as well"
	}
	r.Figures = map[string]verify.Number{"passed": verify.Number(n[verify.Pass]), "failed": verify.Number(n[verify.Fail]),
		"warned": verify.Number(n[verify.Warn]), "not judged": verify.Number(n[verify.NotApplicable]), "as the source": verify.Number(len(asSource))}
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
	r, err := s.answer(ctx, p, e, sub)
	if err != nil {
		return verify.NewResult(verify.Fail, err.Error())
	}
	return r
}

// answer judges the greedy answer, and where it misses what the source's meets, drawn ones of both.
func (s *Suite) answer(ctx context.Context, p Probe, e Engine, sub *verify.Subject) (verify.Result, error) {
	r := verify.NewResult(verify.Pass, "")
	answers, recs, err := s.ask(ctx, p, e, s.query(p, 0))
	if err != nil {
		return r, err
	}
	a := answers[0]
	yardstick := sub.Yardstick()
	if yardstick != nil {
		own, _, err := s.source(ctx, p, yardstick, s.query(p, 0))
		if err != nil {
			return r, err
		}
		a.Source = &own[0]
	}
	v := p.judge(a)
	v.fill(&recs[0])
	r.Answers = recs
	again := v.status == verify.Fail || a.Source != nil && v.doubtful()
	if a.Source != nil && !again {
		if again, err = s.weak(ctx, yardstick, p.Mode); err != nil {
			return r, err
		}
	}
	if again && p.Retries > 0 {
		if err := s.retry(ctx, p, e, sub, &r, &v, a); err != nil {
			return r, err
		}
	}
	p.report(&r, a, v)
	return r, nil
}

// query asks a probe: greedily, or with a draw's seed.
func (s *Suite) query(p Probe, seed int) Query {
	q := Query{Prompt: p.Prompt, Chat: p.Mode == ModeChat, Thinking: s.opts.Thinking, MaxTokens: p.MaxTokens}
	if seed > 0 {
		q.Temperature, q.Seed = p.Temperature, uint64(seed)
	}
	return q
}

// ask puts queries to an engine; the records are as the report keeps them, yet without a judgement.
func (s *Suite) ask(ctx context.Context, p Probe, e Engine, qs ...Query) ([]Answer, []verify.Answer, error) {
	replies, err := e.Ask(ctx, qs...)
	if err != nil {
		return nil, nil, fmt.Errorf("probe: %s: %w", p.Name, err)
	}
	answers, recs := make([]Answer, len(qs)), make([]verify.Answer, len(qs))
	for i, r := range replies {
		q := qs[i]
		recs[i] = verify.Answer{Engine: e.Name(), Template: p.Mode, Temperature: q.Temperature, Seed: q.Seed, MaxTokens: q.MaxTokens,
			PromptTokens: r.PromptTokens, Tokens: r.Tokens, Finish: r.Finish, Text: r.Text}
		answers[i] = Answer{Prompt: p.Prompt, Text: r.Answer, Whole: r.Text, IDs: r.IDs, Cut: r.cut(), Chat: q.Chat, thinking: r.Thinking, drawn: q.Temperature > 0}
	}
	return answers, recs, nil
}

// source is what the yardstick answers. It is asked once.
func (s *Suite) source(ctx context.Context, p Probe, y *verify.Yardstick, qs ...Query) ([]Answer, []verify.Answer, error) {
	known := s.sources[y.Key]
	if known == nil {
		known = map[Query]sourced{}
		s.sources[y.Key] = known
	}
	if _, ok := known[qs[0]]; !ok {
		m, err := y.Load()
		if err != nil {
			return nil, nil, err
		}
		answers, recs, err := s.ask(ctx, p, Builtin(y.Name, m), qs...)
		if err != nil {
			return nil, nil, err
		}
		for i, q := range qs {
			if y.Name != verify.SourceName {
				answers[i].Of = y.Name
			}
			known[q] = sourced{answers[i], recs[i]}
		}
	}
	var answers []Answer
	var recs []verify.Answer
	for _, q := range qs {
		answers, recs = append(answers, known[q].Answer), append(recs, known[q].record)
	}
	return answers, recs, nil
}

// weak reports whether the source's own greedy answers fail criteria, to any of the probes of that mode: then one answer says
// little of a file, and more are drawn to all probes.
func (s *Suite) weak(ctx context.Context, y *verify.Yardstick, mode string) (bool, error) {
	for _, p := range s.probes {
		if p.Mode != mode {
			continue
		}
		own, _, err := s.source(ctx, p, y, s.query(p, 0))
		if err != nil {
			return false, err
		}
		if p.judge(own[0]).status == verify.Fail {
			return true, nil
		}
	}
	return false, nil
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
	if v.status == verify.NotApplicable {
		lines[0] = "not judged: " + lines[0]
	}
	if len(lines) == 0 {
		lines = append(lines, "good: "+strings.Join(v.good, ", "))
	}
	if len(v.notes) > 0 {
		lines = append(lines, "no fault of the file: "+strings.Join(v.notes, ", "))
	}
	r.Detail = strings.Join(lines, "; ") + " (" + how + ")"
}
