package verify

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// errNoText says that there is nothing to measure on.
var errNoText = errors.New("no text to measure on")

// measure runs the file, and the reference where there is one, over the text, once for all checks.
func (s *Subject) measure(ctx context.Context) (*Measurement, error) {
	if s.measured != nil {
		return s.measured, nil
	}
	if s.Text == "" && s.Baseline == nil {
		return nil, errNoText
	}
	if s.Reference == nil && s.Baseline == nil {
		m, err := s.Model()
		if err != nil {
			return nil, err
		}
		p, err := Perplexity(ctx, m, s.Text, s.options("perplexity"))
		if err != nil {
			return nil, err
		}
		s.measured = &Measurement{Perplexity: p}
		return s.measured, nil
	}
	b, err := s.baseline(ctx)
	if err != nil {
		return nil, err
	}
	m, err := s.Model()
	if err != nil {
		return nil, err
	}
	if s.Text != "" {
		if err := b.Match(m, s.Text); err != nil {
			return nil, err
		}
	}
	d, err := b.divergence(ctx, m, s.options("kld"))
	if err != nil {
		return nil, err
	}
	s.measured = &Measurement{Perplexity: d.PPL, Divergence: &d}
	return s.measured, nil
}

// baseline is the caller's, which must be of the reference where there is one, or one made of the reference by the first of a set's files that asks.
func (s *Subject) baseline(ctx context.Context) (*Baseline, error) {
	if s.Baseline != nil {
		if s.Reference != nil {
			return s.Baseline, s.Baseline.MatchSource(ctx, s.Reference)
		}
		return s.Baseline, nil
	}
	c := s.common()
	if c.baseline == nil && c.baselineErr == nil {
		ref, err := s.ReferenceModel()
		if err != nil {
			return nil, err
		}
		c.baseline, c.baselineErr = NewBaseline(ctx, ref, s.Text, s.options("baseline"), 0)
	}
	return c.baseline, c.baselineErr
}

func (s *Subject) options(check string) PerplexityOptions {
	return PerplexityOptions{Context: s.Context, Chunks: s.Chunks, Budget: s.Budget, Seed: s.Seed, Progress: s.progress(check)}
}

func (s *Subject) thresholds() Thresholds { return s.Thresholds.over(DefaultThresholds(s.Scheme)) }

// cannot is the result of a check that could not measure: not applicable where nothing is wrong with the file.
func cannot(err error) Result {
	var unsupported *gguf.UnsupportedError
	if errors.Is(err, errNoText) || errors.As(err, &unsupported) {
		return NewResult(NotApplicable, err.Error())
	}
	return failure(err)
}

// checkDivergence holds the file's answers against the source model's over the text.
func checkDivergence(ctx context.Context, s *Subject) Result {
	if s.Reference == nil && s.Baseline == nil {
		return NewResult(NotApplicable, "no source to compare with")
	}
	m, err := s.measure(ctx)
	if err != nil {
		return cannot(err)
	}
	d, th := m.Divergence, s.thresholds()
	var r Result
	r.Status, r.Threshold = atMost(d.Mean-sure*clusters(d.ChunkMeans).err(d.Error), th.KLDWarn, th.KLDFail)
	r.Figure = Number(d.Mean)
	for name, v := range map[string]float64{
		"mean": d.Mean, "error": d.Error, "median": d.Median, "p99": d.P99, "p999": d.P999, "max": d.Max,
		"same_top_p": d.SameTop, "rms_dp": d.RMSDeltaP, "tokens": float64(d.PPL.Scored), "chunks": float64(d.PPL.Chunks),
		"mean_low": d.MeanInterval.Low, "mean_high": d.MeanInterval.High, "same_top_low": d.SameTopInterval.Low, "same_top_high": d.SameTopInterval.High,
	} {
		r.figure(name, v)
	}
	quantiles := ""
	for _, q := range []struct {
		name, key string
		at        float64
		*Interval
	}{{"median", "median", d.Median, d.MedianInterval}, {"99%", "p99", d.P99, d.P99Interval}, {"99.9%", "p999", d.P999, d.P999Interval}} {
		quantiles += fmt.Sprintf("%s %.6f", q.name, q.at)
		if q.Interval != nil {
			quantiles += fmt.Sprintf(" (%.6f to %.6f)", q.Low, q.High)
			r.figure(q.key+"_low", q.Low)
			r.figure(q.key+"_high", q.High)
		}
		quantiles += ", "
	}
	r.Detail = fmt.Sprintf("mean %.6f (%.6f to %.6f), %smax %.6f; same top token %.2f%% (%.2f to %.2f)%s",
		d.Mean, d.MeanInterval.Low, d.MeanInterval.High, quantiles, d.Max, 100*d.SameTop, 100*d.SameTopInterval.Low, 100*d.SameTopInterval.High, s.sampled(d.PPL))
	if r.Status != Pass {
		r.Detail += fmt.Sprintf("; the mean may be %.4g", float64(r.Threshold))
	}
	topError := math.Sqrt(d.SameTop * (1 - d.SameTop) / float64(max(1, d.PPL.Scored)))
	if st, limit := atLeast(d.SameTop+sure*topError, th.Top1Warn, th.Top1Fail); st != Pass {
		r.Status = Worse(r.Status, st)
		r.Detail += fmt.Sprintf("; the top token must agree in %.4g%%", 100*float64(limit))
	}
	return r
}

