package quantize

import "github.com/moeconv/moeconv/gguf"

// Llama is llama-quantize's mixture, decision by decision.
func Llama(t Target) gguf.Type {
	base := t.Scheme.Base
	if t.Arch == architectureGLM5N && base.Quantized() &&
		containsAny(t.Tensor.Name, []string{"attn_q_a", "attn_q_b", "nextn.eh_proj"}) {
		return gguf.Q8_0
	}
	switch {
	case t.Category == Output || t.TiedOutput && t.Category == TokenEmbedding:
		return outputType(t)
	case t.Scheme.FileType == ftMXFP4MoE:
		if t.Tensor.Shape.NE(2) > 1 && (t.Arch != "bailingmoe3" || t.Category.feedForward()) {
			return gguf.MXFP4
		}
		return gguf.Q8_0
	case t.Category == TokenEmbedding:
		return embeddingType(t)
	case low(t.Scheme.FileType):
		return lowType(t)
	case t.Category.VLike():
		return valueType(t)
	case t.Category == AttnQ || t.Category == AttnK:
		return queryKeyType(t)
	case t.Category == Down:
		return downType(t)
	case t.Category == AttnOutput:
		return attnOutputType(t)
	case t.Category == Gate || t.Category == Up:
		if i, n := t.layer(), t.Blocks; t.Scheme.FileType == ftIQ3_XS && i >= n/8 && i < 7*n/8 {
			return gguf.IQ3_XXS
		}
	}
	return base
}

func (c Category) feedForward() bool { return c == Up || c == Gate || c == Down }

// low reports whether the file type is one of those below three bits, which have a mixture of their own.
func low(ft fileType) bool {
	switch ft {
	case ftIQ1_S, ftIQ1_M, ftIQ2_XXS, ftIQ2_XS, ftIQ2_S, ftIQ2_M:
		return true
	}
	return false
}

// layer is the index that decides how a feed-forward tensor is treated: its block in a
// mixture of experts, else its running number.
func (t Target) layer() int {
	if t.Experts > 1 {
		return t.Block
	}
	return t.Index
}

// moreBits picks the layers that the _M schemes treat better: the first and last eighth and every third between.
func moreBits(i, n int) bool { return i < n/8 || i >= 7*n/8 || (i-n/8)%3 == 2 }

func outputType(t Target) gguf.Type {
	ft, base := t.Scheme.FileType, t.Scheme.Base
	switch {
	case t.OutputTensorType != nil:
		return *t.OutputTensorType
	case ft == ftMXFP4MoE, t.Arch == "falcon", t.Tensor.Shape.NE(0)%int64(base.BlockLen()) != 0:
		return gguf.Q8_0
	case low(ft), ft == ftIQ3_XXS:
		return gguf.Q5_K
	case base != gguf.Q8_0:
		return gguf.Q6_K
	}
	return base
}

func embeddingType(t Target) gguf.Type {
	if t.TokenEmbeddingType != nil {
		return *t.TokenEmbeddingType
	}
	switch t.Scheme.FileType {
	case ftIQ2_XXS, ftIQ2_XS, ftIQ1_S, ftIQ1_M:
		return gguf.Q2_K
	case ftIQ2_S, ftIQ2_M, ftIQ3_XXS:
		return gguf.IQ3_S
	case ftTQ1_0, ftTQ2_0, ftQ2_0:
		return gguf.Q4_K
	}
	return t.Scheme.Base
}

// lowType is the mixture of the file types below three bits.
func lowType(t Target) gguf.Type {
	ft := t.Scheme.FileType
	better := gguf.Q2_K
	if ft == ftIQ2_S || ft == ftIQ2_M {
		better = gguf.IQ3_S
	}
	switch {
	case t.Category.VLike():
		if t.GQA >= 4 || t.Experts >= 4 {
			return gguf.Q4_K
		}
		return better
	case t.Category == AttnK && t.Experts == 8:
		return gguf.Q4_K
	case t.Category == Down && t.Index < t.Blocks/8:
		return better // by running number even among experts
	case t.Category == AttnOutput && t.Experts == 8:
		return gguf.Q5_K
	case t.Category == AttnOutput && (ft == ftIQ1_S || ft == ftIQ1_M):
		return gguf.IQ2_XXS
	case t.Category == AttnOutput && (ft == ftIQ2_S || ft == ftIQ2_M):
		return gguf.IQ3_S
	}
	return t.Scheme.Base
}

