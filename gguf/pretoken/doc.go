// Package pretoken knows how text is cut into words before byte-level BPE merges them:
// the names GGUF files carry in tokenizer.ggml.pre, the regexes behind each name, and how
// the same cutting is written in a tokenizer.json.
//
// Where llama.cpp's regexes only approximate a model's own (its engine lacks \p{Lu}, for
// one), both are listed and Splitter follows the model: that is what it was trained on.
package pretoken
