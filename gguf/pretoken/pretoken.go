// Package pretoken knows how text is cut into words before byte-level BPE merges them:
// the names GGUF files carry in tokenizer.ggml.pre, the regexes behind each name, and how
// the same cutting is written in a tokenizer.json.
package pretoken

import "errors"

// Splitter cuts text as one pre-tokenizer does.
type Splitter struct{}

// New is the splitter of a pre-tokenizer named as in tokenizer.ggml.pre.
func New(name string) (*Splitter, error) { return nil, errors.New("pretoken: not written yet") }
