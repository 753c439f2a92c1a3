package runtime

import (
	"fmt"
	"slices"
)

// Tokens is a copy of the session's text.
func (s *Session) Tokens() []int32 { return slices.Clone(s.tokens) }

// Common is the number of tokens that the session's text begins with like tokens.
func (s *Session) Common(tokens []int32) int {
	n := 0
	for n < min(len(tokens), len(s.tokens)) && tokens[n] == s.tokens[n] {
		n++
	}
	return n
}

// Reuse cuts the session's text to what it has in common with tokens and returns those that are left to evaluate: at
// least the last one, for its logits.
func (s *Session) Reuse(tokens []int32) (rest []int32) {
	n := min(s.Common(tokens), max(0, len(tokens)-1))
	s.truncate(n)
	return tokens[n:]
}

// CopyText makes the session's text that of another session of the same model, without evaluating it.
func (s *Session) CopyText(from *Session) {
	s.state.CopyText(from.state)
	s.tokens = append(s.tokens[:0], from.tokens...)
}

// shifted is a text without its oldest tokens after the first keep: as many are left that half of what a context has
// beyond keep stays free.
func shifted(tokens []int32, keep, context int) ([]int32, error) {
	tail := (context - keep) / 2
	if tail < 1 {
		return nil, fmt.Errorf("runtime: %d tokens to keep leave no room in %d positions", keep, context)
	}
	tail = min(tail, len(tokens)-keep)
	return slices.Concat(tokens[:keep], tokens[len(tokens)-tail:]), nil
}
