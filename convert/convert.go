// Package convert turns a checkpoint directory into a gguf.Source whose rows are
// decoded on demand: a Plan. Making one reads headers alone, so that every
// mistake that can be seen in them is found before any work.
package convert

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// Options say how a checkpoint is converted.
type Options struct {
	Name    string // name of the checkpoint's directory, from which general.name and others derive; OpenDir fills it in
	OutType string // f32, f16, bf16, q8_0 or auto (also when empty)
	Pre     string // name of the pre-tokenizer, where it shall not be recognised
}

// Quirk is a defect of the reference converter's metadata that a plan reproduces, so that files agree byte for byte.
type Quirk struct{ Key, What string }

// Plan is a checkpoint as a GGUF model: a gguf.Source, safe for concurrent reads.
type Plan struct {
	Family *family.Family
	md     *gguf.Metadata
	infos  []gguf.TensorInfo
}

// NewPlan plans the conversion of the checkpoint at the root of fsys. It reads headers and tokenizer files only.
func NewPlan(fsys fs.FS, opts Options) (*Plan, error) {
	return nil, errors.New("convert: not written yet")
}

// OpenDir plans the conversion of the checkpoint in dir, whose resolved path names the model.
func OpenDir(dir string, opts Options) (*Plan, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, err
	}
	if opts.Name == "" {
		opts.Name = filepath.Base(abs)
	}
	return NewPlan(os.DirFS(abs), opts)
}

// Close releases the checkpoint's files.
func (p *Plan) Close() error { return nil }

// Metadata is the file's metadata. Nobody may change it: use gguf.WithMetadata.
func (p *Plan) Metadata() *gguf.Metadata { return p.md }

// Tensors lists the file's tensors in the reference converter's order.
func (p *Plan) Tensors() []gguf.TensorInfo { return p.infos }

// ReadRows decodes, transforms and encodes rows: see gguf.Source.
func (p *Plan) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	return errors.New("convert: not written yet")
}

// Units is the rows of an expert, of an attention head, or 1.
func (p *Plan) Units(tensor int) int { return 1 }

// Size is the exact size of the file the plan becomes, in bytes.
func (p *Plan) Size() int64 { return 0 }

// Quirks lists the reference's metadata defects that the plan reproduces.
func (p *Plan) Quirks() []Quirk { return nil }

// Warnings lists what a reader of the checkpoint should know and no error stops.
func (p *Plan) Warnings() []string { return nil }
