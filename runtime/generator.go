package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/moeconv/moeconv/runtime/sample"
	"github.com/moeconv/moeconv/runtime/token"
)

// Generator is a generation in steps, which several can take together (Batch). Its session is its own until it is done.
type Generator struct {
	g       Generation
	opts    GenerateOptions
	s       *Session
	tok     *token.Tokenizer
	decoder *token.Decoder
	sampler *sample.Sampler
	stop    stopper
	shown   map[int32]bool // control tokens that are part of the text
	pending []int32        // tokens to evaluate before the next is drawn
	start   time.Time      // of the current phase
	began   time.Time
}

// NewGenerator begins a generation after the session's text and prompt. It fails with a *ContextError when they do not
// fit in the context, unless opts.Shift allows to drop tokens.
func NewGenerator(s *Session, prompt []int32, opts GenerateOptions) (*Generator, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	tok, err := s.m.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	text := append(s.Tokens(), prompt...)
	g := &Generator{opts: opts, s: s, tok: tok, decoder: tok.DecoderAfter(text), stop: stopper{stops: opts.Stop}, shown: map[int32]bool{}, pending: prompt}
	for _, text := range opts.Show {
		if ids, err := tok.Encode(text, token.Options{ParseSpecial: true}); err == nil && len(ids) == 1 {
			g.shown[ids[0]] = true
		}
	}
	if len(text) > s.m.context {
		if !opts.Shift {
			return nil, &ContextError{s.Len(), len(prompt), s.m.context}
		}
		if text, err = shifted(text, opts.Keep, s.m.context); err != nil {
			return nil, err
		}
		g.pending = s.Reuse(text)
	}
	g.g.PromptTokens, g.g.CachedTokens = len(text), len(text)-len(g.pending)
	g.sampler = sample.New(opts.Sample, s.m.VocabSize())
	for _, id := range text {
		g.sampler.Accept(id)
	}
	return g, nil
}

// Generation is what was written so far.
func (g *Generator) Generation() Generation { return g.g }

// Done reports whether the generation has ended.
func (g *Generator) Done() bool { return g.g.Reason != "" }

// Unread is the number of tokens to evaluate before the first one is drawn; 0 for a generation that writes.
func (g *Generator) Unread() int {
	if g.g.Tokens > 0 && len(g.pending) <= 1 {
		return 0
	}
	return len(g.pending)
}

// Step evaluates what is left of the prompt, or a token, and draws the next token. After done or an error it is not
// called again.
func (g *Generator) Step(ctx context.Context) (done bool, err error) {
	tokens, err := g.next(g.s.m.context)
	if err != nil {
		return false, err
	}
	out, err := g.s.state.Eval(ctx, tokens, g.first(tokens), false)
	if err != nil {
		return false, fmt.Errorf("runtime: %w", err)
	}
	err = g.took(tokens, out.Logits)
	return g.Done(), err
}

// next is what to evaluate, at most n tokens.
func (g *Generator) next(n int) ([]int32, error) {
	if g.start.IsZero() {
		g.start = time.Now()
		g.began = g.start
	}
	if g.opts.Shift && g.g.Tokens > 0 && len(g.pending) == 1 && g.s.Len() == g.s.m.context {
		if err := g.shift(); err != nil {
			return nil, err
		}
	}
	tokens := g.pending[:min(n, len(g.pending))]
	return tokens, g.s.check(tokens)
}

// shift makes room in the text: it keeps the first tokens and the newer half of the others, which are evaluated anew, so
// that the text goes on as if what was dropped had never been there.
func (g *Generator) shift() error {
	text, err := shifted(g.s.tokens, g.opts.Keep, g.s.Len())
	if err != nil {
		return err
	}
	g.s.truncate(g.opts.Keep)
	g.pending = append(text[g.opts.Keep:], g.pending...)
	return nil
}

// first is the index of the first of tokens whose logits are wanted.
func (g *Generator) first(tokens []int32) int {
	if len(tokens) < len(g.pending) {
		return len(tokens)
	}
	return len(tokens) - 1
}

// took is called when tokens have been evaluated.
func (g *Generator) took(tokens []int32, logits [][]float32) error {
	g.s.tokens = append(g.s.tokens, tokens...)
	if g.pending = g.pending[len(tokens):]; len(g.pending) > 0 {
		return nil
	}
	now := time.Now()
	if g.g.Tokens == 0 {
		g.g.PromptTime = now.Sub(g.start)
		g.start = now
	}
	return g.draw(logits[0])
}

// draw chooses a token and makes it a part of the text.
func (g *Generator) draw(logits []float32) error {
	id := g.sampler.Next(logits)
	if g.g.Tokens < len(g.opts.Forced) {
		id = g.opts.Forced[g.g.Tokens]
	}
	if id < 0 {
		return fmt.Errorf("runtime: position %d: no token can be drawn", g.s.Len())
	}
	t := Token{ID: id}
	if g.opts.Logprobs {
		t.Logprob, t.Top = logprobs(logits, id, g.opts.Top)
	}
	g.g.Tokens++
	if g.tok.IsEOG(id) && !g.opts.IgnoreEOG {
		t.Reason = ReasonEOG
	} else {
		g.sampler.Accept(id)
		g.g.IDs = append(g.g.IDs, id)
		g.pending = g.g.IDs[len(g.g.IDs)-1:]
		t.Text, t.Reason = g.push(id)
	}
	if t.Reason != "" && t.Reason != ReasonStop {
		g.flush(&t)
	}
	g.g.Text += t.Text
	g.g.Reason = t.Reason
	if g.g.Tokens > 1 {
		g.g.Time = time.Since(g.start)
	}
	if g.opts.OnToken != nil {
		t.Time = time.Since(g.began)
		g.opts.OnToken(t)
	}
	return nil
}

// push is the text that is final with id, and why it is the last token, if it is.
func (g *Generator) push(id int32) (text, reason string) {
	g.decoder.Special = g.shown[id]
	text, stopped := g.stop.push(g.decoder.Push(id))
	switch {
	case stopped:
		return text, ReasonStop
	case len(g.g.IDs) == g.opts.MaxTokens:
		return text, ReasonLength
	case g.s.Len() == g.s.m.context && !g.opts.Shift:
		return text, ReasonContext
	}
	return text, ""
}

// flush gives the last token what was held back.
func (g *Generator) flush(t *Token) {
	text, stopped := g.stop.push(g.decoder.Flush())
	if stopped {
		t.Reason = ReasonStop
	}
	t.Text += text + g.stop.flush()
}
