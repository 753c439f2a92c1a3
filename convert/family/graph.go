package family

// Graph is what runtime needs to know of a family beyond its file: what tensors and keys show by themselves
// (biases, norms, sinks, shared experts, scales) is not here.
type Graph struct {
	Rope        RopePairing
	NoRopeEvery int // every n-th block is not rotated; 0: all are
	Windows     Windows
	Tune        Tuning
	QKNorm      QKNorm
	NormValues  bool // values are normalised too, without weights; blocks without values have their keys for them
	Unscaled    bool // products of queries and keys are not scaled
	OneLayer    bool // a block is attention or what stands in its place, or a feed-forward network, behind its one norm
	GatedQuery  bool // queries come with gates of attention's result, and gated delta nets stand between
	TiledHeads  bool // value heads of gated delta nets go round their keys, and not several to each in a row
	Norm        NormKind
	Act         Activation

	Gate             GatingFunc
	NormalizeWeights bool // the used experts' weights are divided by their sum
	FromFile         Keyed
	WeightFirst      bool // experts are given their input times their weight
	EmbedScale       bool // embeddings are multiplied by the square root of their length

	// Original is what the published models compute otherwise than llama.cpp does; nil: nothing.
	Original *Original
}

// RopePairing says which two elements of a head rotary embedding turns together.
type RopePairing uint8

// The pairings: neighbours (2i, 2i+1), or halves (i, i+n/2). RopeNone turns nothing.
const (
	RopeNorm RopePairing = iota
	RopeNeox
	RopeNone
)

// Windows says which blocks attend to a part of the text only.
type Windows struct {
	Kind  WindowKind
	Every int // every n-th block attends to everything
	Size  int // positions; 0: the file's attention.sliding_window
}

// WindowKind is what a position attends to in a block with a window.
type WindowKind uint8

// The kinds: everything; the last positions; those since the last multiple of the size.
const (
	WindowNone WindowKind = iota
	WindowSliding
	WindowChunked
)

// Tuning multiplies queries by 1 + Scale*ln(1 + floor((position+Offset)/Length)); a Scale of 0 does nothing.
// Where FromFile, scale and length are the file's attention.temperature_scale and temperature_length.
type Tuning struct {
	Scale    float32
	Length   int
	Offset   int
	Unturned bool // in blocks without rotary embedding only
	FromFile bool
}

// QKNorm says where queries and keys are normalised, if they are.
type QKNorm uint8

// The places: before rotary embedding; behind it; behind it in rotated blocks, without weights.
const (
	QKNormFirst QKNorm = iota
	QKNormLast
	QKNormPlain
)

// NormKind is the norm in front of layers.
type NormKind uint8

// The norms: x over its root mean square, or x minus its mean over its standard deviation.
const (
	RMSNorm NormKind = iota
	LayerNorm
)

// Activation is the feed-forward network's nonlinearity.
type Activation uint8

// The activations of a gate g beside u: silu(g)*u with silu(x) = x*sigmoid(x), and GPT-OSS's
// min(g,7)*sigmoid(1.702*min(g,7)) * (clamp(u,-7,7)+1) in its experts.
const (
	SiLU Activation = iota
	SwiGLUOAI
	GELU        // gelu(g)*u
	SquaredReLU // of networks without a gate
)

// GatingFunc turns router logits into the weights of experts. The numbers are those of expert_gating_func.
type GatingFunc uint8

// The gating functions: over all experts, before the top ones are taken; or over those alone.
const (
	Softmax     GatingFunc = 1
	Sigmoid     GatingFunc = 2
	SoftmaxUsed GatingFunc = 3
)

// Keyed are the keys of routing that count for a family; llama.cpp ignores the others.
type Keyed uint8

// The keys expert_gating_func, expert_weights_norm and expert_weights_scale.
const (
	KeyedGate Keyed = 1 << iota
	KeyedNorm
	KeyedScale
	KeyedRouting = KeyedGate | KeyedNorm | KeyedScale
)

// Original is a published model's own formula, where llama.cpp has another.
type Original struct {
	LayerNorm     bool       // in place of RMSNorm
	Jitter        float32    // of the sparse mixer that chooses two experts; 0: the usual router
	RopeScale     [2]float64 // factor of rotated elements in texts up to the context of training, and in longer ones; 0: as in llama.cpp
	YarnUnrounded bool       // bounds of yarn's ramp are not rounded to whole dimensions
}
