package quantize

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// MoE is our own mixture for mixtures of experts. A token passes all of the always-active path but only a few of the routed
// experts, which are most of the file: bits are cheap in the one and dear in the other. llama-quantize's mixture knows
// experts only where there are exactly eight.
//
//	part                                      base below 4 bits   from 4 bits   from 6 bits
//	routed experts, gate and up               base                base          base
//	routed experts, down, more-bits blocks    base, in _M and _L schemes one step up
//	attention, shared experts, dense blocks,
//	the router's side and what else there is  Q6_K                Q8_0          Q8_0
//	output                                    Q6_K                Q6_K          Q8_0
//	token embedding                           Q4_K                Q6_K          Q8_0
//
// The more-bits blocks are Llama's: the first and last eighth, and every third between. Apart from the routed experts no
// tensor gets fewer bits than by Llama. Routers themselves are never quantized. A dense model is treated as by Llama.
func MoE(t Target) gguf.Type {
	theirs := Llama(t)
	if t.Experts < 2 || t.TokenEmbeddingType != nil && t.Category == TokenEmbedding || t.OutputTensorType != nil && t.TiedOutput {
		return theirs
	}
	level := 0
	switch b := t.Scheme.Base.BitsPerWeight(); {
	case b >= 6:
		level = 2
	case b >= 4:
		level = 1
	}
	ours := [...]gguf.Type{gguf.Q6_K, gguf.Q8_0, gguf.Q8_0}[level]
	switch {
	case names.ClassOf(t.Tensor.Name) == names.RoutedExpert:
		return routedType(t)
	case t.Category == Output || t.TiedOutput && t.Category == TokenEmbedding:
		ours = [...]gguf.Type{gguf.Q6_K, gguf.Q6_K, gguf.Q8_0}[level]
	case t.Category == TokenEmbedding:
		ours = [...]gguf.Type{gguf.Q4_K, gguf.Q6_K, gguf.Q8_0}[level]
	}
	if theirs.BitsPerWeight() > ours.BitsPerWeight() {
		return theirs
	}
	return ours
}

// routedType is the type of routed experts: the scheme's base, and for down projections the step above it where the
// scheme's name asks for more.
func routedType(t Target) gguf.Type {
	base, ft := t.Scheme.Base, t.Scheme.FileType
	switch up, ok := stepUp[ft]; {
	case ft == ftIQ3_XS && t.Category != Down: // between two bases: Llama's own choice of blocks
		return Llama(t)
	case ok && t.Category == Down && (ft == ftQ3_K_L || moreBits(t.Block, t.Blocks)):
		return up
	}
	return base
}

// stepUp are the types above the bases of schemes that ask for more.
var stepUp = map[fileType]gguf.Type{
	ftIQ2_M: gguf.IQ3_XXS, ftIQ3_M: gguf.Q4_K, ftQ3_K_M: gguf.Q4_K, ftQ3_K_L: gguf.Q4_K, ftQ4_K_M: gguf.Q5_K, ftQ5_K_M: gguf.Q6_K,
}
