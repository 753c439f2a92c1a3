package stress

import (
	"context"
	"fmt"
	"sync"

	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/probe"
)

// Options of Checks.
type Options struct {
	Protocol *Protocol
	Endpoint *server.Client // put under load in place of the file; nil: the file, served in this process
	URL      string         // the endpoint's address
	Baseline *Baseline      // an earlier run that the figures are held against; nil: none
}

// run is the protocol on one file.
type run struct {
	*Protocol
	o    Options
	t    *target
	done []verify.Result // of the phases, for the baseline
}

// Checks are the phases of the protocol, in order. The file is loaded by the first and let go by the last.
func Checks(o Options) []verify.Check {
	r := &run{Protocol: o.Protocol, o: o}
	phases := []struct {
		name string
		run  func(context.Context, *verify.Result) error
	}{{"stress basic", r.basic}, {"stress long", r.long}, {"stress concurrent", r.concurrent}, {"stress turns", r.turns}, {"stress burst", r.burst},
		{"stress context", r.context}, {"stress soak", r.soak}, {"stress recovery", r.recovery}}
	var out []verify.Check
	for i, phase := range phases {
		out = append(out, verify.Check{Name: phase.name, Run: func(ctx context.Context, sub *verify.Subject) verify.Result {
			if i == len(phases)-1 {
				defer r.close()
			}
			if err := r.open(sub); err != nil {
				return verify.NewResult(verify.Fail, err.Error())
			}
			res := verify.NewResult(verify.Pass, "")
			res.Figures = map[string]verify.Number{}
			if err := phase.run(ctx, &res); err != nil {
				res.Status, res.Detail = verify.Fail, err.Error()
			}
			if ctx.Err() != nil {
				r.close()
			}
			if o.Baseline != nil {
				res.Name = phase.name
				r.done = append(r.done, res)
			}
			return res
		}})
	}
	if o.Baseline != nil {
		out = append(out, r.baseline())
	}
	return out
}

func (r *run) open(sub *verify.Subject) (err error) {
	switch {
	case r.t != nil:
	case r.o.Endpoint != nil:
		r.t = &target{client: r.o.Endpoint, url: r.o.URL, chat: true, stop: func() {}}
	default:
		r.t, err = open(sub, r.Protocol)
	}
	return err
}

func (r *run) close() {
	if r.t != nil {
		r.t.stop()
	}
	r.t = nil
}

// note lowers a result to a warning and says why.
func note(res *verify.Result, format string, args ...any) {
	res.Status = verify.Worse(res.Status, verify.Warn)
	if res.Detail != "" {
		res.Detail += "; "
	}
	res.Detail += fmt.Sprintf(format, args...)
}

// sum is the detail of a result without warnings, and its beginning otherwise.
func sum(res *verify.Result, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if res.Detail != "" {
		line += "; " + res.Detail
	}
	res.Detail = line
}

// basic asks the first prompts of each category, one after the other.
func (r *run) basic(ctx context.Context, res *verify.Result) error {
	n, tokens, seconds := 0, 0, 0.0
	for _, c := range r.Categories {
		for _, prompt := range c.Prompts[:min(r.Basic.Prompts, len(c.Prompts))] {
			a, err := r.t.ask(ctx, r.Protocol, prompt, r.Basic.Tokens, uint64(n))
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			n++
			tokens += a.tokens
			seconds += a.total.Seconds()
			if s := probe.RepetitionScore(a.text); s > probe.RepetitionFail {
				note(res, "%s: repetition %.2f", c.Name, s)
			}
		}
	}
	r.pace(res, tokens, seconds)
	sum(res, "%d answers, %d tokens, %.3g tokens/s", n, tokens, float64(tokens)/seconds)
	return nil
}

// pace holds a rate against the gate.
func (r *run) pace(res *verify.Result, tokens int, seconds float64) {
	rate := float64(tokens) / seconds
	res.Figure, res.Threshold = verify.Number(rate), verify.Number(r.Gates.TokensPerSecond)
	res.Figures["tokens"], res.Figures["tokens/s"] = verify.Number(tokens), verify.Number(rate)
	if rate < r.Gates.TokensPerSecond {
		note(res, "%.3g tokens/s, %g are wanted", rate, r.Gates.TokensPerSecond)
	}
}

