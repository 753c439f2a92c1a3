package expert

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
)

// The keys of the marks. Names and layers are arrays; a model without shared experts has no shared keys.
const (
	KeyNames       = "moeconv.expert.names"        // array of string: tensors that hold routed experts
	KeyLayers      = "moeconv.expert.layers"       // array of uint32: layers with routed experts
	KeyCount       = "moeconv.expert.count"        // uint32: experts in a layer
	KeyUsed        = "moeconv.expert.used_count"   // uint32: experts a token is routed to; absent when unknown
	KeyTensors     = "moeconv.expert.tensor_count" // uint32: length of names
	KeyBytes       = "moeconv.expert.bytes"        // uint64: encoded bytes of the tensors in names
	KeyShared      = "moeconv.expert.shared.names" // array of string: tensors of shared experts
	KeySharedBytes = "moeconv.expert.shared.bytes" // uint64
)

var keys = []string{KeyNames, KeyLayers, KeyCount, KeyUsed, KeyTensors, KeyBytes, KeyShared, KeySharedBytes}

// Tag is src with its experts marked in the metadata; tensors are untouched.
// Marks that were there are replaced, so tagging again after quantization
// corrects the bytes. It fails with ErrNone when there are no routed experts, and where Find fails.
func Tag(src gguf.Source) (gguf.Source, Summary, error) {
	s, err := Find(src.Metadata(), src.Tensors())
	if err != nil {
		return nil, s, err
	}
	if len(s.Names) == 0 {
		return nil, s, ErrNone
	}
	md := Untagged(src.Metadata())
	s.mark(md)
	return gguf.WithMetadata(src, md), s, nil
}

// Untagged is a copy of md without marks.
func Untagged(md *gguf.Metadata) *gguf.Metadata {
	c := md.Clone()
	for _, k := range keys {
		c.Delete(k)
	}
	return c
}

// mark sets the keys.
func (s Summary) mark(md *gguf.Metadata) {
	layers := make([]uint32, len(s.Layers))
	for i, l := range s.Layers {
		layers[i] = uint32(l)
	}
	md.Set(KeyNames, s.Names)
	md.Set(KeyLayers, layers)
	md.Set(KeyCount, uint32(s.Count))
	if s.Used > 0 {
		md.Set(KeyUsed, uint32(s.Used))
	}
	md.Set(KeyTensors, uint32(s.Tensors))
	md.Set(KeyBytes, uint64(s.Bytes))
	if len(s.Shared) > 0 {
		md.Set(KeyShared, s.Shared)
		md.Set(KeySharedBytes, uint64(s.SharedBytes))
	}
}

// Read reads the marks back. tagged is false when there are none; marks that
// are incomplete or of other types are an error naming the key.
func Read(md *gguf.Metadata) (s Summary, tagged bool, err error) {
	for _, k := range keys {
		if _, ok := md.Get(k); ok {
			tagged = true
		}
	}
	if !tagged {
		return s, false, nil
	}
	if s.Names, err = gguf.Value[[]string](md, KeyNames); err != nil {
		return s, true, fmt.Errorf("expert: %w", err)
	}
	layers, err := gguf.Value[[]uint32](md, KeyLayers)
	if err != nil {
		return s, true, fmt.Errorf("expert: %w", err)
	}
	for _, l := range layers {
		s.Layers = append(s.Layers, int(l))
	}
	for _, v := range []struct {
		key string
		to  *int
	}{{KeyCount, &s.Count}, {KeyTensors, &s.Tensors}, {KeyUsed, &s.Used}} {
		n, err := gguf.Value[uint32](md, v.key)
		if _, ok := md.Get(v.key); !ok && v.key == KeyUsed {
			continue
		}
		if err != nil {
			return s, true, fmt.Errorf("expert: %w", err)
		}
		*v.to = int(n)
	}
	if s.Tensors != len(s.Names) {
		return s, true, fmt.Errorf("expert: %s is %d but %s has %d", KeyTensors, s.Tensors, KeyNames, len(s.Names))
	}
	return s, true, s.readBytes(md)
}

// readBytes reads the sizes and what is shared.
func (s *Summary) readBytes(md *gguf.Metadata) error {
	n, err := gguf.Value[uint64](md, KeyBytes)
	if err != nil {
		return fmt.Errorf("expert: %w", err)
	}
	s.Bytes = int64(n)
	if _, ok := md.Get(KeyShared); !ok {
		return nil
	}
	if s.Shared, err = gguf.Value[[]string](md, KeyShared); err != nil {
		return fmt.Errorf("expert: %w", err)
	}
	if n, err = gguf.Value[uint64](md, KeySharedBytes); err != nil {
		return fmt.Errorf("expert: %w", err)
	}
	s.SharedBytes = int64(n)
	return nil
}

// Check compares the marks of a model with its tensors: nil when there are no marks or they are true.
func Check(md *gguf.Metadata, ts []gguf.TensorInfo) error {
	marked, tagged, err := Read(md)
	if err != nil || !tagged {
		return err
	}
	found, err := Find(md, ts)
	if err != nil {
		return err
	}
	switch {
	case !slices.Equal(marked.Names, found.Names):
		return fmt.Errorf("expert: %s names %d tensors, the model has %d or others", KeyNames, len(marked.Names), len(found.Names))
	case !slices.Equal(marked.Layers, found.Layers):
		return fmt.Errorf("expert: %s is %v, want %v", KeyLayers, marked.Layers, found.Layers)
	case marked.Count != found.Count:
		return fmt.Errorf("expert: %s is %d, want %d", KeyCount, marked.Count, found.Count)
	case marked.Used != found.Used:
		return fmt.Errorf("expert: %s is %d, want %d", KeyUsed, marked.Used, found.Used)
	case marked.Bytes != found.Bytes:
		return fmt.Errorf("expert: %s is %d, want %d", KeyBytes, marked.Bytes, found.Bytes)
	case !slices.Equal(marked.Shared, found.Shared):
		return fmt.Errorf("expert: %s is %q, want %q", KeyShared, marked.Shared, found.Shared)
	case marked.SharedBytes != found.SharedBytes:
		return fmt.Errorf("expert: %s is %d, want %d", KeySharedBytes, marked.SharedBytes, found.SharedBytes)
	}
	return nil
}
