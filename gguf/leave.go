package gguf

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"syscall"
)

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
