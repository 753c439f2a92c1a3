package nn

import "sync/atomic"

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
	j := &job{f: f, tasks: int64(tasks), workers: int64(n), done: make(chan struct{})}
	j.left.Store(int64(tasks))
	offered.Store(j)
	for have := int(waiting.Load()); have < n-1; have++ {
		go help()
	}
	j.work(0)
	for i := 0; i < waitSteps && j.left.Load() > 0; i++ { // others are often about to be done
	}
	if j.left.Load() > 0 {
		<-j.done
	}
	offered.CompareAndSwap(j, nil)
}

// job is tasks being run.
type job struct {
	f          func(worker, task int)
	tasks      int64
	workers    int64
	joined     atomic.Int64 // helpers
	next, left atomic.Int64
	done       chan struct{} // closed with the last task
}

func (j *job) work(worker int) {
	for i := j.next.Add(1) - 1; i < j.tasks; i = j.next.Add(1) - 1 {
		j.f(worker, int(i))
		if j.left.Add(-1) == 0 {
			close(j.done)
		}
	}
}

var (
	offered atomic.Pointer[job] // the newest job
	waiting atomic.Int64        // helpers that look for one
)

// waitSteps is some microseconds: a core that sleeps takes longer to wake, and decode has a job every hundred.
const waitSteps = 10000

// help works on jobs until none is offered for a while.
func help() {
	waiting.Add(1)
	for i := 0; i < waitSteps; i++ {
		j := offered.Load()
		if j == nil || j.next.Load() >= j.tasks || j.joined.Load() >= j.workers-1 {
			continue
		}
		if id := j.joined.Add(1); id < j.workers {
			waiting.Add(-1)
			j.work(int(id))
			waiting.Add(1)
			i = 0
		}
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
