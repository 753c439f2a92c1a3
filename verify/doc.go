// Package verify measures whether a file is what it claims to be. Each Check
// looks at one thing and yields a Result with its figure; Run collects them in
// a Report. From the cheap to the dear: load contract, stored bytes, tensor
// scan, comparison with the source's weights, tokenizer, decode against
// prefill, logits and KL divergence and perplexity against the source model.
//
// Perplexity never passes a file by itself: a model with an expert zeroed can
// score better than a sound quantization of it. Weights and divergence judge.
package verify
