package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
)

// Baseline is a base model's answers over a text, to hold other models against. They are those of a file (OpenBaseline),
// or of a model: where they fit in the budget they are kept, so that the base runs once for any number of models; else
// the base is run again, chunk by chunk beside each model. Answers are log-probabilities in 16 bits, as llama-perplexity has them.
type Baseline struct {
	text  *text
	vocab int
	opts  PerplexityOptions
	ppl   PerplexityResult // of a base all of whose answers are kept

	mu   sync.Mutex
	run  *evaluator // nil where all answers are kept, or in the file
	kept map[int]*wide
	room int64 // bytes of answers that may still be kept

	name string // of the file
	file interface {
		chunk(i int) (answers, error)
		io.Closer
	}
}

// DefaultBaselineBytes is the budget NewBaseline takes for 0.
const DefaultBaselineBytes = 512 << 20

// NewBaseline cuts the text with the base's tokenizer and, when budget (bytes; 0: DefaultBaselineBytes) allows, runs the base over it.
// Where it does not, or Options.Budget leaves the number of chunks open, base must stay open as long as the Baseline is used: see Kept.
func NewBaseline(ctx context.Context, base *runtime.Model, s string, o PerplexityOptions, budget int64) (*Baseline, error) {
	t, err := cutFor(base, s, o)
	if err != nil {
		return nil, fmt.Errorf("base: %w", err)
	}
	if budget == 0 {
		budget = DefaultBaselineBytes
	}
	b := &Baseline{text: t, vocab: base.VocabSize(), opts: o, kept: map[int]*wide{}, room: max(0, budget)}
	b.run = newEvaluator(base, t, nil)
	if int64(len(t.picks))*b.chunkBytes() > budget || o.Budget > 0 {
		return b, nil
	}
	var nll moments
	var means clusters
	for n, i := range t.picks {
		sum, err := b.evaluate(ctx, i)
		if err != nil {
			return nil, err
		}
		nll.join(sum)
		means = append(means, sum.sum/float64(sum.n))
		o.report(n+1, len(t.picks))
	}
	b.ppl = t.result(nll, means)
	b.ppl.Routes = b.run.routes
	b.run = nil
	return b, nil
}

// cutFor is cut by a model's tokenizer. A model that is run by layers needs to know its chunks before the first is timed.
func cutFor(m *runtime.Model, s string, o PerplexityOptions) (*text, error) {
	tk, err := m.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	t, err := cut(tk, s, o)
	if err == nil && o.Budget > 0 && m.Layered() {
		t.picks = t.picks[:min(len(t.picks), layeredChunks)]
	}
	return t, err
}

// chunkBytes is the size of a chunk's answers.
func (b *Baseline) chunkBytes() int64 { return int64(b.text.scored()) * int64(wideRow(b.vocab)) * 2 }

// Kept reports whether the base's answers are at hand, so that its model may be closed.
func (b *Baseline) Kept() bool { return b.run == nil }

// Perplexity is the base's own. Where its answers are not all kept it is run again, or its file read.
func (b *Baseline) Perplexity(ctx context.Context) (PerplexityResult, error) {
	if b.ppl.Chunks > 0 {
		return b.ppl, nil
	}
	return b.score(ctx, func(answers) error { return nil })
}

// score calls fn with the answers to each pick, and makes a perplexity of them.
func (b *Baseline) score(ctx context.Context, fn func(a answers) error) (PerplexityResult, error) {
	var sum moments
	var means clusters
	for n, i := range b.text.picks {
		a, err := b.chunk(ctx, i)
		if err == nil {
			err = fn(a)
		}
		if err != nil {
			return PerplexityResult{}, err
		}
		var chunk moments
		for j := range b.text.scored() {
			chunk.add(a.base(j, b.text.next(i, j)))
		}
		sum.join(chunk)
		means = append(means, chunk.sum/float64(chunk.n))
		b.opts.report(n+1, len(b.text.picks))
	}
	return b.text.result(sum, means), nil
}

// Track has progress told of the chunks of runs to come.
func (b *Baseline) Track(progress func(done, total int64)) { b.opts.Progress = progress }

// evaluate runs the base over a chunk and keeps its answers; the sum is of negative log-likelihoods.
func (b *Baseline) evaluate(ctx context.Context, i int) (moments, error) {
	t, a := b.text, newWide(b.vocab, b.text.scored())
	nll := make([]float64, t.scored())
	err := b.run.run(ctx, i, func(j int, logits []float32) {
		a.put(j, logits)
		nll[j] = negLogProb(logits, t.next(i, j))
	})
	var sum moments
	for _, v := range nll {
		sum.add(v)
	}
	b.kept[i] = a
	return sum, err
}

