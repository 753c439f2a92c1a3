package quantize

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// Policy decides the type of a tensor. It is a pure function: all it may look at is in the Target.
// Shapes that do not fit the type it names are mended afterwards.
type Policy func(Target) gguf.Type

// ParseMix finds a mixture by name: llama (or nothing) or moe.
func ParseMix(name string) (Policy, error) {
	switch name {
	case "", "llama":
		return Llama, nil
	case "moe":
		return MoE, nil
	}
	return nil, fmt.Errorf("quantize: mixture %q: want llama or moe", name)
}

// Target is what a Policy may know about a tensor and its model.
type Target struct {
	Scheme   Scheme
	Tensor   gguf.TensorInfo // its Type is the source's
	Category Category
	Block    int // of blk.N, -1 outside of blocks
	// Index counts the tensors of the same kind before this one, in Order: V-like ones together,
	// all Down together (experts, shared experts, dense), all Gate, all Up.
	Index int

	Arch       string
	Blocks     int  // block_count, MTP blocks included
	VLike      int  // number of V-like tensors in the model
	Experts    int  // expert_count, 0 for a dense model
	GQA        int  // query heads per KV head in block 0; 0 if it has no KV head
	Is70B      bool // the reference counts the model among its 70B ones
	TiedOutput bool // there is no output.weight: the token embedding serves
	Imatrix    bool // an importance matrix is at hand

	OutputTensorType, TokenEmbeddingType *gguf.Type // forced types, nil if not forced
}
