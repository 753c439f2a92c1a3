package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
)

// PerplexityOptions choose what is scored.
type PerplexityOptions struct {
	Context  int                     // tokens of a chunk; 0: 512
	Chunks   int                     // the first N chunks, as llama-perplexity's; 0: all
	Random   bool                    // not the first N but N that Seed draws
	Seed     uint64                  // the same seed draws the same chunks
	Budget   time.Duration           // as many random chunks as this time is enough for; 0: no limit
	Progress func(done, total int64) // chunks; may be nil
}

func (o PerplexityOptions) report(done, total int) {
	if o.Progress != nil {
		o.Progress(int64(done), int64(total))
	}
}

// DefaultContext is the length of a chunk in tokens.
const DefaultContext = 512

// text is a text cut into chunks as llama-perplexity cuts it.
type text struct {
	source  string
	tokens  []int32
	context int
	chunks  int   // whole ones that may be scored
	picks   []int // those that are, in the order they are run in
	bos     int32
	addBOS  bool
}

// cut tokenizes the text, without one newline at its end, and counts its whole chunks. It fails on a text shorter than two.
func cut(tk *token.Tokenizer, s string, o PerplexityOptions) (*text, error) {
	t := &text{source: strings.TrimSuffix(s, "\n"), context: o.Context}
	if t.context == 0 {
		t.context = DefaultContext
	}
	if t.context < 4 {
		return nil, fmt.Errorf("verify: perplexity: chunks of %d tokens are too short to score", t.context)
	}
	if tk.AddEOS() {
		return nil, fmt.Errorf("verify: perplexity: the model ends texts with a token (add_eos_token), which chunks cannot")
	}
	t.addBOS = tk.AddBOS()
	if bos, ok := tk.BOS(); ok {
		t.bos = bos
	} else {
		t.addBOS = false
	}
	var err error
	if t.tokens, err = tk.Encode(t.source, token.Options{AddSpecial: true}); err != nil {
		return nil, fmt.Errorf("verify: perplexity: %w", err)
	}
	if len(t.tokens) < 2*t.context {
		return nil, fmt.Errorf("verify: perplexity: the text has %d tokens, two chunks of %d are needed", len(t.tokens), t.context)
	}
	t.chunks = len(t.tokens) / t.context
	t.pick(o)
	return t, nil
}

// pick chooses the chunks that are scored.
func (t *text) pick(o PerplexityOptions) {
	n := t.chunks
	if o.Chunks > 0 {
		n = min(n, o.Chunks)
	}
	if o.Random || o.Budget > 0 {
		t.picks = rand.New(rand.NewPCG(o.Seed, 0)).Perm(t.chunks)[:n]
		return
	}
	t.picks = make([]int, n)
	for i := range t.picks {
		t.picks[i] = i
	}
}

// inRange fails on tokens that a vocabulary does not have.
func (t *text) inRange(vocab int) error {
	for i, id := range t.tokens {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("token %d is %d, the vocabulary has %d", i, id, vocab)
		}
	}
	return nil
}

// plain is the text's tokens without the BOS that stands in front of them where the model adds one.
func (t *text) plain() []int32 {
	if t.addBOS && len(t.tokens) > 0 && t.tokens[0] == t.bos {
		return t.tokens[1:]
	}
	return t.tokens
}

// first is the first position of a chunk that is scored.
func (t *text) first() int { return t.context / 2 }

// scored is the number of positions scored in a chunk: the last has no next token.
func (t *text) scored() int { return t.context - 1 - t.first() }

// chunk is the tokens of chunk i; the first is BOS where the model wants one.
func (t *text) chunk(i int) []int32 {
	c := append([]int32(nil), t.tokens[i*t.context:(i+1)*t.context]...)
	if t.addBOS {
		c[0] = t.bos
	}
	return c
}

// logitBytes bounds the logits held at a time: with 100,000 tokens in the vocabulary a row takes 400 kB.
const logitBytes = 64 << 20

// evaluator runs chunks through one model.
type evaluator struct {
	model    *runtime.Model
	text     *text
	s        *runtime.Session
	layers   *runtime.LayerRun // all chunks that are scored, where the model is run by layers
	routes   [][]int64         // summed over everything evaluated
	progress func(done, total int64)
}

// newEvaluator is for the text's picks. Where the model is run by layers progress is told of its blocks; it may be nil.
func newEvaluator(m *runtime.Model, t *text, progress func(done, total int64)) *evaluator {
	e := &evaluator{model: m, text: t, s: m.NewSession(), progress: progress}
	e.s.CountRoutes(true)
	return e
}

// run evaluates a chunk and calls fn with the logits of each scored position, from all CPUs.
func (e *evaluator) run(ctx context.Context, chunk int, fn func(j int, logits []float32)) error {
	eval := e.evalChunk
	if e.model.Layered() {
		eval = e.runLayers
	}
	first := e.text.first()
	return eval(ctx, chunk, func(at int, logits [][]float32) error {
		parallel(len(logits), func(k int) { fn(at-first+k, logits[k]) })
		return nil
	})
}

// evalChunk calls fn with the logits of scored positions, in order: logits[j] is the answer at position at+j.
func (e *evaluator) evalChunk(ctx context.Context, chunk int, fn func(at int, logits [][]float32) error) error {
	t := e.text
	tokens := t.chunk(chunk)
	if err := e.s.Truncate(0); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if err := e.eval(ctx, tokens[:t.first()], runtime.WantNone, nil); err != nil {
		return err
	}
	step, end := e.step(), t.context-1
	for at := t.first(); at < end; at += step {
		part := tokens[at:min(at+step, end)]
		if err := e.eval(ctx, part, runtime.WantAll, func(l [][]float32) error { return fn(at, l) }); err != nil {
			return err
		}
	}
	return nil
}

// step is how many logits are held at a time.
func (e *evaluator) step() int { return max(1, logitBytes/(4*max(1, e.model.VocabSize()))) }

// runLayers is evalChunk for a model that all picks are carried through together, when the first is asked for.
func (e *evaluator) runLayers(ctx context.Context, chunk int, fn func(at int, logits [][]float32) error) error {
	t := e.text
	var runs []int // those of evalChunk
	end := t.context - 1
	for at := t.first(); at < end; at += e.step() {
		runs = append(runs, at)
	}
	runs = append(runs, end)
	if e.layers == nil {
		var texts []runtime.LayerText
		for _, i := range t.picks {
			texts = append(texts, runtime.LayerText{Tokens: t.chunk(i), Ends: runs})
		}
		var err error
		if e.layers, err = e.model.RunLayers(ctx, texts, e.progress); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		e.count(e.layers.Routes())
	}
	for i, at := range runs[:len(runs)-1] {
		if err := ctx.Err(); err != nil {
			return err
		}
		logits, err := e.layers.Logits(slices.Index(t.picks, chunk), at, runs[i+1])
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		if err := fn(at, logits); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluator) eval(ctx context.Context, tokens []int32, want runtime.Want, fn func([][]float32) error) error {
	out, err := e.s.Eval(ctx, tokens, want)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	e.count(out.Routes)
	if fn == nil {
		return nil
	}
	return fn(out.Logits)
}

// count adds to the routes seen so far.
func (e *evaluator) count(routes [][]int64) {
	if e.routes == nil {
		e.routes = make([][]int64, len(routes))
	}
	for b, row := range routes {
		if len(e.routes[b]) == 0 {
			e.routes[b] = make([]int64, len(row))
		}
		for x, n := range row {
			e.routes[b][x] += n
		}
	}
}
