package verify

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// answers are a base model's at the scored positions of one chunk.
type answers interface {
	// compare holds a model's logits at scored position j against them; next is the token that follows.
	compare(j int, logits []float32, next int32) position
	// base is the base's negative log-likelihood of that token.
	base(j int, next int32) float64
}

// wide is answers as llama-perplexity writes them: a row a position, of the step and the least log-probability as
// float32, and each token's log-probability above the least in steps. What lies more than 16 nats below the most
// likely token is cut off there.
type wide struct {
	vocab int
	rows  []uint16
}

// wideHead is the elements of a row before those of tokens.
const wideHead = 4

// wideDepth is by how many nats a token's log-probability may lie below the largest before it is cut off.
const wideDepth = 16

// wideRow is the elements of a row.
func wideRow(vocab int) int { return wideHead + (vocab+1)/2*2 }

func newWide(vocab, positions int) *wide {
	return &wide{vocab, make([]uint16, positions*wideRow(vocab))}
}

func (w *wide) row(j int) []uint16 { return w.rows[j*wideRow(w.vocab):][:wideRow(w.vocab)] }

func (w *wide) head(j int) (step, least float32) {
	r := w.row(j)
	return math.Float32frombits(uint32(r[0]) | uint32(r[1])<<16), math.Float32frombits(uint32(r[2]) | uint32(r[3])<<16)
}

// put encodes the logits of position j (log_softmax of llama-perplexity).
func (w *wide) put(j int, logits []float32) {
	top, sum := softmaxSum(logits)
	least := top
	for _, l := range logits {
		least = min(least, l)
	}
	least = max(least, top-wideDepth)
	r, step := w.row(j), (top-least)/65535
	for i, v := range []float32{step, least - top - float32(math.Log(sum))} {
		bits := math.Float32bits(v)
		r[2*i], r[2*i+1] = uint16(bits), uint16(bits>>16)
	}
	clear(r[wideHead:])
	if step == 0 {
		return
	}
	const magic = 3 << 22 // adding it to a small float32 leaves an integer
	inverse := 1 / step
	for i, l := range logits {
		if l > least {
			r[wideHead+i] = uint16(min(65535, float32(float32(inverse*(l-least))+magic)-magic))
		}
	}
}

func (w *wide) base(j int, next int32) float64 {
	step, least := w.head(j)
	return -float64(float32(step*float32(w.row(j)[wideHead+int(next)])) + least)
}

// compare is llama-perplexity's: tokens of less than e^-16 do not count.
func (w *wide) compare(j int, logits []float32, next int32) position {
	top, sum := softmaxSum(logits)
	all := top + float32(math.Log(sum))
	step, least := w.head(j)
	row := w.row(j)[wideHead:]
	at, baseAt := 0, 0
	var kld float64
	for i, l := range logits {
		if l > logits[at] {
			at = i
		}
		if row[i] > row[baseAt] {
			baseAt = i
		}
		if p := float32(step*float32(row[i])) + least; p > -wideDepth {
			kld += float64(float32(math.Exp(float64(p))) * (p - l + all))
		}
	}
	return newPosition(kld, float64(all-logits[next]), w.base(j, next), at == baseAt)
}

// valid fails on rows whose heads are no numbers.
func (w *wide) valid(positions int) error {
	for j := range positions {
		step, least := w.head(j)
		if !(step >= 0 && step <= 1) || !(least <= 0 && least >= -1e6) {
			return fmt.Errorf("position %d: step %v and least log-probability %v", j, step, least)
		}
	}
	return nil
}

const wideMagic = "_logits_"

// wideHeader is what a file begins with; tokens and rows follow.
type wideHeader struct {
	Magic   [8]byte
	Context uint32
	Vocab   int32
	Chunks  int32
}

// maxContext and maxVocab bound what a recorded base may claim.
const maxContext, maxVocab = 1 << 24, 1 << 24

