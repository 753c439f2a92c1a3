package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// indexName is the file that says which shard holds which tensor.
const indexName = "model.safetensors.index.json"

// index is the weight map of a checkpoint of several shards.
type index struct {
	where  map[string]string // tensor -> shard
	shards []string          // sorted
}

// readIndex reads the index; nil when there is none.
func readIndex(fsys fs.FS) (*index, error) {
	text, err := readText(fsys, indexName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	idx := &index{where: map[string]string{}}
	found := false
	err = scanObject(text, func(key string, value []byte, _ int) error {
		if key != "weight_map" {
			return nil
		}
		found = true
		if value[0] != '{' {
			return fileErrorf(indexName, "weight_map is %s, not an object", clip(value))
		}
		return scanObject(value, idx.add)
	})
	var bad *FormatError
	var dup *repeatedKeyError
	switch {
	case errors.As(err, &bad):
		return nil, err
	case errors.As(err, &dup):
		return nil, fileErrorf(indexName, "%v", err)
	case err != nil:
		return nil, fileErrorf(indexName, "not valid JSON: %v", err)
	case !found:
		return nil, fileErrorf(indexName, "no weight_map (it names the shard of each tensor)")
	case len(idx.where) == 0:
		return nil, fileErrorf(indexName, "weight_map is empty")
	}
	idx.shards = slices.Sorted(maps.Keys(idx.counts()))
	return idx, nil
}

// readText reads a small text file: no more than maxHeader bytes, no git-lfs pointer.
func readText(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fileErrorf(name, "%s", cause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHeader+1))
	if err != nil {
		return nil, fileErrorf(name, "%s", cause(err))
	}
	if len(text) > maxHeader {
		return nil, fileErrorf(name, "file exceeds %d bytes", maxHeader)
	}
	return text, checkPointer(name, text[:min(len(text), 200)])
}

// add takes one entry of the weight map. Shards are files of the checkpoint: the
// name must not lead out of its directory.
func (x *index) add(tensor string, value []byte, _ int) error {
	var shard string
	if err := json.Unmarshal(value, &shard); err != nil || value[0] != '"' {
		return tensorErrorf(indexName, tensor, "shard name %s is not a string", clip(value))
	}
	if !fs.ValidPath(shard) || shard == "." || strings.ContainsAny(shard, `\:`) {
		if clean := path.Clean(strings.ReplaceAll(shard, `\`, "/")); path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
			return fileErrorf(indexName, "shard name %q leaves the model directory (tensor %q)", shard, tensor)
		}
		return fileErrorf(indexName, "shard name %q is not a plain file name (tensor %q)", shard, tensor)
	}
	x.where[tensor] = shard
	return nil
}

// counts is the number of tensors the index expects in each shard.
func (x *index) counts() map[string]int {
	n := map[string]int{}
	for _, shard := range x.where {
		n[shard]++
	}
	return n
}

// checkShards makes sure that all shards are there before the first is opened.
func (x *index) checkShards(fsys fs.FS) error {
	var missing []string
	for _, name := range x.shards {
		if _, err := fs.Stat(fsys, name); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	n, counts := 0, x.counts()
	for _, name := range missing {
		n += counts[name]
	}
	return fileErrorf(indexName, "missing %s, named by the index for %d of %d tensors (unfinished download?)", listShards(missing), n, len(x.where))
}

func listShards(names []string) string {
	const most = 4
	s := "shard " + strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		s += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return s
}

// check compares the index with what the shards hold, both ways.
func (x *index) check(c *Checkpoint) error {
	for _, tensor := range slices.Sorted(maps.Keys(x.where)) {
		t, ok := c.Tensor(tensor)
		switch shard := x.where[tensor]; {
		case !ok:
			return tensorErrorf(indexName, tensor, "is named by the index but is in no shard (%s should hold it)", shard)
		case t.Shard != shard:
			return tensorErrorf(indexName, tensor, "should be in %s but is in %s", shard, t.Shard)
		}
	}
	for _, t := range c.tensors {
		if _, ok := x.where[t.Name]; !ok {
			return tensorErrorf(t.Shard, t.Name, "is in the shard but not in %s", indexName)
		}
	}
	return nil
}