func valueType(t Target) gguf.Type {
	if t.Experts == 8 {
		return gguf.Q8_0
	}
	typ := valueBase(t)
	if t.Is70B && (typ == gguf.Q3_K || typ == gguf.Q4_K) {
		return gguf.Q5_K // eight query heads share these weights
	}
	return typ
}

func valueBase(t Target) gguf.Type {
	grouped := t.GQA >= 4
	switch t.Scheme.FileType {
	case ftQ2_K:
		if !grouped {
			return gguf.Q3_K
		}
		return gguf.Q4_K
	case ftIQ3_XXS:
		if !grouped && !t.Imatrix {
			return gguf.IQ3_S
		}
		if grouped {
			return gguf.Q4_K
		}
	case ftQ2_K_S, ftIQ3_XS, ftIQ3_S:
		if grouped {
			return gguf.Q4_K
		}
	case ftIQ3_M:
		return gguf.Q4_K
	case ftQ3_K_M:
		if t.Index < 2 {
			return gguf.Q5_K
		}
		return gguf.Q4_K
	case ftQ3_K_L:
		return gguf.Q5_K
	case ftIQ4_NL, ftIQ4_XS:
		if grouped {
			return gguf.Q5_K
		}
	case ftQ4_K_M, ftQ5_K_M:
		if moreBits(t.Index, t.VLike) {
			return gguf.Q6_K
		}
	case ftQ4_K_S:
		if t.Index < 4 {
			return gguf.Q5_K
		}
	}
	return t.Scheme.Base
}

func queryKeyType(t Target) gguf.Type {
	switch {
	case t.Category == AttnK && t.Experts == 8:
		return gguf.Q8_0
	case t.Scheme.FileType == ftIQ3_XS:
		return gguf.IQ3_XXS
	case t.Scheme.FileType == ftIQ3_XXS:
		return gguf.IQ2_S
	}
	return t.Scheme.Base
}

func downType(t Target) gguf.Type {
	i, n := t.layer(), t.Blocks
	early, falcon, base := i < n/8, t.Arch == "falcon", t.Scheme.Base
	pick := func(cond bool, yes, no gguf.Type) gguf.Type {
		if cond {
			return yes
		}
		return no
	}
	switch t.Scheme.FileType {
	case ftQ2_K:
		return gguf.Q3_K
	case ftQ2_K_S:
		return pick(early, gguf.Q4_K, base)
	case ftIQ3_XXS:
		if !t.Imatrix {
			return pick(early, gguf.Q4_K, gguf.Q3_K)
		}
	case ftQ3_K_M:
		if i < n/16 {
			return gguf.Q5_K
		}
		return pick(!falcon || moreBits(i, n), gguf.Q4_K, gguf.Q3_K)
	case ftIQ3_M:
		return pick(early || t.Experts == 8 && moreBits(i, n), gguf.Q4_K, base)
	case ftQ3_K_L:
		return pick(falcon, gguf.Q4_K, gguf.Q5_K)
	case ftQ4_K_M:
		if falcon {
			return pick(i < n/16, gguf.Q6_K, pick(moreBits(i, n), gguf.Q5_K, gguf.Q4_K))
		}
		return pick(moreBits(i, n), gguf.Q6_K, base)
	case ftIQ4_NL, ftIQ4_XS:
		return pick(early && !t.Imatrix, gguf.Q5_K, base)
	case ftQ5_K_M:
		return pick(moreBits(i, n), gguf.Q6_K, base)
	case ftQ4_K_S:
		return pick(early && !falcon, gguf.Q5_K, base)
	case ftQ4_0:
		return pick(early && t.Imatrix, gguf.Q4_1, base)
	case ftQ5_0:
		return pick(early && t.Imatrix, gguf.Q5_1, base)
	}
	return base
}

func attnOutputType(t Target) gguf.Type {
	ft, base := t.Scheme.FileType, t.Scheme.Base
	if t.Arch == "falcon" {
		if ft == ftQ3_K_L {
			return gguf.Q4_K
		}
		return base
	}
	if t.Experts == 8 {
		switch ft {
		case ftQ2_K, ftIQ3_XS, ftIQ3_XXS, ftQ3_K_S, ftQ3_K_M, ftIQ4_NL, ftQ4_K_S, ftQ4_K_M, ftIQ3_S, ftIQ3_M, ftIQ4_XS:
			return gguf.Q5_K
		}
		return base
	}
	switch ft {
	case ftQ2_K:
		return gguf.Q3_K
	case ftIQ3_XXS:
		return gguf.IQ3_S
	case ftQ3_K_M, ftIQ3_M:
		return gguf.Q4_K
	case ftQ3_K_L:
		return gguf.Q5_K
	}
	return base
}
