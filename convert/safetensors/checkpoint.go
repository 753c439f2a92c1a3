// Package safetensors reads the weight files of a HuggingFace checkpoint over an
// fs.FS: one file, a set of shards, or shards named by an index. Headers, byte
// ranges and the index are checked when the checkpoint is opened, so that no work
// starts on weights that are incomplete; tensor data is read by offset only.
//
// The headers are parsed by nlpodyssey/safetensors, whose own entry points want the
// whole file in memory and refuse dtypes of less than 16 bits of float; hence this wrapper.
package safetensors

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// Tensor is one tensor of a checkpoint.
type Tensor struct {
	Name  string
	DType DType
	Shape []int64 // outermost dimension first, as in the file
	Shard string  // the file that holds it
	Off   int64   // of its first byte in that file
	Size  int64   // in bytes
}

// ShardInfo is one weight file.
type ShardInfo struct {
	Name string
	Size int64 // in bytes
}

// Checkpoint is an open set of weight files. Its methods but Close may be called from many goroutines.
type Checkpoint struct {
	shards  []*shard
	byShard map[string]*shard
	tensors []Tensor
	byName  map[string]int
	strays  []string
}

// Open opens the checkpoint at the root of fsys and checks all headers. The files are
// those that the reference converter reads: the ones named by
// model.safetensors.index.json or, without it, all model*.safetensors. An error is a
// *FormatError that names file and tensor, or an *UnsupportedError where there are
// weights of another format only.
func Open(fsys fs.FS) (*Checkpoint, error) {
	c := &Checkpoint{byShard: map[string]*shard{}, byName: map[string]int{}}
	if err := c.open(fsys); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Checkpoint) open(fsys fs.FS) error {
	idx, err := readIndex(fsys)
	if err != nil {
		return err
	}
	var names []string
	if idx != nil {
		names = idx.shards
		if err := idx.checkShards(fsys); err != nil {
			return err
		}
	} else if names, err = partNames(fsys); err != nil {
		return err
	}
	for _, name := range names {
		if err := c.add(fsys, name); err != nil {
			return err
		}
	}
	if idx != nil {
		if err := idx.check(c); err != nil {
			return err
		}
	}
	return c.findStrays(fsys)
}

// add opens a shard and appends its tensors by name, as the reference reads them.
func (c *Checkpoint) add(fsys fs.FS, name string) error {
	s, err := openShard(fsys, name)
	if err != nil {
		return err
	}
	c.shards = append(c.shards, s)
	c.byShard[name] = s
	ts, err := readHeader(name, s, s.size)
	if err != nil {
		return err
	}
	slices.SortFunc(ts, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	for _, t := range ts {
		if i, ok := c.byName[t.Name]; ok {
			return tensorErrorf("", t.Name, "is in two shards, %s and %s", c.tensors[i].Shard, name)
		}
		c.byName[t.Name] = len(c.tensors)
		c.tensors = append(c.tensors, t)
	}
	return nil
}

// Tensors lists all tensors in the order in which the reference converter reads
// them: shards by name, within a shard tensors by name. The caller must not change the slice.
func (c *Checkpoint) Tensors() []Tensor { return c.tensors }

// Tensor is the tensor of that name.
func (c *Checkpoint) Tensor(name string) (Tensor, bool) {
	i, ok := c.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return c.tensors[i], true
}

// Shards lists the weight files in reading order.
func (c *Checkpoint) Shards() []ShardInfo {
	infos := make([]ShardInfo, len(c.shards))
	for i, s := range c.shards {
		infos[i] = ShardInfo{s.name, s.size}
	}
	return infos
}

// ReadAt fills p with t's bytes from byte off of the tensor on. It is an error to reach beyond the tensor.
func (c *Checkpoint) ReadAt(t Tensor, p []byte, off int64) error {
	s := c.byShard[t.Shard]
	if s == nil {
		return tensorErrorf(t.Shard, t.Name, "no such shard in this checkpoint")
	}
	if off < 0 || off > t.Size || int64(len(p)) > t.Size-off {
		return tensorErrorf(t.Shard, t.Name, "%d bytes at %d lie outside of its %d", len(p), off, t.Size)
	}
	n, err := s.ReadAt(p, t.Off+off)
	if n == len(p) {
		return nil // io.ReaderAt may report io.EOF with the last byte
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the size was checked when the file was opened
	}
	return fmt.Errorf("safetensors: %s: tensor %q: at byte %d of the file: %w", t.Shard, t.Name, t.Off+off+int64(n), err)
}

// Close closes the weight files.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, s := range c.shards {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
