package gguf

import (
	"context"
	"path/filepath"
	"time"
)

// waves writes all outputs, as many at a time as the disk can hold.
func (r *run) waves(ctx context.Context) error {
	left, err := r.resume(ctx)
	for first := true; err == nil && len(left) > 0; first = false {
		var wave []*output
		if wave, left, err = r.wave(ctx, left, first); err != nil {
			return err
		}
		if err = r.pass(ctx, wave); err == nil {
			err = r.finishWave(ctx, wave)
		}
	}
	return err
}

// resume does what an earlier run had still to do for outputs that it completed, and lists the others.
func (r *run) resume(ctx context.Context) (left []*output, err error) {
	var complete []*output
	for _, o := range r.outs {
		switch {
		case !o.complete:
			left = append(left, o)
		case !o.away:
			complete = append(complete, o)
		}
	}
	if len(complete) == 0 {
		return left, nil
	}
	return left, r.finishWave(ctx, complete)
}

// finishWave gives outputs their names and tells of it.
func (r *run) finishWave(ctx context.Context, wave []*output) error {
	if err := r.publish(wave); err != nil || r.AfterWave == nil {
		return err
	}
	var files [][]Written
	for _, o := range wave {
		files = append(files, o.files())
	}
	return r.AfterWave(ctx, files)
}

// patience is how long a job waits for someone to take finished outputs away.
var patience = 10 * time.Second

// wave chooses what to write next: all that is left, or with a bound as much of it as has room.
func (r *run) wave(ctx context.Context, left []*output, first bool) (wave, rest []*output, err error) {
	if r.Disk <= 0 {
		return left, nil, r.checkRoom(left)
	}
	for end := time.Now().Add(patience); ; {
		if wave, rest = r.chosen(left); len(wave) > 0 {
			if len(rest) > 0 {
				r.note("%d of %d outputs fit the disk's bound now, the others follow", len(wave), len(left))
			}
			return wave, rest, r.checkRoom(wave)
		}
		if first || time.Now().After(end) {
			if err := r.checkRoom(left[:1]); err != nil {
				return nil, nil, err
			}
			free := r.Disk - r.occupied()
			return nil, nil, &SpaceError{Dir: filepath.Dir(left[0].Name), Need: left[0].size(), Free: max(0, free), Bound: true}
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// chosen divides what is left into what has room and what has not. What an earlier run has begun comes first.
func (r *run) chosen(left []*output) (wave, rest []*output) {
	room := r.Disk - r.occupied()
	free := map[string]int64{}
	take := func(o *output) bool {
		dir := r.disk.device(filepath.Dir(o.Name))
		if _, ok := free[dir]; !ok {
			free[dir] = 1 << 62
			if n, ok := r.disk.free(filepath.Dir(o.Name)); ok {
				free[dir] = n
			}
		}
		if o.size() > room || o.lacks() > free[dir] {
			return false
		}
		room -= o.size()
		free[dir] -= o.lacks()
		return true
	}
	taken := map[*output]bool{}
	for _, begun := range []bool{true, false} {
		for _, o := range left {
			if o.restored == begun {
				taken[o] = take(o)
			}
		}
	}
	for _, o := range left {
		if taken[o] {
			wave = append(wave, o)
		} else {
			rest = append(rest, o)
		}
	}
	return wave, rest
}

// occupied is what finished outputs take on the disk.
func (r *run) occupied() int64 {
	var n int64
	for _, o := range r.outs {
		if !o.complete {
			continue
		}
		for _, p := range o.parts {
			n += r.disk.size(p.path)
		}
	}
	return n
}

// checkRoom refuses a disk without room for what is to be written.
func (r *run) checkRoom(outs []*output) error {
	need, dirs := map[string]int64{}, []string{}
	where := map[string]string{}
	for _, o := range outs {
		dir := filepath.Dir(o.Name)
		dev := r.disk.device(dir)
		if _, ok := where[dev]; !ok {
			where[dev] = dir
			dirs = append(dirs, dev)
		}
		need[dev] += o.lacks()
	}
	for _, dev := range dirs {
		if free, ok := r.disk.free(where[dev]); ok && free < need[dev] {
			return &SpaceError{Dir: where[dev], Need: need[dev], Free: free}
		}
	}
	return nil
}
