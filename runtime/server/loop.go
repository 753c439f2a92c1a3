package server

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moeconv/moeconv/runtime"
)

// job is a generation that takes steps.
type job struct {
	ctx    context.Context
	g      *runtime.Generator
	events chan event // closed when the job has left the loop
	err    error      // then: why, if it did not end by itself
}

// event is a token, and what was generated with it.
type event struct {
	token runtime.Token
	done  runtime.Generation
}

// ahead is how many tokens a generation may be ahead of its reader. One that is further waits, and others go on.
const ahead = 32

// generate continues prompt in the session, in steps together with other generations. read is called once the prompt is
// evaluated, before the session's text goes on; it may be nil. emit gets each token, and what was generated with it; its
// error ends the generation. When generate returns, nobody uses the session.
func (e *engine) generate(ctx context.Context, s *runtime.Session, prompt []int32, opts runtime.GenerateOptions, read func(), emit func(runtime.Token, runtime.Generation) error) error {
	if err := e.fits(prompt); err != nil {
		return err
	}
	if len(prompt) > e.model.ContextLength() {
		s.Reset()
	} else {
		prompt = s.Reuse(prompt)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j := &job{ctx: ctx, events: make(chan event, ahead)}
	opts.Shift = e.shift
	opts.OnToken = func(t runtime.Token) {
		if read != nil {
			read()
			read = nil
		}
		j.events <- event{t, j.g.Generation()} // there is room
	}
	var err error
	if j.g, err = runtime.NewGenerator(s, prompt, opts); err != nil {
		return err
	}
	e.join(j)
	for ev := range j.events {
		if err == nil {
			if err = emit(ev.token, ev.done); err != nil {
				cancel()
			}
		}
		e.rouse()
	}
	if err == nil {
		err = j.err
	}
	return err
}

// join makes j take part in the next step. The loop runs as long as there is something to do.
func (e *engine) join(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.jobs = append(e.jobs, j)
	if e.looping {
		e.rouse()
		return
	}
	e.looping = true
	go e.loop()
}

// rouse has a loop that waits look again.
func (e *engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *engine) loop() {
	for jobs := e.ready(); jobs != nil; jobs = e.ready() {
		e.step(jobs)
	}
}

// ready is the jobs of the next step, nil when none is left. Those that are over leave here.
func (e *engine) ready() []*job {
	for {
		e.mu.Lock()
		e.jobs = slices.DeleteFunc(e.jobs, func(j *job) bool {
			if j.err == nil && !j.g.Done() {
				j.err = j.ctx.Err()
			}
			over := j.err != nil || j.g.Done()
			if over {
				close(j.events)
			}
			return over
		})
		e.looping = len(e.jobs) > 0
		var now []*job
		for _, j := range e.jobs {
			if len(j.events) < ahead {
				now = append(now, j)
			}
		}
		if len(now) > 0 {
			e.steps, e.shares = e.steps+1, e.shares+len(now)
		}
		left := e.looping
		e.mu.Unlock()
		if !left || len(now) > 0 {
			return now
		}
		<-e.wake
	}
}

// perStep is how many generations took a step together, on average.
func (e *engine) perStep() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return float64(e.shares) / float64(max(1, e.steps))
}

// Bounds of what is evaluated of prompts in a step: at least what makes good use of each expert's weights, and as much as
// takes stepTime if others wait for their tokens meanwhile.
const (
	leastPrompt = 16
	mostPrompt  = 256
	stepTime    = 100 * time.Millisecond
)

// step is one step of jobs. It is cut off when all of them are cancelled.
func (e *engine) step(jobs []*job) {
	if e.batch == nil {
		e.batch = e.model.NewBatch()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := atomic.Int64{}
	left.Store(int64(len(jobs)))
	gs := make([]*runtime.Generator, len(jobs))
	writing, before := 0, 0
	for i, j := range jobs {
		gs[i] = j.g
		if j.g.Unread() == 0 {
			writing++
		}
		before += j.g.Unread()
		defer context.AfterFunc(j.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})()
	}
	prompt := mostPrompt
	if writing > 0 && e.perToken > 0 {
		prompt = max(leastPrompt, min(mostPrompt, int(stepTime/e.perToken)))
	}
	start := time.Now()
	for i, err := range e.batch.Step(ctx, gs, prompt) {
		if jobs[i].err = err; err != nil && jobs[i].ctx.Err() != nil {
			jobs[i].err = jobs[i].ctx.Err() // the step only knows that it was cut off
		}
	}
	for _, g := range gs {
		before -= g.Unread()
	}
	if before > leastPrompt/2 {
		took := time.Since(start) / time.Duration(before)
		if e.perToken == 0 {
			e.perToken = took
		}
		e.perToken += (took - e.perToken) / 4
	}
}
