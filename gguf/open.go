package gguf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// File is an open GGUF file, or all shards of a set as one. It is a Source and
// a Ranger; all methods may be called concurrently.
type File struct {
	version   int
	alignment int64
	md        *Metadata
	tensors   []TensorInfo
	at        []place // parallel to tensors
	shards    []Shard
	files     []*os.File // parallel to shards
}

// place is where a tensor's data lies: offset within the data section of a shard.
type place struct {
	shard int
	off   int64
}

// Shard describes one file of a set. A file that is not split is its own only shard.
type Shard struct {
	Path       string
	Size       int64 // bytes of the file
	DataOffset int64 // byte offset of the data section
	Tensors    int   // number of tensors whose data lie here
}

// Open reads the header of the GGUF file name; any shard of a set
// NAME-00001-of-0000N.gguf opens the whole set. Every tensor is proven to lie
// inside of its file before Open returns. Errors wrap a *FormatError (not valid
// GGUF), an *UnsupportedError (big-endian, other versions) or the system's error.
func Open(name string) (*File, error) {
	f := &File{}
	h, err := f.openShard(name)
	if err == nil {
		err = f.assemble(name, h)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenShard opens one file alone, be it a shard of a set: its own tensors, its
// metadata as they stand (split.* keys among them). The other shards need not exist.
func OpenShard(name string) (*File, error) {
	f := &File{}
	h, err := f.openShard(name)
	if err != nil {
		f.Close()
		return nil, err
	}
	f.version, f.alignment, f.md = h.version, h.alignment, h.md
	f.add(h, 0)
	return f, nil
}

// openShard opens name, reads its header and keeps the file in f.files.
func (f *File) openShard(name string) (*header, error) {
	if err := requireFile(os.Stat(name)); err != nil { // opening a pipe would wait for its writer
		return nil, fmt.Errorf("gguf: %w", err)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	f.files = append(f.files, file)
	st, err := file.Stat()
	if err := requireFile(st, err); err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	h, err := readHeader(file, st.Size())
	if err != nil {
		return nil, fmt.Errorf("gguf: %s: %w", name, err)
	}
	f.shards = append(f.shards, Shard{Path: name, Size: st.Size(), DataOffset: h.dataOffset, Tensors: len(h.tensors)})
	return h, nil
}

// requireFile fails on what Stat fails on and on what cannot be read at any offset.
func requireFile(st os.FileInfo, err error) error {
	switch {
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("%s is a directory", st.Name())
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", st.Name())
	}
	return nil
}

// assemble fills f from the header of name and, where it is one of a set, from the other shards' headers.
func (f *File) assemble(name string, h *header) error {
	n, err := splitCount(h.md)
	if err != nil {
		return fmt.Errorf("gguf: %s: %w", name, err)
	}
	if n > 1 {
		return f.assembleSet(name, h, n)
	}
	if err := requireArchitecture(h.md); err != nil {
		return fmt.Errorf("gguf: %s: %w", name, err)
	}
	f.version, f.alignment, f.md = h.version, h.alignment, h.md
	if count, err := h.md.Int(keySplitCount); err == nil && count == 1 {
		f.md = withoutSplit(h.md) // a set of one
	}
	f.add(h, 0)
	return nil
}

// add appends the tensors of one shard.
func (f *File) add(h *header, shard int) {
	f.tensors = append(f.tensors, h.tensors...)
	for _, off := range h.offsets {
		f.at = append(f.at, place{shard, off})
	}
}

// requireArchitecture fails on a model without general.architecture; other kinds of files (importance matrices) need none.
func requireArchitecture(md *Metadata) error {
	if kind, err := Value[string](md, "general.type"); err == nil && kind != "model" {
		return nil
	}
	_, err := md.Architecture()
	return err
}

// Close closes all shards.
func (f *File) Close() error {
	var errs []error
	for _, file := range f.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// Metadata is the file's metadata; a set's without the split.* keys.
func (f *File) Metadata() *Metadata { return f.md }

// Tensors lists the tensors in file order, shard after shard.
func (f *File) Tensors() []TensorInfo { return f.tensors }

// Version is the version of the format, 2 or 3 (of the first shard).
func (f *File) Version() int { return f.version }

// Alignment is the alignment of tensor data in bytes.
func (f *File) Alignment() int64 { return f.alignment }

// DataOffset is the byte offset of the (first shard's) data section.
func (f *File) DataOffset() int64 { return f.shards[0].DataOffset }

// Offset is the offset of a tensor's data in the data section of its shard.
func (f *File) Offset(tensor int) int64 { return f.at[tensor].off }

// ShardOf is the index in Shards of the file that holds a tensor.
func (f *File) ShardOf(tensor int) int { return f.at[tensor].shard }

// Shards lists the files, one for a file that is not split.
func (f *File) Shards() []Shard { return f.shards }

// ShardData reads the bytes of a shard, its header too, until Close.
func (f *File) ShardData(shard int) io.ReaderAt { return f.files[shard] }

// Bare is f without its metadata, which take tens of MB in large vocabularies: for those who hold many files open. It
// shares f's handles.
func (f *File) Bare() *File {
	bare := *f
	bare.md = &Metadata{}
	return &bare
}

// Size is the total size of all shards in bytes.
func (f *File) Size() int64 {
	var n int64
	for _, s := range f.shards {
		n += s.Size
	}
	return n
}

// Range is where a tensor's bytes lie: n bytes at off of r, which stays valid until Close.
func (f *File) Range(tensor int) (r io.ReaderAt, off, n int64, ok bool) {
	if tensor < 0 || tensor >= len(f.tensors) {
		return nil, 0, 0, false
	}
	p := f.at[tensor]
	return f.files[p.shard], f.shards[p.shard].DataOffset + p.off, f.tensors[tensor].Bytes(), true
}

// ReadRows reads rows of a tensor as they are encoded in the file.
func (f *File) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := CheckRows(f.tensors, tensor, row, n, dst); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r, off, _, _ := f.Range(tensor)
	off += int64(row) * f.tensors[tensor].RowBytes()
	if got, err := r.ReadAt(dst, off); got < len(dst) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the file was whole when it was opened
		}
		return fmt.Errorf("gguf: %s: tensor %q: %w", f.shards[f.at[tensor].shard].Path, f.tensors[tensor].Name, err)
	}
	return nil
}
