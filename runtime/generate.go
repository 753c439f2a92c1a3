package runtime

import (
	"context"
	"fmt"
	"slices"
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
	Logprobs  bool           // find each token's probability, before penalties and temperature
	Top       int            // with Logprobs: and those of so many most likely tokens
	Shift     bool           // in a full session drop the oldest tokens and go on
	Keep      int            // with Shift: never drop this many tokens at the beginning
	// Show is control tokens, as they are written out, that are part of the text; others are left out.
	Show []string
	// Forced are taken for the first tokens drawn, whatever the logits say.
	Forced []int32
	// OnToken is called for each token, the one that ends the answer too.
	OnToken func(Token)
}

// Token is a generated token.
type Token struct {
	ID int32
	// Text is what became final with the token: whole UTF-8 sequences, nothing that may turn out to begin a stop
	// string. It is often empty; the last token brings what was held back.
	Text    string
	Logprob float64   // natural logarithm of the probability; 0 unless asked for
	Top     []Logprob // the most likely tokens, best first
	Time    time.Duration
	Reason  string // of the last token: why the generation ended
}

// Generation is a text that a model wrote.
type Generation struct {
	IDs    []int32 // the tokens generated, without the one that ended the text
	Text   string
	Reason string // ReasonEOG ...

	Tokens       int           // drawn, the one that ended the text included
	PromptTokens int           // of the text before
	CachedTokens int           // of these, in the session already
	PromptTime   time.Duration // prefill
	Time         time.Duration // decode: all tokens after the first
}

// Generate appends prompt to the session's text and lets the model continue it. Penalties see all of the text.
// When it fails, or ctx ends, the Generation holds what was written until then.
func Generate(ctx context.Context, s *Session, prompt []int32, opts GenerateOptions) (Generation, error) {
	g, err := NewGenerator(s, prompt, opts)
	if err != nil {
		return Generation{}, err
	}
	for done := false; !done && err == nil; {
		done, err = g.Step(ctx)
	}
	return g.Generation(), err
}

// Validate fails on values that mean nothing, naming the option.
func (o GenerateOptions) Validate() error {
	if err := o.Sample.Validate(); err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	switch {
	case o.MaxTokens < 0:
		return fmt.Errorf("runtime: %d tokens to generate", o.MaxTokens)
	case o.Keep < 0:
		return fmt.Errorf("runtime: %d tokens to keep", o.Keep)
	case o.Top < 0:
		return fmt.Errorf("runtime: the %d most likely tokens", o.Top)
	case slices.Contains(o.Stop, ""):
		return fmt.Errorf("runtime: an empty stop string")
	}
	return nil
}
