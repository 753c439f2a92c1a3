package gguf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
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
		if done && o.Options.Force {
			o.fresh() // nothing is left to go on with: the user wants them anew
		}
		if err := o.checkNames(); err != nil {
			return err
		}
	}
	return nil
}

// pass writes outputs that are not complete, in one pass over the source.
func (r *run) pass(ctx context.Context, outs []*output) error {
	r.work, r.done = 0, 0
	var streams []*stream
	at := make([]int, len(outs)) // place of a stream's output in the job
	srcs := make([]Source, len(outs))
	for i, o := range outs {
		r.work += o.size()
		if o.Options.Verify || r.Check {
			r.work += o.size()
		}
		r.done += o.bytes
		srcs[i] = o.Source
		at[i] = r.index(o)
		streams = append(streams, o.stream())
	}
	for _, o := range outs {
		if err := o.begin(); err != nil {
			return r.full(err)
		}
	}
	read := rowsOf(srcs...)
	if r.Rows != nil {
		read = r.spread(at)
	}
	if err := newPipeline(streams, read, unitsOf(srcs[0]), r.WriteOptions).run(ctx); err != nil {
		return r.full(err)
	}
	for _, o := range outs {
		if err := o.finish(ctx); err != nil {
			return r.full(err)
		}
	}
	return ctx.Err()
}

// spread is the job's Rows for some of its outputs.
func (r *run) spread(at []int) Rows {
	return func(ctx context.Context, tensor, row, n int, dst [][]byte) error {
		all := make([][]byte, len(r.outs))
		for i, d := range dst {
			all[at[i]] = d
		}
		return r.Rows(ctx, tensor, row, n, all)
	}
}

func (r *run) index(o *output) int {
	for i := range r.outs {
		if r.outs[i] == o {
			return i
		}
	}
	return -1
}

// report counts n more bytes of the pass as done.
func (r *run) report(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done += n; r.Progress != nil {
		r.Progress(r.done, r.work)
	}
}

func (r *run) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fmt.Sprintf(format, args...))
	}
}

// forget removes the journals of a job that is finished. A crash while it does leaves the first one, which knows all.
func (r *run) forget() error {
	if r.Inputs == nil {
		return nil
	}
	if first := r.outs[0]; len(r.outs) > 1 {
		j, err := first.state()
		if err != nil {
			return err
		}
		for _, o := range r.outs {
			s, err := o.state()
			if err != nil {
				return err
			}
			j.Finished = append(j.Finished, s.Parts)
		}
		if err := first.saveState(j); err != nil {
			return err
		}
	}
	for _, o := range slices.Backward(r.outs) {
		r.disk.remove(o.journalPath())
	}
	return nil
}

// leave ends the job: it keeps what an equal one can go on from, or removes what was written.
func (r *run) leave(err error) error {
	kept := false
	for _, o := range r.outs {
		switch {
		case err == nil:
		case o.complete && o.named():
			kept = kept || o.journal != nil
		case !o.begun:
			o.unlock()
			kept = kept || o.restored
		case o.journal != nil && (o.complete || resumable(err)):
			kept = true
			if kerr := o.keep(); kerr != nil {
				err = errors.Join(err, kerr)
			}
		default:
			o.discard()
		}
	}
	for _, o := range r.outs {
		o.close() // last: closing gives up the lock on the name
	}
	if !kept {
		return err
	}
	u := &UnfinishedError{Err: err}
	for _, o := range r.outs {
		u.Total += o.size()
		if u.Done += o.bytes; o.complete {
			u.Done += o.size() - o.bytes
		}
	}
	return u
}

// resumable reports whether an equal job may get further: what stopped this one came from the system, not from the data.
func resumable(err error) bool {
	var (
		path  *fs.PathError
		errno syscall.Errno
	)
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &path) || errors.As(err, &errno)
}

// full turns the system's "no space left" into a *SpaceError.
func (r *run) full(err error) error {
	if !isNoSpace(err) {
		return err
	}
	dir := filepath.Dir(r.outs[0].Name)
	free, _ := r.disk.free(dir)
	var need int64
	for _, o := range r.outs {
		need += o.lacks()
	}
	return &SpaceError{Dir: dir, Need: need, Free: free, Err: err}
}
