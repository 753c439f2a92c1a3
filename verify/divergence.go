package verify

import (
	"context"
	"fmt"
	"math"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
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

	// ChunkMeans are the mean KL divergences of the chunks, in the text's order: files over the same chunks are compared pairwise.
	ChunkMeans []float64 `json:"chunk_means,omitempty"`
}

// Baseline is a base model's answers over a text, to hold other models against. Where they fit in the budget
// they are kept as float32 log-probabilities, so that the base runs once for any number of models; else the base is run again,
// chunk by chunk beside each model.
type Baseline struct {
	text  *text
	vocab int
	model *runtime.Model // nil when the answers are kept
	kept  [][]float32    // a chunk's log-probabilities, scored()*vocab
	ppl   PerplexityResult
	opts  PerplexityOptions
}

// DefaultBaselineBytes is the budget NewBaseline takes for 0.
const DefaultBaselineBytes = 512 << 20

// NewBaseline cuts the text with the base's tokenizer and, when budget (bytes; 0: DefaultBaselineBytes) allows, runs the base over it.
// Where it does not, base must stay open as long as the Baseline is used: see Kept.
func NewBaseline(ctx context.Context, base *runtime.Model, s string, o PerplexityOptions, budget int64) (*Baseline, error) {
	tk, err := base.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("verify: divergence: base: %w", err)
	}
	t, err := cut(tk, s, o)
	if err != nil {
		return nil, err
	}
	if budget == 0 {
		budget = DefaultBaselineBytes
	}
	b := &Baseline{text: t, vocab: base.VocabSize(), opts: o}
	if need := int64(t.chunks) * int64(t.scored()) * int64(b.vocab) * 4; need > budget {
		b.model = base
		return b, nil
	}
	e := newEvaluator(base)
	var nll moments
	for i := range t.chunks {
		rows, err := b.logProbs(ctx, e, i)
		if err != nil {
			return nil, err
		}
		b.kept = append(b.kept, rows)
		for j := range t.scored() {
			nll.add(-float64(rows[j*b.vocab+int(t.next(i, j))]))
		}
		if o.Progress != nil {
			o.Progress(int64(i+1), int64(t.chunks))
		}
	}
	b.ppl = t.result(nll)
	b.ppl.Routes = e.routes
	return b, nil
}

// next is the token that follows scored position j of a chunk.
func (t *text) next(chunk, j int) int32 {
	return t.tokens[chunk*t.context+t.first()+j+1]
}

// Kept reports whether the base's answers are in memory, so that its model may be closed.
func (b *Baseline) Kept() bool { return b.model == nil }

// Perplexity is the base's own; ok is false when the base has not been run yet.
func (b *Baseline) Perplexity() (r PerplexityResult, ok bool) { return b.ppl, b.Kept() }

// logProbs evaluates one chunk: log-probabilities of scored positions, row by row.
func (b *Baseline) logProbs(ctx context.Context, e *evaluator, chunk int) ([]float32, error) {
	out := make([]float32, b.text.scored()*b.vocab)
	first := b.text.first()
	err := e.run(ctx, b.text, chunk, func(at int, logits [][]float32) error {
		parallel(len(logits), func(j int) {
			logSoftmax(out[(at-first+j)*b.vocab:][:b.vocab], logits[j])
		})
		return nil
	})
	return out, err
}

// logSoftmax writes the log-probabilities of logits to dst.
func logSoftmax(dst, logits []float32) {
	top, sum := softmaxSum(logits)
	log := float32(math.Log(sum))
	for i, l := range logits {
		dst[i] = l - top - log
	}
}

// Divergence compares model with base over a text, side by side.
func Divergence(ctx context.Context, model, base *runtime.Model, s string, o PerplexityOptions) (DivergenceResult, error) {
	quiet := o
	quiet.Progress = nil
	b, err := NewBaseline(ctx, base, s, quiet, -1)
	if err != nil {
		return DivergenceResult{}, err
	}
	b.opts = o
	return b.Divergence(ctx, model)
}

// position is one scored position: model against base.
type position struct {
	kld, nll, base float64
	deltaP         float32
	same           bool
}

// Divergence holds a model's answers against the base's. Both must tokenize the text alike; both are given the
// base's chunks, also where only one of them adds a BOS token.
func (b *Baseline) Divergence(ctx context.Context, model *runtime.Model) (DivergenceResult, error) {
	return b.divergence(ctx, model, b.opts.Progress)
}

