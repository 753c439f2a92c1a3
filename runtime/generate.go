package runtime

import (
	"context"
	"time"

	"github.com/moeconv/moeconv/runtime/sample"
)

// Why a generation ended.
const (
	ReasonEOG     = "eog"     // the model chose a token that ends its answer
	ReasonStop    = "stop"    // one of GenerateOptions.Stop appeared
	ReasonLength  = "length"  // MaxTokens were generated
	ReasonContext = "context" // the session is full
)

// GenerateOptions of Generate.
type GenerateOptions struct {
	MaxTokens int            // 0: until the context is full
	Sample    sample.Options // the zero value is greedy
	Stop      []string       // texts that end the generation; they are not part of its text
	IgnoreEOG bool           // go on where the model would end
	// OnToken is called for each token generated. piece is text that is final: whole UTF-8 sequences, nothing that
	// may turn out to begin a stop string. It can be empty, and one last call with id -1 may bring what was held back.
	OnToken func(id int32, piece string)
}

// Generation is a text that a model wrote.
type Generation struct {
	IDs    []int32 // the tokens generated, without the one that ended the text
	Text   string
	Reason string // ReasonEOG ...

	PromptTokens int
	PromptTime   time.Duration // prefill
	Time         time.Duration // decode: all tokens after the first
}

// Generate appends prompt to the session's text and lets the model continue it.
func Generate(ctx context.Context, s *Session, prompt []int32, opts GenerateOptions) (Generation, error) {
	return Generation{}, nil
}