// chunk is the base's answers to a chunk: kept, read, or computed now.
func (b *Baseline) chunk(ctx context.Context, i int) (answers, error) {
	if b.file != nil {
		a, err := b.file.chunk(i)
		if err != nil {
			return nil, fmt.Errorf("%s: chunk %d: %w", b.name, i, err)
		}
		return a, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.kept[i]; a != nil {
		return a, nil
	}
	if _, err := b.evaluate(ctx, i); err != nil {
		return nil, err
	}
	a := b.kept[i]
	if n := b.chunkBytes(); n <= b.room {
		b.room -= n
	} else {
		delete(b.kept, i)
	}
	return a, nil
}

// baseRoutes counts how often the base chose each expert; nil where that is not known.
func (b *Baseline) baseRoutes() [][]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.run != nil {
		return b.run.routes
	}
	return b.ppl.Routes
}

// Recorded reports whether a file is a base's recorded answers, of either form, by its first bytes.
func Recorded(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [8]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && (string(magic[:]) == wideMagic || string(magic[:]) == topMagic)
}

// OpenBaseline opens a base's recorded answers: llama-perplexity's --kl-divergence-base, or what RecordBaseline wrote.
// Where a text is given its tokens must be the file's; without one o.Context may be left 0 too. Close it after use.
func OpenBaseline(name string, o PerplexityOptions) (*Baseline, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	b := &Baseline{name: name, opts: o}
	if err := b.open(f, o); err != nil {
		f.Close()
		return nil, &baselineError{name, err}
	}
	return b, nil
}

func (b *Baseline) open(f *os.File, o PerplexityOptions) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var magic [8]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch string(magic[:]) {
	case wideMagic:
		w, err := openWide(f, info.Size())
		if err != nil {
			return err
		}
		b.text, b.vocab, b.file = w.text, int(w.Vocab), w
	case topMagic:
		t, err := openTop(f, info.Size())
		if err != nil {
			return err
		}
		b.text, b.vocab, b.file = t.text, int(t.Vocab), t
	default:
		return errors.New("not a recorded base: neither llama-perplexity's nor ours")
	}
	if o.Context != 0 && o.Context != b.text.context {
		return fmt.Errorf("recorded in chunks of %d tokens, not %d", b.text.context, o.Context)
	}
	b.text.pick(o)
	return nil
}

// Close lets go of the file.
func (b *Baseline) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// baselineError names the file that is wrong.
type baselineError struct {
	name string
	err  error
}

func (e *baselineError) Error() string { return e.name + ": " + e.err.Error() }
func (e *baselineError) Unwrap() error { return e.err }

// Hint is advice for the user.
func (e *baselineError) Hint() string {
	var h interface{ Hint() string }
	if errors.As(e.err, &h) {
		return h.Hint()
	}
	return "a base is recorded with `moeconv perplexity SRC -f TEXT --save-base FILE`, or by llama-perplexity --kl-divergence-base"
}

// Match fails unless a recorded base is of the text, as the model's tokenizer cuts it.
func (b *Baseline) Match(model *runtime.Model, s string) error {
	if b.file == nil {
		return nil
	}
	t, err := cutFor(model, s, PerplexityOptions{Context: b.text.context})
	if err != nil {
		return err
	}
	for i, id := range b.text.tokens {
		if i >= len(t.tokens) || t.tokens[i] != id {
			return &baselineError{b.name, fmt.Errorf("the text has other tokens than the one it was recorded with, from token %d on", i)}
		}
	}
	b.text.source = t.source
	return nil
}

// cutBy is the text as a model is given it: a file says nothing of BOS, so that the model's own rule counts.
func (b *Baseline) cutBy(tk *token.Tokenizer) *text {
	t := *b.text
	if b.file != nil {
		bos, ok := tk.BOS()
		t.bos, t.addBOS = bos, ok && tk.AddBOS()
	}
	return &t
}

// check fails on a model that the baseline says nothing about: one with another vocabulary.
func (b *Baseline) check(model *runtime.Model, tk *token.Tokenizer) error {
	if v := model.VocabSize(); v != b.vocab {
		return fmt.Errorf("verify: divergence: the model's vocabulary has %d tokens, the base's %d", v, b.vocab)
	}
	if b.text.source == "" { // the file's tokens are all there is
		return nil
	}
	ids, err := tk.Encode(b.text.source, token.Options{})
	if err != nil {
		return fmt.Errorf("verify: divergence: %w", err)
	}
	plain := b.cutBy(tk).plain()
	if b.file != nil { // the chunks alone
		ids = ids[:min(len(ids), len(plain))]
	}
	if !slices.Equal(ids, plain) {
		return fmt.Errorf("verify: divergence: the model's tokenizer gives other tokens for the text than the base's")
	}
	return nil
}
