package recipes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// todo are the outputs that are not there yet.
func (j *job) todo() ([]planned, error) {
	var out []planned
	for _, w := range j.r.Wanted() {
		if rec := j.report.output(w.Label); rec != nil && !(j.o.Force && !j.redone[w.Label]) && rec.intact(j.o.Out) {
			continue
		}
		p, err := j.output(w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.Label, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// size is what an output takes on the disk.
func (p planned) size() (int64, error) {
	files, err := p.units()
	if err != nil {
		return 0, err
	}
	var n int64
	for _, f := range files {
		n += f.bytes
	}
	return n, nil
}

// here is what the outputs that are there take.
func (j *job) here() int64 {
	var n int64
	for i := range j.report.Outputs {
		for _, f := range j.report.Outputs[i].Files {
			if info, err := os.Stat(filepath.Join(j.o.Out, filepath.FromSlash(f.Path))); err == nil {
				n += info.Size()
			}
		}
	}
	return n
}

// WavesError says that the outputs do not fit the disk at once, or one of them not at all.
type WavesError struct {
	Bytes, Disk int64
	Label       string // of the output that is too large; empty: all together
}

func (e *WavesError) Error() string {
	if e.Label != "" {
		return fmt.Sprintf("recipes: %s has %d bytes; beside what is there the disk may hold %d", e.Label, e.Bytes, e.Disk)
	}
	return fmt.Sprintf("recipes: the outputs have %d bytes, the disk may hold %d", e.Bytes, e.Disk)
}

// Hint tells how to go on.
func (e *WavesError) Hint() string {
	if e.Label != "" {
		return "files that were held back stay there; move them away, or allow more with --disk"
	}
	return "with --publish they are made in waves: verified, published, deleted here, then the next"
}

// inWaves makes outputs that do not fit the disk: as many as fit are written, verified, published and deleted, then the
// next. What is left at the end fits.
func (j *job) inWaves(ctx context.Context) error {
	for {
		todo, err := j.todo()
		if err != nil {
			return err
		}
		free := j.o.Disk - j.here()
		var sizes []int64
		var total int64
		for i := range todo {
			n, err := todo[i].size()
			if err != nil {
				return err
			}
			sizes = append(sizes, n)
			total += n
		}
		switch {
		case total <= free:
			return nil
		case !j.reaches("publish"):
			return &WavesError{Bytes: total, Disk: free}
		case sizes[0] > free:
			return &WavesError{Bytes: sizes[0], Disk: free, Label: todo[0].Label}
		}
		n := 0
		for n < len(todo) && sizes[n] <= free {
			free -= sizes[n]
			n++
		}
		if err := j.wave(ctx, todo[:n]); err != nil {
			return err
		}
	}
}

// wave carries some outputs to the end and deletes those that were published.
func (j *job) wave(ctx context.Context, todo []planned) error {
	if err := j.write(ctx, todo); err != nil {
		return err
	}
	for _, p := range todo {
		j.redone[p.Label] = true
	}
	if err := j.verify(ctx); err != nil {
		return err
	}
	if err := j.bench(ctx); err != nil {
		return err
	}
	if err := j.document(ctx); err != nil {
		return err
	}
	if err := j.publish(ctx); err != nil {
		return err
	}
	return j.clear(todo)
}

// clear deletes the files of outputs that the Hub has been seen to hold.
func (j *job) clear(todo []planned) error {
	there := map[string]bool{}
	for _, f := range j.report.Published.Files {
		there[f.Path] = true
	}
	for _, p := range todo {
		o := j.report.output(p.Label)
		gone := len(o.Files) > 0
		for _, f := range o.Files {
			gone = gone && there[f.Path]
		}
		if !gone {
			continue
		}
		o.Away = true
		if err := j.save(); err != nil { // before the files go: a crash in between leaves files, and no lie
			return err
		}
		for _, f := range o.Files {
			if err := os.Remove(filepath.Join(j.o.Out, filepath.FromSlash(f.Path))); err != nil {
				return err
			}
		}
	}
	return nil
}
