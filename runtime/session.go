package runtime

import "context"

// Want says which of an Eval's tokens the caller wants logits for.
// Its zero value is WantAll; a positive number is the index of the first token, as WantFrom makes it.
type Want int

const (
	WantAll  Want = 0  // logits after every token
	WantLast Want = -1 // after the last
	WantNone Want = -2 // the tokens only enter the KV cache
)

// WantFrom asks for logits from token n of the Eval on (0: all of them).
func WantFrom(n int) Want { return Want(max(0, n)) }

// Output is the result of an Eval; it is the caller's to keep.
type Output struct {
	Position int         // of Logits[0] in the session's text
	Logits   [][]float32 // a row of VocabSize for each token wanted, in order
	// Routes counts how often each block's experts were chosen, [block][expert]; rows of dense blocks are nil.
	// Nil unless Session.CountRoutes.
	Routes [][]int64
}

// Last is the last row of Logits.
func (o *Output) Last() []float32 { return o.Logits[len(o.Logits)-1] }

// Session is one text being evaluated: its KV cache and the memory to compute in. One goroutine uses it at a time.
type Session struct{}

// Eval appends tokens to the session's text. It fails, leaving the text as it was, when a token is not in the
// vocabulary, when the text would exceed the context (*ContextError), when ctx ends, and when a value is not finite
// (*NumberError).
func (s *Session) Eval(ctx context.Context, tokens []int32, want Want) (*Output, error) {
	return nil, nil
}

// Len is the number of tokens in the session's text.
func (s *Session) Len() int { return 0 }

// Model is the model that the session runs.
func (s *Session) Model() *Model { return nil }

// CountRoutes switches Output.Routes on or off.
func (s *Session) CountRoutes(on bool) {}

// Truncate shortens the text to its first n tokens.
func (s *Session) Truncate(n int) error { return nil }

// Reset empties the text.
func (s *Session) Reset() {}
