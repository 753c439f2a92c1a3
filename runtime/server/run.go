package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moeconv/moeconv/runtime"
)

// choice is one generation of a request.
type choice struct {
	index  int
	tokens []runtime.Token
	done   runtime.Generation
}

// task is the choices of a request being made.
type task struct {
	s       *Server
	prompts [][]int32
	n       int // choices of each prompt
	opts    runtime.GenerateOptions
	fresh   bool // prompts are evaluated anew
	emit    func(index int, t runtime.Token) error

	mu      sync.Mutex // of what follows, and held while emit runs
	usage   *Usage
	choices []choice
}

// run makes the choices for each prompt, as many at the same time as there are slots for. A prompt is evaluated once for all of
// its choices. emit, if not nil, gets every token as it comes. usage is up to date whenever emit gets a choice's last token.
func (s *Server) run(ctx context.Context, param string, prompts [][]int32, q *sampling, opts runtime.GenerateOptions, usage *Usage, emit func(index int, t runtime.Token) error) ([]choice, error) {
	n := q.choices()
	if len(prompts)*n > maxChoices {
		return nil, badParam("n", "%d answers are more than the %d possible.", len(prompts)*n, maxChoices)
	}
	for _, p := range prompts {
		if err := s.engine.fits(p); err != nil {
			return nil, overContext(param, err)
		}
	}
	at := max(n, len(prompts)) // the same time
	sessions, err := s.engine.acquire(ctx, prompts[0], at)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	defer func() { s.engine.release(sessions, time.Since(start)) }()
	t := &task{s: s, prompts: prompts, n: n, opts: opts, fresh: q.fresh(), emit: emit, usage: usage, choices: make([]choice, len(prompts)*n)}
	if n == 1 {
		return t.choices, overContext(param, t.each(ctx, sessions, 0, len(prompts)))
	}
	for i := range prompts {
		if err := t.each(ctx, sessions, i*n, (i+1)*n); err != nil {
			return nil, overContext(param, err)
		}
	}
	return t.choices, nil
}

// each makes the choices lo to hi-1, each session one after the other. Of several choices for a prompt the first one's
// session evaluates it, and the others take it over.
func (t *task) each(ctx context.Context, sessions []*runtime.Session, lo, hi int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int, hi-lo)
	for k := lo + 1; k < hi; k++ {
		next <- k
	}
	close(next)
	others := sessions[1:min(len(sessions), hi-lo)]
	read := make(chan struct{})
	var all sync.WaitGroup
	for _, s := range others {
		all.Go(func() {
			select {
			case <-read:
			case <-ctx.Done():
			}
			t.rest(ctx, cancel, s, next)
		})
	}
	share := func() {
		for _, s := range others {
			s.CopyText(sessions[0])
		}
		close(read)
	}
	if t.n == 1 {
		close(read)
		share = nil
	}
	if err := t.choose(ctx, sessions[0], lo, share); err != nil {
		cancel(err)
	}
	t.rest(ctx, cancel, sessions[0], next)
	all.Wait()
	return context.Cause(ctx)
}

// rest makes choices in a session as long as there are some left.
func (t *task) rest(ctx context.Context, cancel context.CancelCauseFunc, s *runtime.Session, next <-chan int) {
	for k := range next {
		if ctx.Err() != nil {
			return
		}
		if err := t.choose(ctx, s, k, nil); err != nil {
			cancel(err)
		}
	}
}

// choose makes choice number index.
func (t *task) choose(ctx context.Context, s *runtime.Session, index int, read func()) error {
	k := index % t.n
	opts := t.opts
	opts.Sample.Seed += uint64(k)
	c := choice{index: index}
	if t.fresh && k == 0 {
		s.Reset()
	}
	return t.s.engine.generate(ctx, s, t.prompts[index/t.n], opts, read, func(tok runtime.Token, g runtime.Generation) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		c.tokens = append(c.tokens, tok)
		if tok.Reason != "" {
			c.done = g
			t.choices[index] = c
			t.usage.add(g, k == 0)
		}
		if t.emit == nil {
			return nil
		}
		return t.emit(index, tok)
	})
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

// stream is run with an event for each token, and one for the usage at the end if q asks for it; each and last make them.
func (s *Server) stream(ctx context.Context, out *response, param string, prompts [][]int32, q *sampling, opts runtime.GenerateOptions, each func(index int, t runtime.Token) any, last func(Usage) any) error {
	var usage Usage
	_, err := s.run(ctx, param, prompts, q, opts, &usage, func(index int, t runtime.Token) error { return out.event(each(index, t)) })
	if err != nil {
		return err
	}
	if q.StreamOptions.usage() {
		if err := out.event(last(usage)); err != nil {
			return err
		}
	}
	return out.done()
}
