// Package nn is the one decoder of all families. forward.go reads top to bottom:
// embedding, then per block normalisation, attention (attention.go,
// attention_latent.go) or what stands in its place (shortconv.go, deltanet.go,
// mamba.go), and feed-forward network (dense, or router and experts, with shared experts beside them), then the
// output. Weights are bound by their GGUF names (bind.go, bind_layer.go); what a
// file shows by itself, such as biases, norms, sinks, shared experts or a tied
// output, is taken from its tensors and keys, and what it cannot show from its
// family's Graph.
//
// Formulas are llama.cpp's, down to the float32 angles of rotary embedding. Where a
// published model computes otherwise, CompatHF does as it does.
//
// The package splits work over workers: rows of matrices, heads, tokens. Every
// value is computed whole by one worker, so results do not depend on their number,
// nor on how tokens are batched.
package nn
