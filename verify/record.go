package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
)

// Fingerprint identifies a model by its tensors' names, types and shapes and the first row of each.
func Fingerprint(ctx context.Context, src gguf.Source) ([sha256.Size]byte, error) {
	h := sha256.New()
	for i, t := range src.Tensors() {
		fmt.Fprintf(h, "%q %v %v\n", t.Name, t.Type, t.Shape)
		row := make([]byte, t.RowBytes())
		if err := src.ReadRows(ctx, i, 0, 1, row); err != nil {
			return [sha256.Size]byte{}, fmt.Errorf("verify: fingerprint: %w", err)
		}
		h.Write(row)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// MatchSource fails where a recorded base was recorded from another model than src. Files of llama-perplexity do not say.
func (b *Baseline) MatchSource(ctx context.Context, src gguf.Source) error {
	f, ok := b.file.(*topFile)
	if !ok {
		return nil
	}
	got, err := Fingerprint(ctx, src)
	if err == nil && got != f.Source {
		err = &baselineError{b.name, errors.New("recorded from another model than the source")}
	}
	return err
}

// RecordBaseline runs base over the text and records its answers in a file, a fiftieth of llama-perplexity's at most, and
// opens it. source is base's Fingerprint. While unfinished the file's name ends in .part; a recording that was interrupted
// goes on where it stopped, and one that is complete is not made again, if model, text and chunks are the same.
func RecordBaseline(ctx context.Context, name string, base *runtime.Model, source [sha256.Size]byte, s string, o PerplexityOptions) (*Baseline, error) {
	if o.Random || o.Budget > 0 {
		return nil, errors.New("verify: a base is recorded over the first chunks of a text, not over random ones")
	}
	t, err := cutFor(base, s, o)
	if err != nil {
		return nil, err
	}
	t.chunks = len(t.picks)
	f := newTopFile(t, base.VocabSize(), source)
	if !startsWith(name, f.head) {
		if err := f.write(ctx, name, base, o); err != nil {
			return nil, err
		}
	}
	return OpenBaseline(name, PerplexityOptions{Progress: o.Progress})
}

// startsWith reports whether a file exists and begins so.
func startsWith(name string, head []byte) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	got := make([]byte, len(head))
	_, err = io.ReadFull(f, got)
	return err == nil && bytes.Equal(got, head)
}

// write records chunks that the unfinished file does not have yet.
func (f *topFile) write(ctx context.Context, name string, base *runtime.Model, o PerplexityOptions) (err error) {
	part := name + ".part"
	flags := os.O_RDWR | os.O_CREATE
	if !startsWith(part, f.head) {
		flags |= os.O_TRUNC
	}
	out, err := os.OpenFile(part, flags, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = os.Rename(part, name)
		}
	}()
	if flags&os.O_TRUNC != 0 {
		if _, err := out.Write(f.head); err != nil {
			return err
		}
	}
	f.file = out
	done := 0
	for ; done < f.text.chunks; done++ {
		if _, err := f.chunk(done); err != nil {
			break
		}
	}
	f.text.picks = f.text.picks[done:]
	at := int64(len(f.head)) + int64(done)*int64(f.record())
	if err := out.Truncate(at); err != nil {
		return err
	}
	e := newEvaluator(base, f.text, o.Progress)
	for _, i := range f.text.picks {
		record, err := f.encode(ctx, e, i)
		if err != nil {
			return err
		}
		if _, err := out.WriteAt(record, at); err != nil {
			return err
		}
		at += int64(len(record))
		o.report(i+1, f.text.chunks)
	}
	return out.Sync()
}

// encode runs the base over a chunk.
func (f *topFile) encode(ctx context.Context, e *evaluator, i int) ([]byte, error) {
	const golden = 0.6180339887498949 // its multiples are spread evenly over 0 to 1
	levels := newChunkLevels(int(f.Vocab), f.text.scored())
	if err := e.run(ctx, i, func(j int, logits []float32) { levels.put(j, logits, f.text.next(i, j)) }); err != nil {
		return nil, err
	}
	_, u := math.Modf(float64(i+1) * golden)
	record := levels.pack(int(f.Body), u)
	return binary.LittleEndian.AppendUint32(record, checksum(record, uint32(i))), nil
}
