package gguf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"path/filepath"
	"time"
)

// output is an Output under way. One goroutine writes (w), another hashes what is written (h).
type output struct {
	Output
	run      *run
	tensors  []TensorInfo
	parts    []*part
	w, h     int      // indices of the parts being written and hashed; -1 before the first
	at       position // all rows before it are written and hashed
	bytes    int64    // written and hashed
	complete bool     // every part is written and synced
	away     bool     // it had its name and was moved away
	restored bool     // an earlier run has done some of it
	begun    bool     // this run has written to it

	journal *journal // as it is on the disk, or nil
	saving  chan error
	saved   int64 // bytes at the last renewal
	savedAt time.Time
}

// part is one file to write.
type part struct {
	path    string
	src     Source
	first   int // index of its first tensor in the output
	plan    Plan
	header  []byte    // written, not yet hashed
	hash    hash.Hash // of its first hashed bytes
	hashed  int64
	sum     []byte // SHA-256 of the whole
	tensor  hash.Hash
	sums    [][]byte // SHA-256 of each tensor as it was read from src, when it is to be verified
	file    partFile
	mine    bool // temp is this run's to remove
	created bool // by this run
	old     bool // a file of that name existed before
	kept    bool // which is kept as backup until all parts have their names
	done    bool // path holds the new file
}

// temp is the name the file has while it is written.
func (p *part) temp() string { return p.path + ".part" }

// backup is a second name of the file that p replaces.
func (p *part) backup() string { return p.path + ".replaced" }

func (o *output) size() int64 {
	var n int64
	for _, p := range o.parts {
		n += p.plan.Size
	}
	return n
}

func (o *output) files() []Written {
	var out []Written
	for _, p := range o.parts {
		out = append(out, Written{p.path, p.plan.Size, hex.EncodeToString(p.sum)})
	}
	return out
}

// lacks is the number of bytes that the disk still has to take: parts that are there are written over.
func (o *output) lacks() int64 {
	var n int64
	for _, p := range o.parts {
		if !p.done {
			n += p.plan.Size - min(o.run.disk.size(p.temp()), p.plan.Size)
		}
	}
	return n
}

// lock opens the first part for this process alone.
func (o *output) lock() error { return o.open(o.parts[0]) }

// open opens a part for this process alone.
func (o *output) open(p *part) error {
	if p.file != nil {
		return nil
	}
	f, created, err := o.run.disk.open(p.temp())
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	p.file, p.mine, p.created = f, true, created
	return nil
}

// unlock takes back what lock did, but keeps the lock itself until close.
func (o *output) unlock() {
	if p := o.parts[0]; p.created {
		o.run.disk.remove(p.temp())
		p.created, p.mine = false, false
	}
}

// checkNames refuses existing files that are not o's own.
func (o *output) checkNames() error {
	for _, p := range o.parts {
		if p.done || o.away {
			continue
		}
		exists, err := o.run.disk.exists(p.path)
		if err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
		if exists && !o.Options.Force {
			return &ExistsError{p.path}
		}
	}
	return nil
}

// stream is o's part in the pipeline.
func (o *output) stream() *stream {
	st := newStream(o.tensors, o.parts[0].plan.Alignment)
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
	if o.h < 0 {
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

// named reports whether all parts have, or had, their names.
func (o *output) named() bool {
	for _, p := range o.parts {
		if !p.done {
			return o.away
		}
	}
	return true
}

// discard removes what was written.
func (o *output) discard() {
	_ = o.wait() // its error is not the one that counts
	for _, p := range o.parts {
		if p.mine && !p.done {
			o.run.disk.remove(p.temp())
		}
	}
	if o.journal != nil {
		o.run.disk.remove(o.journalPath())
	}
}

func (o *output) close() {
	for _, p := range o.parts {
		if p.file != nil {
			p.file.Close()
			p.file = nil
		}
	}
}

func (o *output) journalPath() string { return filepath.Clean(o.Name) + ".part.journal" }
