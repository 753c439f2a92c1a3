package verify

import (
	"context"
	"fmt"
	"math"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moeconv/moeconv/runtime"
)

// DivergenceResult compares a model's answers with its base's over one text, in llama-perplexity's terms.
type DivergenceResult struct {
	Mean   float64 `json:"mean"`  // KL divergence of the model from the base, nats
	Error  float64 `json:"error"` // standard error of Mean
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	P999   float64 `json:"p999"`
	Max    float64 `json:"max"`

	SameTop   float64 `json:"same_top_p"` // share of positions with the same most likely token
	RMSDeltaP float64 `json:"rms_dp"`     // root mean square difference of the right token's probability

	PPL      PerplexityResult `json:"ppl"`
	BasePPL  PerplexityResult `json:"base_ppl"`
	Ratio    float64          `json:"ppl_ratio"` // PPL over BasePPL
	RatioErr float64          `json:"ppl_ratio_error"`

	MeanInterval    Interval `json:"mean_interval"`
	SameTopInterval Interval `json:"same_top_interval"`
	RatioInterval   Interval `json:"ppl_ratio_interval"`
	// Intervals of quantiles; absent where too few tokens lie beyond one.
	MedianInterval *Interval `json:"median_interval,omitempty"`
	P99Interval    *Interval `json:"p99_interval,omitempty"`
	P999Interval   *Interval `json:"p999_interval,omitempty"`

	// ChunkMeans are the mean KL divergences of the chunks in the order they were run in: that of the text, or of the
	// seed's draw. Files over the same chunks are compared pairwise.
	ChunkMeans []float64 `json:"chunk_means,omitempty"`
}

// next is the token that follows scored position j of a chunk.
func (t *text) next(chunk, j int) int32 {
	return t.tokens[chunk*t.context+t.first()+j+1]
}

// position is one scored position: model against base.
type position struct {
	kld, nll, base float64
	deltaP         float32
	same           bool
}

// newPosition is one of a divergence and two negative log-likelihoods.
func newPosition(kld, nll, base float64, same bool) position {
	return position{kld: kld, nll: nll, base: base, same: same, deltaP: float32(math.Exp(-nll) - math.Exp(-base))}
}

// Divergence holds a model's answers against the base's. Both must tokenize the text alike; both are given the
// base's chunks, also where only one of them adds a BOS token.
func (b *Baseline) Divergence(ctx context.Context, model *runtime.Model) (DivergenceResult, error) {
	return b.divergence(ctx, model, b.opts)
}

func (b *Baseline) divergence(ctx context.Context, model *runtime.Model, o PerplexityOptions) (DivergenceResult, error) {
	tk, err := model.Tokenizer()
	if err != nil {
		return DivergenceResult{}, fmt.Errorf("verify: divergence: %w", err)
	}
	if err := b.check(model, tk); err != nil {
		return DivergenceResult{}, err
	}
	t := b.cutBy(tk)
	if o.Budget > 0 && model.Layered() {
		t.picks = t.picks[:min(len(t.picks), layeredChunks)]
	}
	e, clock := newEvaluator(model, t, nil), startClock(o.Budget)
	var all []position
	for n, i := range t.picks {
		if clock.over(n) {
			t.picks = t.picks[:n]
			break
		}
		base, err := b.chunk(ctx, i)
		if err != nil {
			return DivergenceResult{}, err
		}
		got := make([]position, t.scored())
		err = e.run(ctx, i, func(j int, logits []float32) { got[j] = base.compare(j, logits, t.next(i, j)) })
		if err != nil {
			return DivergenceResult{}, err
		}
		all = append(all, got...)
		o.report(n+1, len(t.picks))
	}
	r := t.statistics(all)
	r.PPL.Routes, r.BasePPL.Routes = e.routes, b.baseRoutes()
	if math.IsNaN(r.Mean) {
		return r, fmt.Errorf("verify: divergence is not a number")
	}
	return r, nil
}

