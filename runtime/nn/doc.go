// Package nn is the one mixture-of-experts decoder. forward.go reads top to
// bottom: embedding, then per block normalisation, attention and feed-forward
// network (dense, or router and experts, with shared experts beside them), then
// the output. Weights are bound by their GGUF names (bind.go); what a file shows by
// itself, such as biases, shared experts or a tied output, is taken from its
// tensors, and what it cannot show from its family's Graph.
//
// The package splits work over workers: rows of matrices, heads, tokens. Every
// value is computed whole by one worker, so results do not depend on their number,
// nor on how tokens are batched.
package nn
