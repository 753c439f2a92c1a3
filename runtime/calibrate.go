package runtime

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/runtime/token"
)

// minChunk is the fewest tokens of a chunk: llama-imatrix sums up no products of fewer.
const minChunk = 16

// CalibrationOptions say what of a text is run; they are llama-imatrix's.
type CalibrationOptions struct {
	ChunkSize    int  // tokens
	From         int  // chunks left out at the start
	Chunks       int  // run at most; 0 or less: all
	ParseSpecial bool // control tokens written out in the text become their ids
}

// Calibration is a text cut into chunks.
type Calibration struct {
	Chunks [][]int32
	tokens int // of a chunk
}

// Calibration cuts a text as llama-imatrix does: without one newline at its end, begun with BOS where the model wants
// one, in whole chunks, each with BOS in place of its first token then. A text of less than two chunks is refused.
func (m *Model) Calibration(text string, o CalibrationOptions) (*Calibration, error) {
	if o.ChunkSize < minChunk {
		return nil, fmt.Errorf("runtime: chunks of %d tokens, want %d or more", o.ChunkSize, minChunk)
	}
	tk, err := m.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if tk.AddEOS() {
		return nil, fmt.Errorf("runtime: the model ends texts with a token (add_eos_token), which chunks cannot")
	}
	ids, err := tk.Encode(strings.TrimSuffix(text, "\n"), token.Options{AddSpecial: true, ParseSpecial: o.ParseSpecial})
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	n := o.ChunkSize
	switch {
	case o.From > 0 && o.From+2 >= (len(ids)+n-1)/n:
		return nil, fmt.Errorf("runtime: the text has %d tokens: too few are left without the first %d chunks of %d", len(ids), o.From, n)
	case len(ids) < 2*n:
		return nil, fmt.Errorf("runtime: the text has %d tokens, two chunks of %d are needed", len(ids), n)
	}
	ids = ids[max(0, o.From)*n:]
	chunks := len(ids) / n
	if o.Chunks > 0 {
		chunks = min(chunks, o.Chunks)
	}
	bos, has := tk.BOS()
	c := &Calibration{Chunks: make([][]int32, chunks), tokens: n}
	for i := range c.Chunks {
		c.Chunks[i] = append([]int32(nil), ids[i*n:(i+1)*n]...)
		if has && tk.AddBOS() {
			c.Chunks[i][0] = bos
		}
	}
	return c, nil
}

// CalibrationScore sums the negative log-likelihoods of the chunks' second halves.
type CalibrationScore struct {
	Scored         int
	Sum, SumSquare float64
}

// Perplexity is exp of the mean, and its standard error.
func (s CalibrationScore) Perplexity() (ppl, dev float64) {
	n := float64(s.Scored)
	mean := s.Sum / n
	ppl = math.Exp(mean)
	if v := s.SumSquare/n - float64(mean*mean); v > 0 && n > 1 {
		dev = ppl * math.Sqrt(v/(n-1))
	}
	return ppl, dev
}

// calibrationLogits bounds the bytes of logits held at a time.
const calibrationLogits = 64 << 20

// routed keeps the sums of experts alone.
type routed struct{ *imatrix.Sums }

func (r routed) Place(tensor string, columns, matrices, counts int) ([]float32, []int64, error) {
	if counts < 2 {
		return nil, nil, nil
	}
	return r.Sums.Place(tensor, columns, matrices, counts)
}

// The tokens that llama-imatrix computes together: batches of so many, of as many chunks as fit, in steps of
// microBatch, an equal share for each chunk.
const (
	fullBatch  = 2048
	microBatch = 512
)

// steps cuts chunk i where llama-imatrix does such that fewer than minChunk tokens are left for a step: of these only
// experts' inputs are summed up there. It returns the ends of runs that are summed up and runs that are not, in turn.
func (c *Calibration) steps(i int) []int {
	together := max(1, fullBatch/c.tokens)
	chunks := min(together, len(c.Chunks)-i/together*together)
	share := max(1, microBatch/chunks)
	var ends []int
	for lo := 0; lo < c.tokens; lo += fullBatch {
		hi := min(c.tokens, lo+fullBatch)
		rest := (hi - lo) % share
		if rest*chunks >= minChunk {
			rest = 0
		}
		ends = append(ends, hi-rest, hi)
	}
	return ends
}

// Calibrate runs chunk i and adds the squares of what the weights meet to sums, and what the model says about the chunk's
// second half to score, unless that is nil. Both are of no use after an error.
func (m *Model) Calibrate(ctx context.Context, c *Calibration, i int, sums *imatrix.Sums, score *CalibrationScore) error {
	s := m.NewSession()
	for k, end := range c.steps(i) {
		s.state.Observe(c.sums(k, sums))
		for s.Len() < end {
			if err := s.calibrate(ctx, c.Chunks[i], end, sums.Output, score); err != nil {
				return err
			}
		}
	}
	return nil
}

// CalibrateLayers is Calibrate for all chunks together, with a model that is run by layers.
func (m *Model) CalibrateLayers(ctx context.Context, c *Calibration, sums *imatrix.Sums, score *CalibrationScore, done func(blocks, total int64)) error {
	texts := make([]LayerText, len(c.Chunks))
	for i, chunk := range c.Chunks {
		texts[i] = LayerText{Tokens: chunk, Ends: c.steps(i)}
		for k := range texts[i].Ends {
			texts[i].Sums = append(texts[i].Sums, c.sums(k, sums))
		}
	}
	run, err := m.RunLayers(ctx, texts, done)
	if err != nil || score == nil && !sums.Output {
		return err
	}
	step := max(1, calibrationLogits/(4*m.VocabSize()))
	for i, chunk := range c.Chunks {
		at := 0
		for k, end := range texts[i].Ends {
			for ; at < end; at = min(end, at+step) {
				if err := ctx.Err(); err != nil {
					return err
				}
				logits, err := run.layers.Logits(i, at, min(end, at+step), c.sums(k, sums))
				if err != nil {
					return fmt.Errorf("runtime: %w", err)
				}
				score.addAll(logits, chunk, at)
			}
		}
	}
	return nil
}

// sums is where run k of steps is summed up.
func (c *Calibration) sums(k int, sums *imatrix.Sums) nn.InputSums {
	if k%2 == 1 {
		return routed{sums}
	}
	return sums
}

// addAll scores the logits of positions from at on where they are of a chunk's second half.
func (s *CalibrationScore) addAll(logits [][]float32, chunk []int32, at int) {
	for i, row := range logits {
		if next := at + i + 1; s != nil && next > len(chunk)/2 && next < len(chunk) {
			s.add(row, chunk[next])
		}
	}
}

// calibrate goes on with a chunk, up to end or to where logits begin to be wanted, or as far as memory for them allows.
func (s *Session) calibrate(ctx context.Context, chunk []int32, end int, all bool, score *CalibrationScore) error {
	at, half := s.Len(), len(chunk)/2
	want := WantAll
	if !all && (score == nil || at < half) {
		want = WantNone
		if score != nil {
			end = min(end, half)
		}
	} else {
		end = min(end, at+max(1, calibrationLogits/(4*s.m.VocabSize())))
	}
	out, err := s.Eval(ctx, chunk[at:end], want)
	if err != nil {
		return err
	}
	score.addAll(out.Logits, chunk, at)
	return nil
}

func (s *CalibrationScore) add(logits []float32, id int32) {
	l, _ := logprobs(logits, id, 0)
	s.Scored++
	s.Sum -= l
	s.SumSquare += float64(l * l)
}
