package gguf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// readBack reads a written part back where that is wanted, before it gets its name.
func (o *output) readBack(ctx context.Context, p *part) error {
	switch {
	case o.Options.Verify:
		return o.verify(ctx, p)
	case o.run.Check:
		return o.check(ctx, p)
	}
	return nil
}

// check compares the SHA-256 of what the disk has with that of what was written.
func (o *output) check(ctx context.Context, p *part) error {
	f, err := os.Open(p.temp())
	if err != nil {
		return fmt.Errorf("gguf: read back: %w", err)
	}
	defer f.Close()
	uncache(f)
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		o.run.report(int64(n))
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("gguf: read back: %w", err)
		}
	}
	if sum := h.Sum(nil); !bytes.Equal(sum, p.sum) {
		return fmt.Errorf("gguf: %s: read back, it has SHA-256 %x, %x was written", p.temp(), sum, p.sum)
	}
	return nil
}

// verify reads a written part as any reader would, and compares it with what it was to hold.
func (o *output) verify(ctx context.Context, p *part) error {
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
	want := p.src.Tensors()
	if len(f.Tensors()) != len(want) {
		return fmt.Errorf("gguf: %s: read back, it has %d tensors of %d", p.temp(), len(f.Tensors()), len(want))
	}
	left := p.plan.Size
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
		o.run.report(t.Bytes())
		left -= t.Bytes()
	}
	o.run.report(left) // header and padding
	return nil
}
