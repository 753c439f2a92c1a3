package server

import (
	"context"
	"errors"
	"time"

	"github.com/moeconv/moeconv/runtime"
)

// choice is one generation of a request.
type choice struct {
	index  int
	tokens []runtime.Token
	done   runtime.Generation
}

// run makes n choices for each prompt, one after the other in one slot, so that a prompt is evaluated once. emit, if
// not nil, gets every token as it comes. usage is up to date whenever emit gets a choice's last token.
func (s *Server) run(ctx context.Context, param string, prompts [][]int32, n int, opts runtime.GenerateOptions, usage *Usage, emit func(index int, t runtime.Token) error) ([]choice, error) {
	if len(prompts)*n > maxChoices {
		return nil, badParam("n", "%d answers are more than the %d possible.", len(prompts)*n, maxChoices)
	}
	for _, p := range prompts {
		if err := s.engine.fits(p); err != nil {
			return nil, overContext(param, err)
		}
	}
	session, err := s.engine.acquire(ctx, prompts[0])
	if err != nil {
		return nil, err
	}
	start := time.Now()
	defer func() { s.engine.release(session, time.Since(start)) }()
	var choices []choice
	for i, prompt := range prompts {
		for k := range n {
			c := choice{index: i*n + k}
			o := opts
			o.Sample.Seed += uint64(k)
			err := s.engine.generate(ctx, session, prompt, o, func(t runtime.Token, g runtime.Generation) error {
				c.tokens = append(c.tokens, t)
				if t.Reason != "" {
					c.done = g
					usage.add(g, k == 0)
				}
				if emit == nil {
					return nil
				}
				return emit(c.index, t)
			})
			if err != nil {
				return nil, overContext(param, err)
			}
			choices = append(choices, c)
		}
	}
	return choices, nil
}

// overContext says by which parameter a prompt came that is too long.
func overContext(param string, err error) error {
	var full *runtime.ContextError
	if errors.As(err, &full) {
		e := asError(err)
		e.Param = &param
		return e
	}
	return err
}

// stream is run with an event for each token, and one for the usage at the end if o asks for it; each and last make them.
func (s *Server) stream(ctx context.Context, out *response, param string, prompts [][]int32, n int, opts runtime.GenerateOptions, o *options, each func(index int, t runtime.Token) any, last func(Usage) any) error {
	var usage Usage
	_, err := s.run(ctx, param, prompts, n, opts, &usage, func(index int, t runtime.Token) error { return out.event(each(index, t)) })
	if err != nil {
		return err
	}
	if o.usage() {
		if err := out.event(last(usage)); err != nil {
			return err
		}
	}
	return out.done()
}
