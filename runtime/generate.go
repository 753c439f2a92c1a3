package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moeconv/moeconv/runtime/sample"
	"github.com/moeconv/moeconv/runtime/token"
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

// Generate appends prompt to the session's text and lets the model continue it. Penalties see the prompt too.
// When it fails, or ctx ends, the Generation holds what was written until then.
func Generate(ctx context.Context, s *Session, prompt []int32, opts GenerateOptions) (Generation, error) {
	if err := opts.check(); err != nil {
		return Generation{}, err
	}
	tok, err := s.m.Tokenizer()
	if err != nil {
		return Generation{}, fmt.Errorf("runtime: %w", err)
	}
	g := &generator{opts: opts, s: s, tok: tok, decoder: tok.DecoderAfter(prompt), stop: stopper{stops: opts.Stop}}
	g.sampler = sample.New(opts.Sample, s.m.VocabSize())
	for _, id := range prompt {
		g.sampler.Accept(id)
	}
	err = g.run(ctx, prompt)
	return g.Generation, err
}

func (o GenerateOptions) check() error {
	if err := o.Sample.Validate(); err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	if o.MaxTokens < 0 {
		return fmt.Errorf("runtime: %d tokens to generate", o.MaxTokens)
	}
	if slices.Contains(o.Stop, "") {
		return fmt.Errorf("runtime: an empty stop string")
	}
	return nil
}

// generator is a Generation in the making.
type generator struct {
	Generation
	opts    GenerateOptions
	s       *Session
	tok     *token.Tokenizer
	decoder *token.Decoder
	sampler *sample.Sampler
	stop    stopper
}

func (g *generator) run(ctx context.Context, prompt []int32) error {
	start := time.Now()
	out, err := g.s.Eval(ctx, prompt, WantLast)
	if err != nil {
		return err
	}
	g.PromptTokens, g.PromptTime = len(prompt), time.Since(start)
	start = time.Now()
	defer func() { g.Time = time.Since(start) }()
	for {
		id := g.sampler.Next(out.Last())
		if id < 0 {
			return fmt.Errorf("runtime: position %d: no token can be drawn", g.s.Len())
		}
		if g.tok.IsEOG(id) && !g.opts.IgnoreEOG {
			g.finish(ReasonEOG)
			return nil
		}
		if g.accept(id) {
			return nil
		}
		if out, err = g.s.Eval(ctx, []int32{id}, WantLast); err != nil {
			return err
		}
	}
}

// accept makes id a part of the text; done reports that it was the last one.
func (g *generator) accept(id int32) (done bool) {
	g.sampler.Accept(id)
	g.IDs = append(g.IDs, id)
	text, stopped := g.stop.push(g.decoder.Push(id))
	g.write(id, text)
	switch {
	case stopped:
		g.Reason = ReasonStop
	case len(g.IDs) == g.opts.MaxTokens:
		g.finish(ReasonLength)
	case g.s.Len() == g.s.m.context:
		g.finish(ReasonContext)
	default:
		return false
	}
	return true
}

// finish gives out what was held back.
func (g *generator) finish(reason string) {
	g.Reason = reason
	text, stopped := g.stop.push(g.decoder.Flush())
	if stopped {
		g.Reason = ReasonStop
	}
	if text += g.stop.flush(); text != "" {
		g.write(-1, text)
	}
}

func (g *generator) write(id int32, text string) {
	g.Text += text
	if g.opts.OnToken != nil {
		g.opts.OnToken(id, text)
	}
}
