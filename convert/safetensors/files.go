package safetensors

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
)

// OpenFiles opens the named weight files at the root of fsys, whatever they are called and whatever an index says. They
// are read by name, in whatever order they are given; other weight files beside them are Strays.
func OpenFiles(fsys fs.FS, names []string) (*Checkpoint, error) {
	c := &Checkpoint{byShard: map[string]*shard{}, byName: map[string]int{}}
	err := c.openFiles(fsys, slices.Sorted(slices.Values(names)))
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Checkpoint) openFiles(fsys fs.FS, names []string) error {
	for i, name := range names {
		if i > 0 && names[i-1] == name {
			return fileErrorf(name, "is given twice")
		}
		if err := c.add(fsys, name); err != nil {
			return err
		}
	}
	return c.findStrays(fsys)
}

// OpenPresent opens a checkpoint of which the index names shards that are not there, and lists the tensors they
// should hold. Whether those are needed is the caller's to say. Everything else is checked as Open does.
func OpenPresent(fsys fs.FS) (c *Checkpoint, absent []string, err error) {
	idx, err := readIndex(fsys)
	if err != nil || idx == nil {
		return nil, nil, errors.Join(err, fileErrorf(indexName, "no such file"))
	}
	for _, shard := range idx.shards {
		if _, err := fs.Stat(fsys, shard); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, tensor := range slices.Sorted(maps.Keys(idx.where)) {
			if idx.where[tensor] == shard {
				absent = append(absent, tensor)
				delete(idx.where, tensor)
			}
		}
	}
	c = &Checkpoint{byShard: map[string]*shard{}, byName: map[string]int{}}
	if err = c.openFiles(fsys, slices.Sorted(maps.Keys(idx.counts()))); err == nil {
		err = idx.check(c)
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, absent, nil
}
