package recipes

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moeconv/moeconv/verify/card"
	"github.com/moeconv/moeconv/verify/evidence"
)

// Reproduce makes a bundle's release again in o.Out and compares the two bundles claim by claim. The checkpoint's files
// are held against the hashes on record before anything is written.
func Reproduce(ctx context.Context, bundle string, o Options) (*evidence.Comparison, error) {
	fsys := os.DirFS(bundle)
	r, err := Load(filepath.Join(bundle, RecipeName))
	if err != nil {
		return nil, err
	}
	var was Report
	data, err := fs.ReadFile(fsys, card.ReleaseName)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &was); err != nil {
		return nil, fmt.Errorf("recipes: %s: %w", card.ReleaseName, err)
	}
	if o.Model != "" {
		if err := sameInputs(fsys, os.DirFS(o.Model)); err != nil {
			return nil, err
		}
	}
	if r.Name == "" {
		r.Name = was.Name // the folder of the checkpoint may have another name here
	}
	o.AsReference, o.again = was.AsReference, true
	rep, err := Run(ctx, r, o)
	if err != nil {
		return nil, err
	}
	return evidence.Compare(fsys, os.DirFS(filepath.Join(o.Out, BundleName(rep.Name))))
}

// changedInputError says that a checkpoint is not the one on record.
type changedInputError struct{ name, want, got string }

func (e *changedInputError) Error() string {
	return fmt.Sprintf("recipes: %s: SHA-256 %s, the bundle has %s", e.name, e.got, e.want)
}

// Hint says what that means.
func (e *changedInputError) Hint() string {
	return "this is another revision of the checkpoint; the bundle's source.json names the right one"
}

func sameInputs(bundle, model fs.FS) error {
	var doc sourceDoc
	data, err := fs.ReadFile(bundle, sourceName)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("recipes: %s: %w", sourceName, err)
	}
	for _, f := range doc.Files {
		if f.SHA256 == "" {
			continue
		}
		got, err := hashFile(model, f.Name)
		if err != nil {
			return err
		}
		if got != f.SHA256 {
			return &changedInputError{f.Name, f.SHA256, got}
		}
	}
	return nil
}
