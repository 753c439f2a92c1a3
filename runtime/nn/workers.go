package nn

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// workers runs tasks on n goroutines. Tasks write to places of their own, so their order does not matter.
type workers struct{ n int }

// run calls f once for each task of 0 to tasks-1; worker, below n, tells calls that run at the same time apart.
// It waits for tasks, not for goroutines: one that gets no core before the tasks are gone delays nobody.
func (w workers) run(tasks int, f func(worker, task int)) {
	n := min(w.n, tasks)
	if n <= 1 {
		for i := range tasks {
			f(0, i)
		}
		return
	}
	j := &job{f: f, spans: make([]span, n), done: make(chan struct{})}
	for i := range j.spans {
		j.spans[i].put(i*tasks/n, (i+1)*tasks/n)
	}
	j.left.Store(int64(tasks))
	offered.Store(j)
	for have := int(waiting.Load()); have < n-1; have++ {
		go help()
	}
	j.work(0)
	if j.left.Load() > 0 && !spin(func() bool { return j.left.Load() == 0 }) {
		<-j.done
	}
	offered.CompareAndSwap(j, nil)
	if f := j.fault.Load(); f != nil {
		panic(*f)
	}
}

// job is tasks being run. Each worker begins with a span of its own, since rows that lie one behind the other are read
// fastest by one core; who is done takes half of what another has left.
type job struct {
	f      func(worker, task int)
	spans  []span // by worker
	joined atomic.Int64
	left   atomic.Int64
	done   chan struct{} // closed with the last task
	fault  atomic.Pointer[fault]
}

// span is tasks of a worker's, first<<32 | end, in a cache line of its own.
type span struct {
	atomic.Uint64
	_ [56]byte
}

func (s *span) put(first, end int) { s.Store(uint64(first)<<32 | uint64(end)) }

// take takes the first task, or with half the last half of them.
func (s *span) take(half bool) (first, end int, ok bool) {
	for {
		old := s.Load()
		first, end = int(old>>32), int(old&(1<<32-1))
		if first >= end {
			return 0, 0, false
		}
		cut, rest := first+1, uint64(first+1)<<32|uint64(end)
		if half {
			cut = (first + end) / 2
			first, rest = cut, uint64(first)<<32|uint64(cut)
		} else {
			end = cut
		}
		if s.CompareAndSwap(old, rest) {
			return first, end, true
		}
	}
}

func (j *job) work(worker int) {
	own := &j.spans[worker]
	for {
		done := int64(0)
		for i, _, ok := own.take(false); ok; i, _, ok = own.take(false) {
			j.call(worker, i)
			done++
		}
		if done > 0 && j.left.Add(-done) == 0 {
			close(j.done)
		}
		if !j.steal(own) {
			return
		}
	}
}

// steal fills the span with tasks of another.
func (j *job) steal(own *span) bool {
	for i := range j.spans {
		if first, end, ok := j.spans[i].take(true); ok {
			own.put(first, end)
			return true
		}
	}
	return false
}

// free reports whether tasks wait for a worker.
func (j *job) free() bool {
	for i := range j.spans {
		if s := j.spans[i].Load(); s>>32 < s&(1<<32-1) {
			return true
		}
	}
	return false
}

var (
	offered atomic.Pointer[job] // the newest job
	waiting atomic.Int64        // helpers that look for one
)

// patience is how long a core looks for work before it may sleep: waking it takes as long, and decode has a job every
// hundred microseconds.
const patience = 50 * time.Microsecond

// spin waits for ready, but not for long.
func spin(ready func() bool) bool {
	for start := time.Now(); ; {
		for range 100 {
			if ready() {
				return true
			}
		}
		if time.Since(start) > patience {
			return false
		}
	}
}

// help works on jobs until none is offered for a while.
func help() {
	debug.SetPanicOnFault(true)
	waiting.Add(1)
	var j *job
	id := int64(0)
	for spin(func() bool {
		j = offered.Load()
		if j == nil || j.joined.Load() >= int64(len(j.spans)-1) || !j.free() {
			return false
		}
		id = j.joined.Add(1)
		return id < int64(len(j.spans))
	}) {
		waiting.Add(-1)
		j.work(int(id))
		waiting.Add(1)
	}
	waiting.Add(-1)
}

// grain is the work, in multiplications or so, that is worth handing to another goroutine.
const grain = 1 << 15

// rows calls f for pieces [lo, hi) of n rows that take cost each.
func (w workers) rows(n, cost int, f func(worker, lo, hi int)) {
	step := max(1, grain/max(1, cost), (n+4*w.n-1)/(4*w.n))
	w.run((n+step-1)/step, func(worker, i int) { f(worker, i*step, min(n, (i+1)*step)) })
}

// runErr is run for tasks that can fail: the error of the first failing task, by number, is returned.
func (w workers) runErr(tasks int, f func(worker, task int) error) error {
	errs := make([]error, tasks)
	w.run(tasks, func(worker, i int) { errs[i] = f(worker, i) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
