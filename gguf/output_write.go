package gguf

import (
	"context"
	"crypto/sha256"
	"fmt"
)

// stream is o's part in the pipeline.
func (o *output) stream() *stream {
	st := newStream(o.tensors, func(tensor int) int64 { return o.parts[o.partOf(tensor, 0)].plan.Alignment })
	st.from, st.write, st.commit = o.at, o.write, o.commit
	return st
}

// begin writes the first journal or, where an earlier run's is at hand, opens the part it was at.
func (o *output) begin() error {
	o.begun = true
	if o.w < 0 {
		return o.renew()
	}
	p := o.parts[o.w]
	if err := o.open(p); err != nil {
		return err
	}
	if err := p.file.start(p.hashed); err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	return nil
}

// partOf is the part that holds a tensor, looked for from part i on.
func (o *output) partOf(tensor, i int) int {
	i = max(i, 0)
	for i+1 < len(o.parts) && o.parts[i+1].first <= tensor {
		i++
	}
	return i
}

// write appends a slab to its part.
func (o *output) write(s *slab, data []byte) error {
	if err := o.writeUpTo(o.partOf(s.tensor, o.w)); err != nil {
		return err
	}
	if _, err := o.parts[o.w].file.Write(data); err != nil {
		return fmt.Errorf("gguf: write: tensor %q: %w", o.tensors[s.tensor].Name, err)
	}
	return nil
}

// writeUpTo ends parts and begins others, up to part k.
func (o *output) writeUpTo(k int) error {
	for o.w < k {
		if err := o.sync(); err != nil {
			return err
		}
		p := o.parts[o.w+1]
		_, header, err := layout(p.src.Metadata(), p.src.Tensors())
		if err != nil {
			return err
		}
		if err := o.open(p); err != nil {
			return err
		}
		if err := p.file.start(0); err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
		p.header = header[:min(int64(len(header)), p.plan.Size)] // without padding where the plan has none
		if _, err := p.file.Write(p.header); err != nil {
			return fmt.Errorf("gguf: write: %w", err)
		}
		o.w++
	}
	return nil
}

// sync makes the part being written safe.
func (o *output) sync() error {
	if o.w < 0 {
		return nil
	}
	if err := o.parts[o.w].file.Sync(); err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	return nil
}

// commit hashes a slab that was written.
func (o *output) commit(s *slab, data []byte) error {
	if err := o.hashUpTo(o.partOf(s.tensor, o.h)); err != nil {
		return err
	}
	o.add(o.parts[o.h], data)
	if o.Options.Verify {
		o.sum(s, data)
	}
	o.at = s.end()
	return o.journalDue()
}

// hashUpTo ends the hashes of parts and begins others, up to part k.
func (o *output) hashUpTo(k int) error {
	for o.h < k {
		if err := o.endHash(); err != nil {
			return err
		}
		o.h++
		p := o.parts[o.h]
		p.hash, p.tensor = sha256.New(), sha256.New()
		o.add(p, p.header)
		p.header = nil
	}
	return nil
}

func (o *output) endHash() error {
	if o.h < 0 || o.parts[o.h].sum != nil { // an earlier run's
		return nil
	}
	p := o.parts[o.h]
	if p.hashed != p.plan.Size {
		return fmt.Errorf("gguf: %s: wrote %d bytes, planned %d", p.temp(), p.hashed, p.plan.Size)
	}
	p.sum = p.hash.Sum(nil)
	return nil
}

func (o *output) add(p *part, data []byte) {
	p.hash.Write(data)
	p.hashed += int64(len(data))
	o.bytes += int64(len(data))
	o.run.report(int64(len(data)))
}

// sum takes a slab into its tensor's hash.
func (o *output) sum(s *slab, data []byte) {
	p, t := o.parts[o.h], o.tensors[s.tensor]
	p.tensor.Write(data[:int64(s.n)*t.RowBytes()])
	if int64(s.row+s.n) == t.Shape.Rows() {
		p.sums = append(p.sums, p.tensor.Sum(nil))
		p.tensor.Reset()
	}
}

// finish ends the last part, reads the output back where that is wanted, and says in the journal that all is there.
func (o *output) finish(ctx context.Context) error {
	last := len(o.parts) - 1
	if err := o.writeUpTo(last); err != nil {
		return err
	}
	if err := o.hashUpTo(last); err != nil {
		return err
	}
	if err := o.endHash(); err != nil {
		return err
	}
	if err := o.sync(); err != nil {
		return err
	}
	if err := o.wait(); err != nil {
		return err
	}
	for _, p := range o.parts {
		if err := o.readBack(ctx, p); err != nil {
			return err
		}
	}
	o.complete = true
	if o.journal == nil {
		return nil
	}
	return o.save()
}
