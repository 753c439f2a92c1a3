package expert

import (
	"context"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Document is what `inspect --json` shows of a file.
type Document struct {
	Version    int             `json:"version"`
	Alignment  int64           `json:"alignment"`   // bytes
	DataOffset int64           `json:"data_offset"` // byte offset of the (first shard's) data section
	Bytes      int64           `json:"bytes"`       // of the file, of all shards
	Metadata   []gguf.KeyValue `json:"metadata"`
	Tensors    []Tensor        `json:"tensors"`
	Experts    Summary         `json:"experts"`           // zero for a dense model
	Marked     bool            `json:"marked"`            // moeconv.expert.* is there and true
	Problem    string          `json:"problem,omitempty"` // why experts or marks cannot be believed
	Shards     []Shard         `json:"shards,omitempty"`  // of a set only
}

// Tensor is one tensor in a Document.
type Tensor struct {
	Name   string     `json:"name"`
	Type   string     `json:"type"`
	Shape  gguf.Shape `json:"shape"`  // innermost first
	Offset int64      `json:"offset"` // in the data section of its shard
	Bytes  int64      `json:"bytes"`
	Role   string     `json:"role"`
	Shard  int        `json:"shard,omitempty"` // index in Shards
	SHA256 string     `json:"sha256,omitempty"`
}

// Shard is one file of a set in a Document.
type Shard struct {
	Path       string `json:"path"`
	Bytes      int64  `json:"bytes"`
	DataOffset int64  `json:"data_offset"`
	Tensors    int    `json:"tensors"`
}

// InspectOptions say what to add to a Document.
type InspectOptions struct {
	Hash     bool                    // SHA-256 of each tensor; reads the whole file
	Progress func(done, total int64) // bytes hashed; may be nil
}

// Inspect describes a file. Experts that Find refuses are a Problem, not an error.
func Inspect(ctx context.Context, f *gguf.File, opts InspectOptions) (*Document, error) {
	d := &Document{
		Version: f.Version(), Alignment: f.Alignment(), DataOffset: f.DataOffset(), Bytes: f.Size(),
		Metadata: gguf.Describe(f.Metadata()),
		Tensors:  make([]Tensor, len(f.Tensors())),
	}
	if shards := f.Shards(); len(shards) > 1 {
		for _, s := range shards {
			d.Shards = append(d.Shards, Shard{s.Path, s.Size, s.DataOffset, s.Tensors})
		}
	}
	d.inspectExperts(f)
	var total, done int64
	for i, t := range f.Tensors() {
		total += t.Bytes()
		d.Tensors[i] = Tensor{
			Name: t.Name, Type: t.Type.String(), Shape: t.Shape, Offset: f.Offset(i), Bytes: t.Bytes(),
			Role: names.ClassOf(t.Name).String(), Shard: f.ShardOf(i),
		}
	}
	if !opts.Hash {
		return d, nil
	}
	for i := range d.Tensors {
		var err error
		if d.Tensors[i].SHA256, err = gguf.TensorSHA256(ctx, f, i); err != nil {
			return nil, err
		}
		if done += d.Tensors[i].Bytes; opts.Progress != nil {
			opts.Progress(done, total)
		}
	}
	return d, nil
}

func (d *Document) inspectExperts(f *gguf.File) {
	s, err := Find(f.Metadata(), f.Tensors())
	if err != nil {
		d.Problem = err.Error()
		return
	}
	d.Experts = s
	_, marked, _ := Read(f.Metadata())
	if err := Check(f.Metadata(), f.Tensors()); err != nil {
		d.Problem = err.Error()
		return
	}
	d.Marked = marked
}
