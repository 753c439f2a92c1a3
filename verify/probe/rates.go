package probe

import (
	"context"
	"fmt"
	"math"

	"github.com/moeconv/moeconv/verify"
)

// Significance is the probability below which chance does not explain that a file misses a criterion more often than its
// source.
const Significance = 0.05

// retry draws more answers to a probe whose greedy one failed, of the file and, where there is one, of the source, with
// the same seeds.
func (s *Suite) retry(ctx context.Context, p Probe, e Engine, sub *verify.Subject, r *verify.Result, v *verdict, greedy Answer) error {
	var qs []Query
	for seed := 1; seed <= p.Retries; seed++ {
		qs = append(qs, s.query(p, seed))
	}
	drawn, recs, err := s.ask(ctx, p, e, qs...)
	if err != nil {
		return err
	}
	passed := p.record(drawn, recs)
	r.Answers = append(r.Answers, recs...)
	v.scores["pass@1"] = verify.Number(PassAtK(p.Retries, passed, 1))
	v.scores["passed retries"] = verify.Number(passed)
	if greedy.Source == nil {
		v.bad = append(v.bad, fmt.Sprintf("%d of %d answers drawn at temperature %g pass", passed, p.Retries, p.Temperature))
		if 2*passed > p.Retries {
			v.status = verify.Warn
		}
		return nil
	}
	own, recs, err := s.source(ctx, p, sub, qs...)
	if err != nil {
		return err
	}
	v.scores["source's pass@1"] = verify.Number(PassAtK(p.Retries, p.record(own, recs), 1))
	r.Answers = append(r.Answers, recs...)
	v.compare(append([]Answer{greedy}, drawn...), append([]Answer{*greedy.Source}, own...))
	return nil
}

// record judges drawn answers by themselves, each in its record, and counts those that pass.
func (p Probe) record(answers []Answer, recs []verify.Answer) (passed int) {
	for i, a := range answers {
		v := p.judge(a)
		v.fill(&recs[i])
		if v.status == verify.Pass || v.status == verify.Warn {
			passed++
		}
	}
	return passed
}

// fill puts the verdict on one answer into its record.
func (v verdict) fill(r *verify.Answer) {
	r.Status, r.Scores, r.Findings, r.AsSource, r.NotJudged = v.status, v.scores, v.bad, v.notes, v.open
}

// compare holds how often the answers miss a criterion that the greedy one misses against how often the source's do. What
// the source misses as often, as far as so many answers can tell, is its own way to answer; a failure that the source never
// shows is a warning even where it may be chance.
func (v *verdict) compare(answers, own []Answer) {
	v.status, v.bad = verify.Pass, nil
	for _, m := range v.misses {
		status, line := m.Status, m.line()
		if !comparing(m.Criterion) {
			k, n := missing(m, answers)
			sk, sn := missing(m, own)
			chance := MoreOften(k, n, sk, sn)
			v.scores["chance "+m.Name()] = verify.Number(chance)
			line += fmt.Sprintf("; %d of %d answers are so, %d of %d of the source's", k, n, sk, sn)
			if chance > Significance {
				if status = verify.Pass; sk == 0 && m.Status == verify.Fail {
					status = verify.Warn
				}
			}
		}
		if status == verify.Pass {
			v.notes = append(v.notes, line)
			continue
		}
		v.status = verify.Worse(v.status, status)
		v.bad = append(v.bad, line)
	}
	if len(v.open) > 0 && v.status == verify.Pass {
		v.status = verify.NotApplicable
	}
}

// missing counts the answers that miss the criterion as badly, among those that can be judged by it.
func missing(m miss, answers []Answer) (k, n int) {
	for _, a := range answers {
		s := judge(m.Criterion, a).Status
		if s == notJudged || s == verify.NotApplicable {
			continue
		}
		n++
		if missed(s) && verify.Worse(s, m.Status) == s {
			k++
		}
	}
	return k, n
}

// MoreOften is the probability that chance alone puts k or more of all failures into the first of two samples, when k of n
// failed there and l of m in the other: Fisher's exact test, one-sided.
func MoreOften(k, n, l, m int) float64 {
	all, p := k+l, 0.0
	for i := k; i <= min(n, all); i++ {
		if all-i <= m {
			p += math.Exp(lnChoose(n, i) + lnChoose(m, all-i) - lnChoose(n+m, all))
		}
	}
	return min(p, 1)
}

func lnChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
