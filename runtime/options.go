package runtime

import (
	"fmt"
	goruntime "runtime"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/runtime/offload"
)

// Activations is the precision in which a layer's input meets its weights.
type Activations uint8

const (
	// ActivationsRounded rounds inputs to the type that the reference multiplies the weight's type with:
	// Q8_0 for types of 32-blocks, Q8_K for super-blocks, F16 and BF16 for themselves.
	ActivationsRounded Activations = iota
	// ActivationsF32 keeps inputs as they are.
	ActivationsF32
	// ActivationsIntegers is ActivationsRounded with the products computed in integers where the CPU and the weight's
	// type allow, as the reference does: the same numbers, summed in another order, and about three times as fast. Where
	// inputs are rounded the order matters a little: a sum that is off by 1e-7 may round to another step, and a router may
	// then choose another expert. Both are as far from the reference's figures as its own builds are from each other.
	ActivationsIntegers
)

// String is the name that --activations takes.
func (a Activations) String() string {
	switch a {
	case ActivationsF32:
		return "f32"
	case ActivationsIntegers:
		return "integers"
	}
	return "rounded"
}

// Options of Load. The zero value runs on all CPUs with the model's own context length, rounded activations and
// an f32 KV cache.
type Options struct {
	Threads     int         // workers; 0: one a CPU
	Context     int         // positions that a session holds; 0: the model's context length
	Activations Activations // precision of layer inputs
	KV          gguf.Type   // of the KV cache: F32, F16 or Q8_0
	FullWindows bool        // blocks that see a window keep all positions, too: texts can be cut anywhere without being evaluated again
	Compat      nn.Compat   // llama.cpp's formulas, or the published model's where they differ
	// WeightCache is the largest size in bytes of a decoded copy of the weights. A model whose matrices fit in it
	// as float32 is decoded once, by Load; any other is kept encoded and decoded tile by tile, once a batch. Matrices
	// that are multiplied in integers stay encoded.
	// 0: 512 MiB. Negative: never.
	WeightCache int64
	// Layers has the source stay open and be read a block at a time, by RunLayers: for models larger than memory.
	Layers    bool
	Placement offload.Options
	RAM       int64             // bytes that weights, KV cache and computing may take; 0: no bound. Experts are streamed where all does not fit
	ExpertRAM int64             // bytes of the cache of experts, which are streamed then; 0: what RAM leaves, where they are
	Sessions  int               // texts whose KV caches RAM is to hold; 0: one
	Fit       bool              // RAM is what was found, not what was asked for: what does not fit is mapped, or tried
	Log       func(line string) // receives the lines that llama.cpp logs about the placement; may be nil
}

// DefaultWeightCache is Options.WeightCache's meaning of 0.
const DefaultWeightCache = 512 << 20

func (o Options) check() error {
	switch {
	case o.Threads < 0:
		return fmt.Errorf("runtime: %d threads", o.Threads)
	case o.Context < 0:
		return fmt.Errorf("runtime: context of %d positions", o.Context)
	case o.KV != gguf.F32 && o.KV != gguf.F16 && o.KV != gguf.Q8_0:
		return fmt.Errorf("runtime: KV cache of type %v; F32, F16 and Q8_0 are possible", o.KV)
	case o.RAM < 0 || o.ExpertRAM < 0:
		return fmt.Errorf("runtime: memory of %d bytes, %d for experts", o.RAM, o.ExpertRAM)
	case o.Activations > ActivationsIntegers:
		return fmt.Errorf("runtime: activations %d", o.Activations)
	}
	return nil
}

func (o Options) threads() int {
	if o.Threads > 0 {
		return o.Threads
	}
	return goruntime.GOMAXPROCS(0)
}

func (o Options) weightCache() int64 {
	if o.WeightCache == 0 {
		return DefaultWeightCache
	}
	return max(0, o.WeightCache)
}

// Fitted is o with the memory that is free now as its bound, where it has none: a model that does not fit streams its
// experts, and is mapped where that is not enough.
func (o Options) Fitted() Options {
	if free, ok := offload.FreeMemory(); ok && o.RAM == 0 {
		o.RAM, o.Fit = free-free/16, true
	}
	return o
}
