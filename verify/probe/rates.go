package probe

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/verify"
)

// Bounds of the probability that chance makes a file miss a criterion so much more often than its source: of what the greedy
// answer misses, and of any other criterion, of which there are many.
const (
	Significance     = 0.05
	SignificanceElse = 0.01
)

// Meets is the share of the source's answers from which on it is said to meet a criterion: only what the source meets can be
// failed by a file; what the source itself misses at times is a warning at most.
const Meets = 0.9

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
	own, recs, err := s.source(ctx, p, sub.Yardstick(), qs...)
	if err != nil {
		return err
	}
	v.scores["source's pass@1"] = verify.Number(PassAtK(p.Retries, p.record(own, recs), 1))
	r.Answers = append(r.Answers, recs...)
	p.compare(v, append([]Answer{greedy}, drawn...), append([]Answer{*greedy.Source}, own...))
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

// compare holds how often the answers miss a criterion against how often the source's do. What the source misses as often,
// as far as so many answers can tell, is its own way to answer; what it meets and the file misses more often is a failure. A
// greedy answer's failure that the source never shows is a warning even where it may be chance.
func (p Probe) compare(v *verdict, answers, own []Answer) {
	greedy := v.misses
	v.status, v.bad, v.misses, v.open = verify.Pass, nil, nil, nil
	v.notes = slices.DeleteFunc(v.notes, func(note string) bool {
		return slices.ContainsFunc(greedy, func(m miss) bool { return note == m.line()+asOf(own[0]) })
	})
	for _, c := range p.Criteria {
		i := slices.IndexFunc(greedy, func(m miss) bool { return m.Name() == c.Name() })
		switch {
		case comparing(c) && i >= 0:
			v.file(greedy[i], greedy[i].Status, greedy[i].line())
		case comparing(c):
		case i >= 0 && missed(greedy[i].Status):
			v.weigh(greedy[i], answers, own)
		case i >= 0:
			v.weighElse(c, greedy[i].line(), answers, own)
		default:
			v.weighElse(c, "", answers, own)
		}
	}
	if len(v.open) > 0 && v.status == verify.Pass {
		v.status = verify.NotApplicable
	}
}

// weigh judges what the greedy answer misses. Where that only warns, drawn answers may fail.
func (v *verdict) weigh(m miss, answers, own []Answer) {
	if m.Status == verify.Warn && v.weighElse(m.Criterion, "", answers, own) {
		return
	}
	o := oddsOf(m, answers, own)
	v.scores["chance "+m.Name()] = verify.Number(o.chance)
	status := verify.Pass
	switch {
	case o.chance <= Significance && o.met():
		status = m.Status
	case o.chance <= Significance, o.source == 0 && m.Status == verify.Fail:
		status = verify.Warn
	}
	v.file(m, status, m.line()+o.String())
}

// weighElse judges what the greedy answer does not fail, or, as the line open says, was cut off before; it says whether the
// file does so more often than the source.
func (v *verdict) weighElse(c Criterion, open string, answers, own []Answer) bool {
	m := miss{Criterion: c, Finding: plain(verify.Fail, "drawn answers fail")}
	o := oddsOf(m, answers, own)
	switch {
	case o.chance <= SignificanceElse:
		v.scores["chance "+c.Name()] = verify.Number(o.chance)
		if !o.met() {
			m.Status = verify.Warn
		}
		v.file(m, m.Status, m.line()+o.String())
	case open != "" && o.files == 0:
		v.open = append(v.open, open)
	case open != "":
		v.notes = append(v.notes, open+"; "+strings.TrimPrefix(o.String(), "; so are ")+" fail")
	}
	return o.chance <= SignificanceElse
}

// file puts a miss where its status belongs.
func (v *verdict) file(m miss, status verify.Status, line string) {
	if status == verify.Pass {
		v.notes = append(v.notes, line)
		return
	}
	v.status = verify.Worse(v.status, status)
	v.bad, v.misses = append(v.bad, line), append(v.misses, m)
}

// odds are how many of how many answers miss a criterion, of the file and of the source, and how likely that is by chance.
type odds struct {
	file, files, source, sources int
	chance                       float64
	whose                        string
}

func oddsOf(m miss, answers, own []Answer) odds {
	o := odds{whose: own[0].whose()}
	o.file, o.files = missing(m, answers)
	o.source, o.sources = missing(m, own)
	o.chance = MoreOften(o.file, o.files, o.source, o.sources)
	return o
}

// met reports whether the source meets the criterion.
func (o odds) met() bool { return float64(o.source) <= (1-Meets)*float64(o.sources) }

func (o odds) String() string {
	return fmt.Sprintf("; so are %d of %d answers, %d of %d of %s", o.file, o.files, o.source, o.sources, o.whose)
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
