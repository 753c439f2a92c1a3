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

// engine lets requests share a model: generations take their steps together, and join and leave between steps.
type engine struct {
	model *runtime.Model
	shift bool
	slots chan struct{} // holds one value a slot taken, first come first served
	queue int
	wake  chan struct{} // holds a value when a generation may go on that could not

	mu      sync.Mutex
	idle    []*runtime.Session // the one not used for longest first
	waiting int
	lasted  time.Duration // what a request takes, smoothed
	jobs    []*job        // in the order they came
	looping bool
	steps   int // computed
	shares  int // of generations in them

	// Of the loop:
	batch    *runtime.Batch
	perToken time.Duration // what a token of a prompt takes, smoothed
}

func newEngine(m *runtime.Model, o Options) *engine {
	return &engine{model: m, shift: o.Shift, slots: make(chan struct{}, o.Slots), queue: o.Queue, wake: make(chan struct{}, 1)}
}

// busyError says that the queue is full, and after how many seconds to come again.
type busyError struct{ waiting, after int }

func (e *busyError) Error() string {
	return fmt.Sprintf("%d requests are waiting already; try again in %d s", e.waiting, e.after)
}

// acquire waits for a slot and returns a session for tokens; of more slots, up to n, it takes those that nobody wants.
func (e *engine) acquire(ctx context.Context, tokens []int32, n int) ([]*runtime.Session, error) {
	select {
	case e.slots <- struct{}{}:
	default:
		if err := e.wait(ctx); err != nil {
			return nil, err
		}
	}
	sessions := []*runtime.Session{e.session(tokens)}
	for len(sessions) < n && e.another() {
		sessions = append(sessions, e.session(tokens))
	}
	return sessions, nil
}

// another takes a slot if one is free and nobody waits.
func (e *engine) another() bool {
	if _, waiting := e.load(); waiting > 0 {
		return false
	}
	select {
	case e.slots <- struct{}{}:
		return true
	default:
		return false
	}
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

// release gives sessions back; lasted is how long they were held.
func (e *engine) release(sessions []*runtime.Session, lasted time.Duration) {
	e.mu.Lock()
	e.idle = append(e.idle, sessions...)
	if e.lasted == 0 {
		e.lasted = lasted
	}
	e.lasted += (lasted - e.lasted) / 8
	e.mu.Unlock()
	for range sessions {
		<-e.slots
	}
}

// load is how many slots are taken and how many requests wait.
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
