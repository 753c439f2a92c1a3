package gguf

import (
	"context"
	"encoding/hex"
	"fmt"
)

// verify reads a written part back, as any reader would, and compares it with what it was to hold.
func (j *job) verify(ctx context.Context, p *part) error {
	f, err := OpenShard(p.temp())
	if err != nil {
		return fmt.Errorf("gguf: read back: %w", err)
	}
	defer f.Close()
	for _, e := range diffMetadata(p.src.Metadata(), f.Metadata()) {
		if e.Status != Same {
			return fmt.Errorf("gguf: %s: read back, key %s is %s: %s", p.temp(), e.Name, e.Status, e.Detail)
		}
	}
	end := j.done + p.plan.Size
	want := p.src.Tensors()
	if len(f.Tensors()) != len(want) {
		return fmt.Errorf("gguf: %s: read back, it has %d tensors of %d", p.temp(), len(f.Tensors()), len(want))
	}
	for i, t := range f.Tensors() {
		if w := want[i]; t.Name != w.Name || t.Type != w.Type || !t.Shape.Equal(w.Shape) {
			return fmt.Errorf("gguf: %s: read back, tensor %q %v %v is %q %v %v", p.temp(), w.Name, w.Type, w.Shape, t.Name, t.Type, t.Shape)
		}
		sum, err := TensorSHA256(ctx, f, i)
		if err != nil {
			return err
		}
		if read := hex.EncodeToString(p.sums[i]); sum != read {
			return fmt.Errorf("gguf: %s: read back, tensor %q has SHA-256 %s, the source's is %s", p.temp(), t.Name, sum, read)
		}
		j.report(t.Bytes())
	}
	j.report(end - j.done) // header and padding
	return nil
}

// report counts n more bytes of the job as done.
func (j *job) report(n int64) {
	j.done += n
	if report := j.opts.Progress; report != nil {
		report(j.done, j.work)
	}
}