func (b *Baseline) divergence(ctx context.Context, model *runtime.Model, progress func(done, total int64)) (DivergenceResult, error) {
	if err := b.check(model); err != nil {
		return DivergenceResult{}, err
	}
	t, e := b.text, newEvaluator(model)
	var be *evaluator
	if !b.Kept() {
		be = newEvaluator(b.model)
	}
	all := make([]position, 0, t.chunks*t.scored())
	for i := range t.chunks {
		base, err := b.chunk(ctx, be, i)
		if err != nil {
			return DivergenceResult{}, err
		}
		got := make([]position, t.scored())
		err = e.run(ctx, t, i, func(at int, logits [][]float32) error {
			parallel(len(logits), func(k int) {
				j := at - t.first() + k
				got[j] = compare(logits[k], base[j*b.vocab:][:b.vocab], t.next(i, j))
			})
			return nil
		})
		if err != nil {
			return DivergenceResult{}, err
		}
		all = append(all, got...)
		if progress != nil {
			progress(int64(i+1), int64(t.chunks))
		}
	}
	r := t.statistics(all)
	r.PPL.Routes = e.routes
	if be != nil {
		r.BasePPL.Routes = be.routes
	} else {
		r.BasePPL.Routes = b.ppl.Routes
	}
	if math.IsNaN(r.Mean) {
		return r, fmt.Errorf("verify: divergence is not a number")
	}
	return r, nil
}

// chunk is the base's log-probabilities of a chunk, kept or computed now.
func (b *Baseline) chunk(ctx context.Context, e *evaluator, i int) ([]float32, error) {
	if b.Kept() {
		return b.kept[i], nil
	}
	return b.logProbs(ctx, e, i)
}

// check fails on a model that the baseline says nothing about: one with another vocabulary.
func (b *Baseline) check(model *runtime.Model) error {
	if v := model.VocabSize(); v != b.vocab {
		return fmt.Errorf("verify: divergence: the model's vocabulary has %d tokens, the base's %d", v, b.vocab)
	}
	tk, err := model.Tokenizer()
	if err != nil {
		return fmt.Errorf("verify: divergence: %w", err)
	}
	ids, err := tk.Encode(b.text.source, token.Options{})
	if err != nil {
		return fmt.Errorf("verify: divergence: %w", err)
	}
	if !slices.Equal(ids, b.text.plain()) {
		return fmt.Errorf("verify: divergence: the model's tokenizer gives other tokens for the text than the base's")
	}
	return nil
}

// compare is one position: logits of the model against log-probabilities of the base.
func compare(logits, base []float32, next int32) position {
	top, sum := softmaxSum(logits)
	log := float32(math.Log(sum))
	at, baseAt := 0, 0
	var kld float64
	for i, l := range logits {
		if l > logits[at] {
			at = i
		}
		lb := base[i]
		if lb > base[baseAt] {
			baseAt = i
		}
		kld += math.Exp(float64(lb)) * float64(lb-(l-top-log))
	}
	lp, lb := logits[next]-top-log, base[next]
	return position{
		kld: kld, nll: -float64(lp), base: -float64(lb), same: at == baseAt,
		deltaP: float32(math.Exp(float64(lp)) - math.Exp(float64(lb))),
	}
}

// statistics sums positions up.
func (t *text) statistics(all []position) DivergenceResult {
	var kld, nll, base, product, dp2 moments
	same := 0
	values := make([]float32, len(all))
	for i, p := range all {
		kld.add(p.kld)
		nll.add(p.nll)
		base.add(p.base)
		product.add(p.nll * p.base)
		dp2.add(float64(p.deltaP) * float64(p.deltaP))
		values[i] = float32(p.kld)
		if p.same {
			same++
		}
	}
	slices.Sort(values)
	r := DivergenceResult{
		Median: median(values), P99: percentile(values, 0.99), P999: percentile(values, 0.999), Max: float64(values[len(values)-1]),
		SameTop: float64(same) / float64(len(all)),
		PPL:     t.result(nll), BasePPL: t.result(base),
	}
	r.Mean, r.Error = kld.mean()
	for chunk := range slices.Chunk(all, t.scored()) {
		var m moments
		for _, p := range chunk {
			m.add(p.kld)
		}
		mean, _ := m.mean()
		r.ChunkMeans = append(r.ChunkMeans, mean)
	}
	squares, _ := dp2.mean()
	r.RMSDeltaP = math.Sqrt(squares)
	m, me := nll.mean()
	bm, be := base.mean()
	pm, _ := product.mean()
	r.Ratio = math.Exp(m - bm)
	cov := (pm - m*bm) / float64(max(1, len(all)-1))
	r.RatioErr = r.Ratio * math.Sqrt(max(0, me*me+be*be-2*cov))
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