// long asks for long answers and looks whether they slow down or lose their way.
func (r *run) long(ctx context.Context, res *verify.Result) error {
	tokens, seconds, worst := 0, 0.0, 0.0
	slow := verify.None()
	for i, prompt := range r.Long.Prompts {
		a, err := r.t.ask(ctx, r.Protocol, prompt, r.Long.Tokens, uint64(i))
		if err != nil {
			return fmt.Errorf("answer %d: %w", i+1, err)
		}
		tokens += a.tokens
		seconds += a.total.Seconds()
		worst = max(worst, probe.RepetitionScore(a.text))
		if q := quarters(a); q.Valid() && (!slow.Valid() || q < slow) {
			slow = q
		}
	}
	r.pace(res, tokens, seconds)
	res.Figures["repetition"], res.Figures["last quarter"] = verify.Number(worst), slow
	if worst > probe.RepetitionFail {
		note(res, "repetition %.2f", worst)
	}
	if slow.Valid() && float64(slow) < r.Gates.Slowdown {
		note(res, "the last quarter has %.0f%% of the first one's rate", 100*float64(slow))
	}
	sum(res, "%d answers, %d tokens", len(r.Long.Prompts), tokens)
	return nil
}

// quarters is the rate of an answer's last quarter by that of its first; None for a short answer.
func quarters(a *answer) verify.Number {
	n := len(a.pieces) / 4
	if n < 8 {
		return verify.None()
	}
	first, last := a.pieces[n]-a.pieces[0], a.pieces[len(a.pieces)-1]-a.pieces[len(a.pieces)-1-n]
	if last <= 0 {
		return verify.None()
	}
	return verify.Number(first.Seconds() / last.Seconds())
}

// concurrent sends requests several at a time, and a few of them again alone: the answers must be the same.
func (r *run) concurrent(ctx context.Context, res *verify.Result) error {
	requests := r.requests()
	answers, seconds, err := r.together(ctx, requests)
	if err != nil {
		return err
	}
	tokens := 0
	for _, a := range answers {
		tokens += a.tokens
	}
	alone, aloneSeconds, likeness := 0, 0.0, 0.0
	again := min(len(r.Categories), len(requests))
	for i := range again {
		a, err := r.t.ask(ctx, r.Protocol, requests[i], r.Concurrent.Tokens, uint64(i))
		if err != nil {
			return err
		}
		alone += a.tokens
		aloneSeconds += a.total.Seconds()
		likeness += alike(a.text, answers[i].text) / float64(again)
	}
	ratio := float64(tokens) / seconds / (float64(alone) / aloneSeconds)
	res.Figure, res.Threshold = verify.Number(likeness), verify.Number(r.Gates.Consistency)
	for name, v := range map[string]float64{"requests": float64(len(requests)), "tokens": float64(tokens), "tokens/s": float64(tokens) / seconds,
		"tokens/s alone": float64(alone) / aloneSeconds, "throughput ratio": ratio, "consistency": likeness} {
		res.Figures[name] = verify.Number(v)
	}
	if ratio < r.Gates.Throughput {
		note(res, "%d sessions together have %.0f%% of the rate of one alone", r.Concurrent.Sessions, 100*ratio)
	}
	if likeness < r.Gates.Consistency {
		return fmt.Errorf("answers given %d at a time are %.1f%% those given alone, %g%% are demanded", r.Concurrent.Sessions, 100*likeness, 100*r.Gates.Consistency)
	}
	sum(res, "%d requests, %d at a time, all answered; consistency %.4g%%; %.3g tokens/s", len(requests), r.Concurrent.Sessions, 100*likeness, float64(tokens)/seconds)
	return nil
}

// together sends all requests from as many clients as there are sessions.
func (r *run) together(ctx context.Context, requests []string) ([]*answer, float64, error) {
	answers, errs := make([]*answer, len(requests)), make([]error, len(requests))
	next := make(chan int)
	var wait sync.WaitGroup
	for range r.Concurrent.Sessions {
		wait.Go(func() {
			for i := range next {
				answers[i], errs[i] = r.t.ask(ctx, r.Protocol, requests[i], r.Concurrent.Tokens, uint64(i))
			}
		})
	}
	begin := now()
	for i := range requests {
		next <- i
	}
	close(next)
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, 0, fmt.Errorf("request %d: %w", i+1, err)
		}
	}
	return answers, since(begin), nil
}

// alike is 1 less the edit distance of two texts by the longer one's length.
func alike(a, b string) float64 {
	longest := max(len([]rune(a)), len([]rune(b)))
	if longest == 0 {
		return 1
	}
	return 1 - float64(probe.EditDistance(a, b))/float64(longest)
}
