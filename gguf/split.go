package gguf

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
)

// The keys by which every shard of a set says where it belongs.
const (
	keySplitNo      = "split.no"            // uint16, from 0
	keySplitCount   = "split.count"         // uint16, number of shards
	keySplitTensors = "split.tensors.count" // int32, over all shards
)

// maxShards is the largest number of shards whose names stay five digits wide and whose count fits its key.
const maxShards = 65535

var shardName = regexp.MustCompile(`^(.*)-([0-9]{5})-of-([0-9]{5})\.gguf$`)

// ShardName is the name of shard i (from 0) of n: prefix-00001-of-00003.gguf.
func ShardName(prefix string, i, n int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", prefix, i+1, n)
}

// ParseShardName takes ShardName's result apart; ok is false for the name of a file that is not one of a set.
func ParseShardName(name string) (prefix string, i, n int, ok bool) {
	dir, base := filepath.Split(name)
	m := shardName.FindStringSubmatch(base)
	if m == nil {
		return "", 0, 0, false
	}
	i, _ = strconv.Atoi(m[2])
	n, _ = strconv.Atoi(m[3])
	if i < 1 || i > n {
		return "", 0, 0, false
	}
	return dir + m[1], i - 1, n, true
}

// splitCount is the number of shards that metadata state; 1 where they state none, or 0 as llama-gguf-split --merge leaves it.
func splitCount(md *Metadata) (int, error) {
	if _, ok := md.Get(keySplitCount); !ok {
		return 1, nil
	}
	n, err := md.Int(keySplitCount)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > maxShards {
		return 0, fmt.Errorf("%s is %d", keySplitCount, n)
	}
	return max(1, int(n)), nil
}

// assembleSet opens all n shards of the set that name, whose header is h, belongs to.
func (f *File) assembleSet(name string, h *header, n int) error {
	prefix, mine, count, ok := ParseShardName(name)
	if !ok {
		return fmt.Errorf("gguf: %s: is one of %d shards (split.count) but is not named like one (NAME-00001-of-%05d.gguf)", name, n, n)
	}
	if count != n {
		return fmt.Errorf("gguf: %s: named as one of %d shards but split.count is %d", name, count, n)
	}
	opened, first := f.files[0], f.shards[0]
	f.files, f.shards = nil, nil
	headers := make([]*header, n)
	for i := range n {
		if i == mine {
			f.files, f.shards, headers[i] = append(f.files, opened), append(f.shards, first), h
			continue
		}
		hi, err := f.openShard(ShardName(prefix, i, n))
		if err != nil {
			if i < mine {
				f.files = append(f.files, opened) // so that Close finds it
			}
			return fmt.Errorf("gguf: shard %d of %d is missing or damaged: %w", i+1, n, err)
		}
		headers[i] = hi
	}
	return f.join(headers)
}

// join merges the headers of a set, first shard first.
func (f *File) join(headers []*header) error {
	first := headers[0]
	seen := map[string]int{}
	for i, h := range headers {
		if err := checkShard(h, i, len(headers)); err != nil {
			return fmt.Errorf("gguf: %s: %w", f.shards[i].Path, err)
		}
		for _, t := range h.tensors {
			if j, dup := seen[t.Name]; dup {
				return fmt.Errorf("gguf: %s: tensor %q is also in %s", f.shards[i].Path, t.Name, f.shards[j].Path)
			}
			seen[t.Name] = i
		}
		f.add(h, i)
	}
	for i, h := range headers {
		if want, err := h.md.Int(keySplitTensors); err == nil && want != int64(len(f.tensors)) {
			return fmt.Errorf("gguf: %s: %s is %d but the %d shards hold %d tensors", f.shards[i].Path, keySplitTensors, want, len(headers), len(f.tensors))
		}
	}
	if err := requireArchitecture(first.md); err != nil {
		return fmt.Errorf("gguf: %s: %w", f.shards[0].Path, err)
	}
	f.version, f.alignment, f.md = first.version, first.alignment, withoutSplit(first.md)
	return nil
}

// checkShard fails when a shard's keys disagree with its place in the set.
func checkShard(h *header, i, n int) error {
	count, err := h.md.Int(keySplitCount)
	if err != nil {
		return err
	}
	if count != int64(n) {
		return fmt.Errorf("%s is %d, other shards say %d", keySplitCount, count, n)
	}
	no, err := h.md.Int(keySplitNo)
	if err != nil {
		return err
	}
	if no != int64(i) {
		return fmt.Errorf("is named as shard %d of %d but its %s is %d (want %d)", i+1, n, keySplitNo, no, i)
	}
	return nil
}

// withoutSplit is md without the keys that only concern shards.
func withoutSplit(md *Metadata) *Metadata {
	c := md.Clone()
	for _, k := range []string{keySplitNo, keySplitCount, keySplitTensors} {
		c.Delete(k)
	}
	return c
}

// AsMerged is md with the keys that llama-gguf-split --merge leaves in a merged
// file of so many tensors; a split.count of 0 says that there are no shards.
func AsMerged(md *Metadata, tensors int) *Metadata {
	c := withoutSplit(md)
	c.Set(keySplitNo, uint16(0))
	c.Set(keySplitTensors, int32(tensors))
	c.Set(keySplitCount, uint16(0))
	return c
}
