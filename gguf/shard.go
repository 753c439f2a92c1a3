package gguf

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// SplitStyle is whose rules of splitting to follow: where to cut, and the order of the split.* keys.
type SplitStyle uint8

// The styles. Their differences are small, but a set is to equal that of the tool it stands in for.
const (
	// SplitAsConverter is the reference converter's: sizes without padding, a shard is closed when the next tensor would not fit.
	SplitAsConverter SplitStyle = iota
	// SplitAsTool is llama-gguf-split's: sizes padded to 32, cuts at fixed multiples of SplitMaxTensors.
	SplitAsTool
	// SplitAsQuantizer is that of llama-quantize --keep-split, with SplitAt.
	SplitAsQuantizer
)

// split plans the files of an output: itself, or its shards.
func split(name string, src Source, opts FileOptions) ([]*part, error) {
	ts := src.Tensors()
	cuts, err := cut(ts, opts)
	if err != nil {
		return nil, err
	}
	if len(cuts) == 1 && !opts.Set {
		plan, err := Layout(src.Metadata(), ts)
		if opts.Unpadded && len(ts) == 0 {
			plan.Size = plan.HeaderSize
		}
		return []*part{{path: name, src: src, plan: plan}}, err
	}
	prefix := strings.TrimSuffix(name, ".gguf")
	var parts []*part
	first := 0
	for i, end := range cuts {
		md := &Metadata{}
		if i == 0 {
			md = withoutSplit(src.Metadata())
		} else if a, ok := src.Metadata().Get("general.alignment"); ok && opts.SplitStyle != SplitAsQuantizer {
			md.Set("general.alignment", a)
		}
		addSplit(md, opts.SplitStyle, i, len(cuts), len(ts))
		window := newWindow(src, md, first, end)
		plan, err := Layout(md, window.Tensors())
		if err != nil {
			return nil, err
		}
		parts = append(parts, &part{path: ShardName(prefix, i, len(cuts)), src: window, first: first, plan: plan})
		first = end
	}
	return parts, nil
}

// Shards are the files of an output as outputs of their own: a part of a set that is written on another machine has the
// bytes that it has in a run which writes the whole set.
func (o Output) Shards() ([]Output, error) {
	parts, err := split(o.Name, o.Source, o.Options)
	if err != nil {
		return nil, err
	}
	out := make([]Output, len(parts))
	for i, p := range parts {
		out[i] = Output{Name: p.path, Source: p.src, Options: FileOptions{Force: o.Options.Force}, Key: o.Key}
	}
	return out, nil
}

// addSplit sets the keys of shard i of n.
func addSplit(md *Metadata, style SplitStyle, i, n, tensors int) {
	md.Set(keySplitNo, uint16(i))
	if style != SplitAsTool {
		md.Set(keySplitCount, uint16(n))
	}
	md.Set(keySplitTensors, int32(tensors))
	if style == SplitAsTool {
		md.Set(keySplitCount, uint16(n)) // that tool sets it last, when it knows it
	}
}

// cut is the index behind the last tensor of each shard.
func cut(ts []TensorInfo, opts FileOptions) ([]int, error) {
	if opts.SplitAt != nil {
		return cutAt(ts, opts.SplitAt)
	}
	var cuts []int
	if opts.MetadataFirst {
		cuts = append(cuts, 0)
	}
	var size int64
	start := 0
	for i, t := range ts {
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("gguf: %w", err)
		}
		n := t.Bytes()
		if opts.SplitStyle == SplitAsTool {
			n = pad(min(n, math.MaxInt64-defaultAlignment), defaultAlignment)
		}
		if i > start && opts.cutBefore(i, i-start, size, n) {
			cuts = append(cuts, i)
			start, size = i, 0
		}
		size = min(size, math.MaxInt64-n) + n
	}
	cuts = append(cuts, len(ts))
	if len(cuts) > maxShards || len(ts) > math.MaxInt32 {
		return nil, fmt.Errorf("gguf: %d shards of %d tensors are too many", len(cuts), len(ts))
	}
	return cuts, nil
}

// cutAt is ends, checked.
func cutAt(ts []TensorInfo, ends []int) ([]int, error) {
	at := 0
	for _, end := range ends {
		if end < at || end > len(ts) {
			return nil, fmt.Errorf("gguf: cut behind tensor %d of %d", end, len(ts))
		}
		at = end
	}
	if at != len(ts) || len(ends) > maxShards {
		return nil, fmt.Errorf("gguf: %d shards end at tensor %d of %d", len(ends), at, len(ts))
	}
	return ends, nil
}

// cutBefore reports whether tensor i, of n bytes, opens a new shard after one of count tensors and size bytes.
func (o FileOptions) cutBefore(i, count int, size, n int64) bool {
	if o.SplitMaxSize > 0 && n > o.SplitMaxSize-size {
		return true
	}
	if o.SplitMaxTensors <= 0 {
		return false
	}
	if o.SplitStyle == SplitAsTool {
		return i%o.SplitMaxTensors == 0
	}
	return count >= o.SplitMaxTensors
}

// window is some of a source's tensors with other metadata.
type window struct {
	src     Source
	md      *Metadata
	first   int
	tensors []TensorInfo
}

func newWindow(src Source, md *Metadata, first, end int) *window {
	return &window{src, md, first, src.Tensors()[first:end]}
}

func (w *window) Metadata() *Metadata   { return w.md }
func (w *window) Tensors() []TensorInfo { return w.tensors }
func (w *window) Units(tensor int) int  { return Units(w.src, w.first+tensor) }

func (w *window) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := CheckRows(w.tensors, tensor, row, n, dst); err != nil {
		return err
	}
	return w.src.ReadRows(ctx, w.first+tensor, row, n, dst)
}
