package gguf

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
)

// Output is one file, or one set of shards, that a Job writes.
type Output struct {
	Name    string // NAME.gguf
	Source  Source // its metadata and tensors; its rows where the Job has no Rows
	Options FileOptions
	// Key says, one line each, what the output's bytes depend on besides Job.Inputs and the source's metadata and
	// tensor infos. A run that was interrupted goes on only where they are the same.
	Key []string
}

// Job writes several outputs in one pass over what they are made from. Data go to *.part files. All files of all
// outputs (of a wave, where Disk makes several) get their names together after all of them are synced.
//
// With Inputs, a journal NAME.gguf.part.journal beside the parts says how far they are, and is never ahead of what
// is safe on the disk. After a crash, a signal or an error of the system (a full disk) an equal Job goes on from
// there and ends with the same bytes; after any other error nothing is left.
type Job struct {
	Outputs []Output // all have the same tensors, of whatever types
	Rows    Rows     // reads the rows of all outputs at once; nil: each from its own source
	WriteOptions
	Inputs       []string          // identify what is read, one line a file; nil: no journal
	JournalEvery int64             // bytes of an output between two renewals of its journal; 128 MiB if 0
	Check        bool              // read every file back before it gets its name, and compare its SHA-256
	Note         func(line string) // is told what the user should know; may be nil
	// Disk bounds the bytes that the outputs take on the disk at any time; 0: no bound. They are then written in waves
	// that fit beside the finished ones; who takes those away makes room for the next wave.
	Disk int64
	// AfterWave is called with the outputs of each wave when they have their names, and after an interruption again with
	// those that are still there; may be nil. It may move them away.
	AfterWave func(ctx context.Context, files [][]Written) error
	// Finished is called with all outputs' files at the end, before the journals go: a crash until then finds the job
	// finished, and not files that nobody knows. May be nil.
	Finished func(files [][]Written) error
}

// Run writes the outputs and returns the files of each. Errors are WriteFile's, and *ChangedError; *UnfinishedError
// wraps them where an equal job can go on.
func (j Job) Run(ctx context.Context) ([][]Written, error) { return j.run(ctx, osDisk{}) }

func (j Job) run(ctx context.Context, d disk) (files [][]Written, err error) {
	r, err := j.plan(d)
	if err != nil {
		return nil, err
	}
	defer func() { err = r.leave(err) }()
	if err := r.take(); err != nil {
		return nil, err
	}
	if err := r.waves(ctx); err != nil {
		return nil, err
	}
	for _, o := range r.outs {
		files = append(files, o.files())
	}
	if j.Finished != nil {
		if err := j.Finished(files); err != nil {
			return nil, err
		}
	}
	return files, r.forget()
}

// run is a Job under way.
type run struct {
	Job
	disk disk
	outs []*output
	// finished has the files of all outputs where an earlier run ended just before it was done.
	finished [][]journalShard

	mu   sync.Mutex
	work int64 // bytes to write and to read back
	done int64 // bytes of it that are done
}

// plan lays every output out. Nothing is created.
func (j Job) plan(d disk) (*run, error) {
	if len(j.Outputs) == 0 {
		return nil, errors.New("gguf: no outputs")
	}
	r := &run{Job: j, disk: d}
	for _, out := range j.Outputs {
		parts, err := split(out.Name, out.Source, out.Options)
		if err != nil {
			return nil, err
		}
		o := &output{Output: out, run: r, tensors: out.Source.Tensors(), parts: parts, w: -1, h: -1}
		if err := r.fits(o); err != nil {
			return nil, err
		}
		if j.Inputs != nil {
			if o.journal, err = newJournal(o, j.Inputs); err != nil {
				return nil, err
			}
		}
		r.outs = append(r.outs, o)
	}
	return r, nil
}

// fits fails where o has other tensors than the first output, is written twice or is larger than the disk may hold.
func (r *run) fits(o *output) error {
	if r.Disk > 0 && o.size() > r.Disk {
		return fmt.Errorf("gguf: %s: the output has %d bytes, more than the %d that the disk may hold", o.Name, o.size(), r.Disk)
	}
	for _, other := range r.outs {
		if filepath.Clean(other.Name) == filepath.Clean(o.Name) {
			return fmt.Errorf("gguf: %s: two outputs of one name", o.Name)
		}
	}
	if len(r.outs) == 0 {
		return nil
	}
	first := r.outs[0].tensors
	if len(first) != len(o.tensors) {
		return fmt.Errorf("gguf: %s has %d tensors, %s has %d: they cannot be written together", r.outs[0].Name, len(first), o.Name, len(o.tensors))
	}
	for i, t := range o.tensors {
		if t.Name != first[i].Name || !t.Shape.Equal(first[i].Shape) {
			return fmt.Errorf("gguf: %s has tensor %q %v where %s has %q %v: they cannot be written together",
				o.Name, t.Name, t.Shape, r.outs[0].Name, first[i].Name, first[i].Shape)
		}
	}
	return nil
}

// take locks every output and finds out what an earlier run has done of it.
func (r *run) take() error {
	for _, o := range r.outs {
		if err := o.lock(); err != nil {
			return err
		}
		if o.journal == nil {
			continue
		}
		if err := o.restore(); err != nil {
			return err
		}
	}
	for i, o := range r.outs {
		if len(r.finished) == len(r.outs) && !o.restored {
			o.restoreComplete(r.finished[i])
		}
	}
	done := true
	for _, o := range r.outs {
		done = done && o.named()
	}
	for _, o := range r.outs {
		if done && o.Options.Force { // nothing is left to go on with: the user wants them anew
			o.fresh()
			if err := o.lock(); err != nil {
				return err
			}
		}
		if err := o.checkNames(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fmt.Sprintf(format, args...))
	}
}
