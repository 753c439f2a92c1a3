// Package convert turns a checkpoint directory into a gguf.Source whose rows are
// decoded on demand: a Plan. Making one reads headers and tokenizer files alone,
// so that every mistake that can be seen in them is found before any work.
package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Options say how a checkpoint is converted.
type Options struct {
	Name    string // name of the checkpoint's directory, from which general.name and others derive; OpenDir fills it in
	OutType string // f32, f16, bf16, q8_0 or auto (also when empty)
	Pre     string // name of the pre-tokenizer, where it shall not be recognised

	ModelName string     // general.name, where it shall not be derived
	Metadata  []byte     // JSON of general.* keys that replace what the model says of itself; nil for none
	Overrides []Override // of any key, after everything else
	VocabOnly bool       // plan a file of metadata and vocabulary; the weights need not be there
	Shards    []string   // the weight files to read; nil: the index's or all model*.safetensors

}

// Quirk is a defect of the reference converter's metadata that a plan reproduces, so that files agree byte for byte.
type Quirk struct {
	Key, What string
	Right     any // the value the key should have; nil where that is not known
}

// OpenFiles plans the conversion of weight files that lie in one directory, with config.json and the tokenizer beside
// them. No other weight file is read, whatever an index says.
func OpenFiles(files []string, opts Options) (*Plan, error) {
	if len(files) == 0 {
		return nil, errors.New("convert: no weight files")
	}
	dir := filepath.Dir(files[0])
	for _, f := range files {
		if filepath.Dir(f) != dir {
			return nil, fmt.Errorf("convert: %s does not lie beside %s: all weight files of a checkpoint lie in one directory", f, files[0])
		}
		opts.Shards = append(opts.Shards, filepath.Base(f))
	}
	return OpenDir(dir, opts)
}

// OpenDir plans the conversion of the checkpoint in dir, whose resolved path names the model.
func OpenDir(dir string, opts Options) (*Plan, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	if opts.Name == "" {
		opts.Name = filepath.Base(abs)
	}
	return NewPlan(os.DirFS(abs), opts)
}

// maxTextFile bounds config.json and its like, which are read whole.
const maxTextFile = 32 << 20

// readText reads a small file; nil where it does not exist.
func readText(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	if info.Size() > maxTextFile {
		return nil, fmt.Errorf("convert: %s: %d bytes are too many for a file of settings", name, info.Size())
	}
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	return b, nil
}
