package gguf

import (
	"errors"
	"fmt"
	"path/filepath"
)

// publish gives all parts of outputs their final names. The last rename decides: until then an error brings back the
// files that are replaced, and the new ones are parts again.
func (r *run) publish(outs []*output) error {
	var parts []*part
	force := map[*part]bool{}
	for _, o := range outs {
		for _, p := range o.parts {
			if !p.done {
				parts = append(parts, p)
				force[p] = o.Options.Force
			}
		}
	}
	for _, p := range parts {
		exists, err := r.disk.exists(p.path)
		if err == nil && exists && !force[p] {
			return &ExistsError{p.path} // someone else was faster
		}
		if p.old = exists; exists && len(parts) > 1 {
			p.kept = r.disk.link(p.path, p.backup()) == nil // where links do not exist we do without
		}
	}
	for _, p := range parts {
		if err := r.disk.rename(p.temp(), p.path); err != nil {
			r.undo(parts)
			return fmt.Errorf("gguf: %w", err)
		}
		p.done = true
	}
	for _, p := range parts {
		if p.kept {
			r.disk.remove(p.backup())
		}
	}
	return r.settle(parts)
}

// settle makes the names safe and closes the files.
func (r *run) settle(parts []*part) error {
	var errs []error
	seen := map[string]bool{}
	for _, p := range parts {
		if dir := filepath.Dir(p.path); !seen[dir] {
			seen[dir] = true
			errs = append(errs, r.disk.syncDir(dir))
		}
	}
	for _, p := range parts {
		if p.file != nil {
			errs = append(errs, p.file.Close())
			p.file = nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	return nil
}

// undo takes the names back.
func (r *run) undo(parts []*part) {
	for _, p := range parts {
		if p.done {
			p.done = r.disk.rename(p.path, p.temp()) != nil
		}
		if p.kept {
			_ = r.disk.rename(p.backup(), p.path)
			r.disk.remove(p.backup()) // both were the same file
			p.kept = false
		}
	}
}