// minChunks is what a budget never goes below: fewer chunks say little about a text.
const minChunks = 16

// layeredChunks is what a budget is worth to a model that is run by layers, where chunks are carried through together
// and their reading is what takes time.
const layeredChunks = 32

// clock says when a budget is used up.
type clock struct {
	start  time.Time
	budget time.Duration
}

func startClock(budget time.Duration) clock { return clock{time.Now(), budget} }

// over reports whether one chunk more than n would take longer than there is time.
func (c clock) over(n int) bool {
	if c.budget == 0 || n < minChunks {
		return false
	}
	spent := time.Since(c.start)
	return spent+spent/time.Duration(n) > c.budget
}

// statistics sums up the positions of the text's picks.
func (t *text) statistics(all []position) DivergenceResult {
	var kld, nll, base, product, dp2 moments
	var same, ratio, ppl, basePPL clusters
	values := make([]float32, 0, len(all))
	r := DivergenceResult{}
	for chunk := range slices.Chunk(all, t.scored()) {
		var k, n, b, s moments
		for _, p := range chunk {
			k.add(p.kld)
			n.add(p.nll)
			b.add(p.base)
			product.add(p.nll * p.base)
			dp2.add(float64(p.deltaP) * float64(p.deltaP))
			values = append(values, float32(p.kld))
			if p.same {
				s.add(1)
			} else {
				s.add(0)
			}
		}
		for _, m := range []struct{ all, chunk *moments }{{&kld, &k}, {&nll, &n}, {&base, &b}} {
			m.all.join(*m.chunk)
		}
		r.ChunkMeans = append(r.ChunkMeans, k.sum/float64(k.n))
		same = append(same, s.sum/float64(s.n))
		ppl, basePPL = append(ppl, n.sum/float64(n.n)), append(basePPL, b.sum/float64(b.n))
		ratio = append(ratio, (n.sum-b.sum)/float64(n.n))
	}
	slices.Sort(values)
	r.Median, r.P99, r.P999, r.Max = median(values), percentile(values, 0.99), percentile(values, 0.999), float64(values[len(values)-1])
	for _, s := range same {
		r.SameTop += s / float64(len(same))
	}
	r.PPL, r.BasePPL = t.result(nll, ppl), t.result(base, basePPL)
	r.Mean, r.Error = kld.mean()
	squares, _ := dp2.mean()
	r.RMSDeltaP = math.Sqrt(squares)
	m, me := nll.mean()
	bm, be := base.mean()
	pm, _ := product.mean()
	r.Ratio = math.Exp(m - bm)
	cov := (pm - m*bm) / float64(max(1, len(all)-1))
	logErr := math.Sqrt(max(0, me*me+be*be-2*cov))
	r.RatioErr = r.Ratio * logErr
	r.MeanInterval = clusters(r.ChunkMeans).divergence(r.Mean, r.Error, r.Max, len(all))
	r.MedianInterval, r.P99Interval, r.P999Interval = t.quantile(all, values, 0.5), t.quantile(all, values, 0.99), t.quantile(all, values, 0.999)
	r.SameTopInterval = same.share(r.SameTop, len(all))
	log := ratio.interval(m-bm, logErr)
	r.RatioInterval = Interval{math.Exp(log.Low), math.Exp(log.High)}
	return r
}

// median of sorted values.
func median(v []float32) float64 {
	n := len(v)
	if n%2 == 0 {
		return float64(v[n/2]+v[n/2-1]) / 2
	}
	return float64(v[n/2])
}

// percentile of sorted values, interpolated between neighbours.
func percentile(v []float32, share float64) float64 {
	p := share * float64(len(v)-1)
	i := int(p)
	p -= float64(i)
	return (1-p)*float64(v[i]) + p*float64(v[min(i+1, len(v)-1)])
}

// parallel calls fn for 0..n-1 from all CPUs. Every call must write to places of its own.
func parallel(n int, fn func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, goruntime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				fn(i)
			}
		})
	}
	wg.Wait()
}
