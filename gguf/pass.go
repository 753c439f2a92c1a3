package gguf

import (
	"cmp"
	"context"
	"path/filepath"
	"sync"
)

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
	if err := finishAll(ctx, outs); err != nil {
		return r.full(err)
	}
	return ctx.Err()
}

// finishAll finishes outputs side by side: they wait for the disk, or read back.
func finishAll(ctx context.Context, outs []*output) error {
	errs := make([]error, len(outs))
	var wg sync.WaitGroup
	for i, o := range outs {
		wg.Go(func() { errs[i] = o.finish(ctx) })
	}
	wg.Wait()
	return cmp.Or(errs...)
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
