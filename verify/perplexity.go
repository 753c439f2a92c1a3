package verify

import (
	"context"
	"fmt"
	"math"

	"github.com/moeconv/moeconv/runtime"
)

// PerplexityResult is llama-perplexity's answer.
type PerplexityResult struct {
	PPL      float64  `json:"ppl"`
	Error    float64  `json:"ppl_error"` // standard error of PPL
	Interval Interval `json:"interval"`  // of PPL, by chunks
	Tokens   int      `json:"tokens"`    // of the text, those of the unscored rest included
	Chunks   int      `json:"chunks"`    // scored
	Of       int      `json:"of_chunks"` // of the text
	Scored   int      `json:"scored"`    // positions
	// Routes counts how often each block's experts were chosen, [block][expert]; rows of dense blocks are empty.
	Routes [][]int64 `json:"-"`
}

// Perplexity scores a text as llama-perplexity does: tokens of the whole text (without one newline at its end, special
// tokens not parsed), cut into chunks whose first token becomes BOS where the model wants one, the second half of each
// chunk scored but for the last position; the rest of the text is dropped. A text shorter than two chunks is refused.
func Perplexity(ctx context.Context, model *runtime.Model, s string, o PerplexityOptions) (PerplexityResult, error) {
	t, err := cutFor(model, s, o)
	if err != nil {
		return PerplexityResult{}, err
	}
	e, clock := newEvaluator(model, t, nil), startClock(o.Budget)
	var sum moments
	var means clusters
	nll := make([]float64, t.scored())
	for n, i := range t.picks {
		if clock.over(n) {
			break
		}
		err := e.run(ctx, i, func(j int, logits []float32) { nll[j] = negLogProb(logits, t.next(i, j)) })
		if err != nil {
			return PerplexityResult{}, err
		}
		var chunk moments
		for _, v := range nll {
			chunk.add(v)
		}
		sum.join(chunk)
		means = append(means, chunk.sum/float64(chunk.n))
		o.report(n+1, len(t.picks))
	}
	r := t.result(sum, means)
	r.Routes = e.routes
	if math.IsNaN(r.PPL) {
		return r, fmt.Errorf("verify: perplexity is not a number")
	}
	return r, nil
}

// result turns sums of negative log-likelihoods, and their means over chunks, into a perplexity.
func (t *text) result(sum moments, means clusters) PerplexityResult {
	mean, dev := sum.mean()
	ppl, log := math.Exp(mean), means.interval(mean, dev)
	return PerplexityResult{PPL: ppl, Error: dev * ppl, Interval: Interval{math.Exp(log.Low), math.Exp(log.High)},
		Tokens: len(t.tokens), Chunks: len(means), Of: t.chunks, Scored: sum.n}
}

// moments sums values and their squares.
type moments struct {
	n         int
	sum, sum2 float64
}

func (m *moments) add(v float64) {
	m.n++
	m.sum += v
	m.sum2 += float64(v * v)
}

// join adds what o has.
func (m *moments) join(o moments) {
	m.n += o.n
	m.sum += o.sum
	m.sum2 += o.sum2
}

// mean is the mean and its standard error, sqrt((E[v^2]-E[v]^2)/(n-1)), 0 for less than two values.
func (m moments) mean() (mean, err float64) {
	if m.n == 0 {
		return math.NaN(), 0
	}
	n := float64(m.n)
	mean = m.sum / n
	if v := m.sum2/n - float64(mean*mean); v > 0 && m.n > 1 {
		err = math.Sqrt(v / (n - 1))
	}
	return mean, err
}

// negLogProb is the negative log-likelihood of a token: softmax in float32, its sum in float64.
func negLogProb(logits []float32, id int32) float64 {
	top, sum := softmaxSum(logits)
	return -(float64(logits[id]-top) - math.Log(sum))
}

// softmaxSum is the largest logit and the sum of exp(logit-largest).
func softmaxSum(logits []float32) (top float32, sum float64) {
	top = logits[0]
	for _, l := range logits {
		top = max(top, l)
	}
	for _, l := range logits {
		sum += float64(float32(math.Exp(float64(l - top))))
	}
	return top, sum
}
