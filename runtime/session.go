package runtime

import (
	"context"
	"fmt"

	"github.com/moeconv/moeconv/runtime/nn"
)

// Want says which of an Eval's tokens the caller wants logits for.
// Its zero value is WantAll; a positive number is the index of the first token, as WantFrom makes it.
type Want int

const (
	WantAll  Want = 0  // logits after every token
	WantLast Want = -1 // after the last
	WantNone Want = -2 // the tokens only enter the KV cache
)

// WantFrom asks for logits from token n of the Eval on (0: all of them; the Eval's length or more: none).
func WantFrom(n int) Want { return Want(max(0, n)) }

// first is the index of the first of n tokens that is wanted, n if none is.
func (w Want) first(n int) int {
	switch {
	case w == WantLast:
		return max(0, n-1)
	case w < 0:
		return n
	}
	return min(int(w), n)
}

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

// NumberError says at which position of a text a value stopped being finite, and where in the model:
// the weights are broken, or the type they are stored in cannot hold them.
type NumberError = nn.Number

// ContextError says that a text would outgrow the context.
type ContextError struct{ Len, Add, Context int }

func (e *ContextError) Error() string {
	return fmt.Sprintf("runtime: %d tokens after %d exceed the context of %d positions", e.Add, e.Len, e.Context)
}

// Hint is the next step for a user.
func (e *ContextError) Hint() string {
	return fmt.Sprintf("a context of at least %d positions takes it (--ctx); a context shift would drop its oldest tokens (--context-shift)", e.Len+e.Add+1)
}

// Session is one text being evaluated: its KV cache and the memory to compute in. One goroutine uses it at a time.
type Session struct {
	m      *Model
	state  *nn.State
	tokens []int32 // the text
	routes bool
}

// Eval appends tokens to the session's text. It fails, leaving the text as it was, when a token is not in the
// vocabulary, when the text would outgrow the context (*ContextError), when ctx ends, and when a value is not finite
// (*NumberError).
func (s *Session) Eval(ctx context.Context, tokens []int32, want Want) (*Output, error) {
	if len(tokens) == 0 {
		return nil, fmt.Errorf("runtime: no tokens to evaluate")
	}
	if err := s.check(tokens); err != nil {
		return nil, err
	}
	first := want.first(len(tokens))
	out := &Output{Position: s.Len() + first}
	r, err := s.state.Eval(ctx, tokens, first, s.routes)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	s.tokens = append(s.tokens, tokens...)
	out.Logits, out.Routes = r.Logits, r.Routes
	return out, nil
}

// check refuses tokens that cannot be appended.
func (s *Session) check(tokens []int32) error {
	if len(tokens) > s.m.context-s.Len() {
		return &ContextError{s.Len(), len(tokens), s.m.context}
	}
	vocab := s.m.VocabSize()
	for i, id := range tokens {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("runtime: token %d is %d, the vocabulary has %d", i, id, vocab)
		}
	}
	return nil
}

// Len is the number of tokens in the session's text.
func (s *Session) Len() int { return s.state.Len() }

// Model is the model that the session runs.
func (s *Session) Model() *Model { return s.m }

// CountRoutes switches Output.Routes on or off.
func (s *Session) CountRoutes(on bool) { s.routes = on }

// Truncate shortens the text to its first n tokens.
func (s *Session) Truncate(n int) error {
	if n < 0 || n > s.Len() {
		return fmt.Errorf("runtime: a text of %d tokens cannot be cut to %d", s.Len(), n)
	}
	s.truncate(n)
	return nil
}

func (s *Session) truncate(n int) {
	s.state.Truncate(n)
	s.tokens = s.tokens[:n]
}

// Reset empties the text.
func (s *Session) Reset() { s.truncate(0) }