// wideFile is a file that llama-perplexity --kl-divergence-base wrote.
type wideFile struct {
	file io.ReaderAt
	text *text
	head int64
	wideHeader
}

// openWide reads the head of such a file of size bytes.
func openWide(f io.ReaderAt, size int64) (*wideFile, error) {
	w := &wideFile{file: f}
	in := io.NewSectionReader(f, 0, size)
	if err := binary.Read(in, binary.LittleEndian, &w.wideHeader); err != nil {
		return nil, errors.New("the file ends in its header")
	}
	if w.Context < 4 || w.Context > maxContext || w.Vocab < 1 || w.Vocab > maxVocab || w.Chunks < 1 {
		return nil, fmt.Errorf("chunks of %d tokens, a vocabulary of %d, %d chunks: no such base", w.Context, w.Vocab, w.Chunks)
	}
	w.text = &text{context: int(w.Context), chunks: int(w.Chunks)}
	ids := int64(w.Chunks) * int64(w.Context)
	w.head = int64(binary.Size(w.wideHeader)) + 4*ids
	chunk := w.chunkBytes()
	if body := size - w.head; body < 0 || body/chunk < int64(w.Chunks) {
		return nil, &truncatedBaseError{max(0, body) / chunk, int64(w.Chunks)}
	} else if body != chunk*int64(w.Chunks) {
		return nil, fmt.Errorf("%d bytes follow the last of %d chunks", body-chunk*int64(w.Chunks), w.Chunks)
	}
	w.text.tokens = make([]int32, ids)
	if err := binary.Read(bufio.NewReader(in), binary.LittleEndian, w.text.tokens); err != nil {
		return nil, err
	}
	return w, w.text.inRange(int(w.Vocab))
}

// Close closes the file.
func (w *wideFile) Close() error {
	if c, ok := w.file.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (w *wideFile) chunkBytes() int64 {
	return int64(w.text.scored()) * int64(wideRow(int(w.Vocab))) * 2
}

func (w *wideFile) chunk(i int) (answers, error) {
	a := newWide(int(w.Vocab), w.text.scored())
	n := w.chunkBytes()
	if err := binary.Read(io.NewSectionReader(w.file, w.head+int64(i)*n, n), binary.LittleEndian, a.rows); err != nil {
		return nil, err
	}
	return a, a.valid(w.text.scored())
}

// WriteWide runs the base over the text, as far as it has not been, and writes its answers in llama-perplexity's form.
// It fails on a base that was recorded in another form, and on random chunks.
func (b *Baseline) WriteWide(ctx context.Context, out io.Writer) (PerplexityResult, error) {
	t, w := b.text, bufio.NewWriterSize(out, 1<<20)
	if !slices.IsSorted(t.picks) {
		return PerplexityResult{}, errors.New("verify: a base is recorded over the first chunks of a text, not over random ones")
	}
	h := wideHeader{Context: uint32(t.context), Vocab: int32(b.vocab), Chunks: int32(len(t.picks))}
	copy(h.Magic[:], wideMagic)
	for _, v := range []any{h, t.tokens[:len(t.picks)*t.context]} {
		if err := binary.Write(w, binary.LittleEndian, v); err != nil {
			return PerplexityResult{}, err
		}
	}
	r, err := b.score(ctx, func(a answers) error {
		rows, ok := a.(*wide)
		if !ok {
			return errors.New("verify: the base was recorded without all its answers: record it again from the model")
		}
		return binary.Write(w, binary.LittleEndian, rows.rows)
	})
	return r, errors.Join(err, w.Flush())
}

// truncatedBaseError says that a recorded base ends early.
type truncatedBaseError struct{ have, want int64 }

func (e *truncatedBaseError) Error() string {
	return fmt.Sprintf("the file ends after %d of %d chunks", e.have, e.want)
}

// Hint is advice for the user.
func (e *truncatedBaseError) Hint() string {
	return "its recording was interrupted, or its copying: make it again"
}
