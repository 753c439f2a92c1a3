package quantize

import (
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// quantizationVersion is the generation of ggml's block formats (GGML_QNT_VERSION).
const quantizationVersion = 2

// metadata is the source's with the keys that llama-quantize writes. It moves each to the end: replacing a key in
// the reference's writer means removing and appending it.
func metadata(src *gguf.Metadata, ts []gguf.TensorInfo, order []int, s Scheme, o Options) *gguf.Metadata {
	md := src.Clone()
	set := func(key string, v any) {
		md.Delete(key)
		md.Set(key, v)
	}
	ft := s.FileType
	if s.Copy {
		ft = sourceFileType(src, ts, order)
	}
	set("general.quantization_version", uint32(quantizationVersion))
	set("general.file_type", ft)
	for _, key := range []string{"split.no", "split.count", "split.tensors.count"} {
		md.Delete(key)
	}
	for _, kv := range o.KV {
		set(kv.Key, kv.Value)
	}
	if o.Imatrix.Len() == 0 {
		return md
	}
	name := o.ImatrixName
	if name == "" {
		name = o.Imatrix.Name()
	}
	set("quantize.imatrix.file", clip(base(name)))
	if d := o.Imatrix.Datasets(); len(d) > 0 {
		set("quantize.imatrix.dataset", clip(base(d[0])))
	}
	set("quantize.imatrix.entries_count", uint32(o.Imatrix.Len()))
	if n := o.Imatrix.Chunks(); n > 0 {
		set("quantize.imatrix.chunks_count", uint32(n))
	}
	return md
}

// base is the last part of a path, of whichever system it is: a published file says nothing of the machine that made it.
func base(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }

// clip cuts at 127 bytes, the room that the reference has for a value.
func clip(s string) string { return s[:min(len(s), 127)] }

// commonFileTypes are the file types that the reference infers from the most common type of tensors.
var commonFileTypes = map[gguf.Type]fileType{
	gguf.F16: 1, gguf.BF16: 32, gguf.Q4_0: ftQ4_0, gguf.Q4_1: 3, gguf.Q5_0: ftQ5_0, gguf.Q5_1: 9, gguf.Q8_0: 7,
	gguf.Q2_K: ftQ2_K, gguf.Q3_K: ftQ3_K_M, gguf.Q4_K: ftQ4_K_M, gguf.Q5_K: ftQ5_K_M, gguf.Q6_K: 18,
	gguf.TQ1_0: ftTQ1_0, gguf.TQ2_0: ftTQ2_0, gguf.IQ2_XXS: ftIQ2_XXS, gguf.IQ2_XS: ftIQ2_XS, gguf.IQ2_S: ftIQ2_S,
	gguf.IQ3_XXS: ftIQ3_XXS, gguf.IQ1_S: ftIQ1_S, gguf.IQ1_M: ftIQ1_M, gguf.IQ4_NL: ftIQ4_NL, gguf.IQ4_XS: ftIQ4_XS,
	gguf.IQ3_S: ftIQ3_S, gguf.NVFP4: 39, gguf.Q1_0: 40, gguf.Q2_0: ftQ2_0,
}

// sourceFileType is what COPY writes: the source's own file type, else one inferred from its tensors and marked so.
func sourceFileType(md *gguf.Metadata, ts []gguf.TensorInfo, order []int) fileType {
	if v, err := md.Int("general.file_type"); err == nil {
		return fileType(v)
	}
	common, seen := gguf.F32, map[gguf.Type]int{}
	for _, i := range order {
		t := ts[i].Type
		if seen[t]++; seen[t] > seen[common] {
			common = t
		}
	}
	return commonFileTypes[common] | guessed
}