// sampled says of what the figures are, and how it was chosen.
func (s *Subject) sampled(p PerplexityResult) string {
	out := fmt.Sprintf("; %d tokens in %d of %d chunks", p.Scored, p.Chunks, p.Of)
	if s.Budget > 0 && p.Chunks < p.Of {
		out += fmt.Sprintf(" drawn by seed %d", s.Seed)
	}
	return out
}

// checkPerplexity reports the perplexity, and judges its ratio to the source's. Without a source there is nothing to judge.
func checkPerplexity(ctx context.Context, s *Subject) Result {
	m, err := s.measure(ctx)
	if err != nil {
		return cannot(err)
	}
	p := m.Perplexity
	r := Resultf(NotApplicable, "%.4f (%.4f to %.4f)%s; nothing to hold it against", p.PPL, p.Interval.Low, p.Interval.High, s.sampled(p))
	r.Figure = Number(p.PPL)
	r.figure("ppl", p.PPL)
	r.figure("ppl_error", p.Error)
	r.figure("ppl_low", p.Interval.Low)
	r.figure("ppl_high", p.Interval.High)
	r.figure("tokens", float64(p.Tokens))
	r.figure("chunks", float64(p.Chunks))
	r.figure("scored", float64(p.Scored))
	d := m.Divergence
	if d == nil {
		return r
	}
	th := s.thresholds()
	apart := max(d.Ratio, 1/d.Ratio) // better than the truth is as suspicious as worse
	r.Status, r.Threshold = atMost(apart-sure*d.RatioErr, th.PPLRatioWarn, th.PPLRatioFail)
	r.figure("ratio", d.Ratio)
	r.figure("ratio_error", d.RatioErr)
	r.figure("ratio_low", d.RatioInterval.Low)
	r.figure("ratio_high", d.RatioInterval.High)
	r.figure("source", d.BasePPL.PPL)
	r.Detail = fmt.Sprintf("%.4f (%.4f to %.4f), source %.4f, ratio %.5f (%.5f to %.5f)%s",
		p.PPL, p.Interval.Low, p.Interval.High, d.BasePPL.PPL, d.Ratio, d.RatioInterval.Low, d.RatioInterval.High, s.sampled(p))
	if r.Status != Pass {
		r.Detail += fmt.Sprintf("; the ratio may be %.5g", float64(r.Threshold))
		if d.Ratio < 1 {
			r.Detail += " either way: an answer better than the source's is not the source's"
		}
	}
	return r
}

// checkCoverage asks how many of the routed experts the text reached.
func checkCoverage(ctx context.Context, s *Subject) Result {
	m, err := s.measure(ctx)
	if err != nil {
		return cannot(err)
	}
	used, total, idle := coverage(m.Perplexity.Routes)
	if total == 0 {
		return NewResult(NotApplicable, "no routed experts were counted")
	}
	share, limit := float64(used)/float64(total), s.thresholds().Coverage
	r := NewResult(Pass, fmt.Sprintf("%d of %d experts used", used, total))
	r.Figure, r.Threshold = Number(share), bound(limit)
	if limit >= 0 && share < limit {
		r.Status = Fail
		if d := m.Divergence; d != nil {
			switch u, n, _ := coverage(d.BasePPL.Routes); {
			case n == 0:
				r.Status = Warn
				r.Detail += ", how many the source uses was not recorded"
			case n == total && float64(u) < limit*float64(n):
				r.Status = Warn
				r.Detail += fmt.Sprintf(", the source uses %d", u)
			}
		}
		r.Detail += fmt.Sprintf("; %.4g%% are wanted", 100*limit)
	}
	if len(idle) > 0 {
		r.Detail += "; idle: " + idle[0]
		if len(idle) > 1 {
			r.Detail += fmt.Sprintf(" and %d more", len(idle)-1)
		}
	}
	r.figure("used", float64(used))
	r.figure("experts", float64(total))
	return r
}

// coverage counts the experts that any token was routed to, and names the others.
func coverage(routes [][]int64) (used, total int, idle []string) {
	for b, row := range routes {
		for e, n := range row {
			total++
			if n > 0 {
				used++
			} else {
				idle = append(idle, fmt.Sprintf("blk.%d expert %d", b, e))
			}
		}
	}
	return used, total, idle
}

// maxAbs is the largest difference of two sets of logits, NaN if any is; and at how many rows the largest logit is another.
func maxAbs(a, b [][]float32) (worst float64, otherTop int) {
	for i := range a {
		top, otop := 0, 0
		for j := range a[i] {
			d := math.Abs(float64(a[i][j]) - float64(b[i][j]))
			if d > worst || d != d {
				worst = d
			}
			if a[i][j] > a[i][top] {
				top = j
			}
			if b[i][j] > b[i][otop] {
				otop = j
			}
		}
		if top != otop {
			otherTop++
		}
		if worst != worst {
			return worst, otherTop
		}
	}
	return worst, otherTop
}
