package server

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/moeconv/moeconv/runtime"
)

// promptBatch is how many tokens of a prompt are evaluated in a turn: enough to use each expert's weights for several
// of them, few enough that others do not wait long.
const promptBatch = 128

// engine lets requests share a model.
type engine struct {
	model *runtime.Model
	shift bool
	turn  chan struct{} // full while somebody computes; waiters get it in the order they came
	slots chan struct{} // holds one value a slot taken, first come first served
	queue int

	mu      sync.Mutex
	idle    []*runtime.Session // the one not used for longest first
	waiting int
	lasted  time.Duration // what a request takes, smoothed
}

func newEngine(m *runtime.Model, o Options) *engine {
	return &engine{model: m, shift: o.Shift, turn: make(chan struct{}, 1), slots: make(chan struct{}, o.Slots), queue: o.Queue}
}

// busyError says that the queue is full, and after how many seconds to come again.
type busyError struct{ waiting, after int }

func (e *busyError) Error() string {
	return fmt.Sprintf("%d requests are waiting already; try again in %d s", e.waiting, e.after)
}

// acquire waits for a slot and returns a session for tokens.
func (e *engine) acquire(ctx context.Context, tokens []int32) (*runtime.Session, error) {
	select {
	case e.slots <- struct{}{}:
	default:
		if err := e.wait(ctx); err != nil {
			return nil, err
		}
	}
	return e.session(tokens), nil
}

// session is the idle one that has most in common with tokens. If that is little, it is a new one as long as there are
// fewer than slots, or else the one not used for longest.
func (e *engine) session(tokens []int32) *runtime.Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	best, common := 0, -1
	for i, s := range e.idle {
		if n := s.Common(tokens); n > common {
			best, common = i, n
		}
	}
	if little := 10*common <= len(tokens); little {
		best = 0
		if len(e.idle)+len(e.slots)-1 < cap(e.slots) { // every slot taken but this one may have a session
			return e.model.NewSession()
		}
	}
	s := e.idle[best]
	e.idle = slices.Delete(e.idle, best, best+1)
	return s
}

func (e *engine) wait(ctx context.Context) error {
	e.mu.Lock()
	if e.waiting >= e.queue {
		after := float64(e.waiting) / float64(cap(e.slots)) * e.lasted.Seconds()
		err := &busyError{e.waiting, max(1, int(math.Ceil(min(after, 600))))}
		e.mu.Unlock()
		return err
	}
	e.waiting++
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.waiting--
		e.mu.Unlock()
	}()
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives the session back; lasted is how long it was held.
func (e *engine) release(s *runtime.Session, lasted time.Duration) {
	e.mu.Lock()
	e.idle = append(e.idle, s)
	if e.lasted == 0 {
		e.lasted = lasted
	}
	e.lasted += (lasted - e.lasted) / 8
	e.mu.Unlock()
	<-e.slots
}

// load is how many requests are computed and how many wait.
func (e *engine) load() (running, waiting int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.slots), e.waiting
}

// fits fails with a *runtime.ContextError for a prompt that is too long.
func (e *engine) fits(prompt []int32) error {
	if n := e.model.ContextLength(); len(prompt) > n && !e.shift {
		return &runtime.ContextError{Add: len(prompt), Context: n}
	}
	return nil
}

// generate continues prompt in the session, in turns. emit gets each token, and what was generated with it, between
// turns; its error ends the generation.
func (e *engine) generate(ctx context.Context, s *runtime.Session, prompt []int32, opts runtime.GenerateOptions, emit func(runtime.Token, runtime.Generation) error) error {
	if err := e.fits(prompt); err != nil {
		return err
	}
	if len(prompt) > e.model.ContextLength() {
		s.Reset()
	} else {
		prompt = s.Reuse(prompt)
	}
	var next *runtime.Token
	opts.OnToken = func(t runtime.Token) { next = &t }
	opts.PromptBatch, opts.Shift = promptBatch, e.shift
	g, err := runtime.NewGenerator(s, prompt, opts)
	if err != nil {
		return err
	}
	for {
		next = nil
		done, err := e.step(ctx, g)
		if err == nil && next != nil {
			err = emit(*next, g.Generation())
		}
		if done || err != nil {
			return err
		}
	}
}

// step is one turn of g.
func (e *engine) step(ctx context.Context, g *runtime.Generator) (done bool, err error) {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-e.turn }()
	return g.Step(ctx)
}
