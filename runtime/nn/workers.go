package nn

import (
	"sync"
	"sync/atomic"
)

// workers runs tasks on n goroutines. Tasks write to places of their own, so their order does not matter.
type workers struct{ n int }

// run calls f once for each task of 0 to tasks-1; worker, below n, tells calls that run at the same time apart.
func (w workers) run(tasks int, f func(worker, task int)) {
	n := min(w.n, tasks)
	if n <= 1 {
		for i := range tasks {
			f(0, i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range n {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < tasks; i = int(next.Add(1)) - 1 {
				f(worker, i)
			}
		})
	}
	wg.Wait()
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
