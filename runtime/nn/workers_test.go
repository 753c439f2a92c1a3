package nn

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// TestWorkersTasks: each task runs once, whatever tasks take, and no two at a time as the same worker.
func TestWorkersTasks(t *testing.T) {
	for n := 1; n <= 8; n++ {
		for _, tasks := range []int{0, 1, 2, 3, 17, 200} {
			t.Run(fmt.Sprintf("workers=%d/tasks=%d", n, tasks), func(t *testing.T) {
				ran, busy := make([]atomic.Int32, tasks), make([]atomic.Int32, n)
				var work atomic.Int64
				for range 5 {
					workers{n}.run(tasks, func(worker, i int) {
						if busy[worker].Add(1) != 1 {
							t.Error("a worker has two tasks")
						}
						for range i % 7 * 50 {
							work.Add(1)
						}
						ran[i].Add(1)
						busy[worker].Add(-1)
					})
				}
				for i := range ran {
					if c := ran[i].Load(); c != 5 {
						t.Fatalf("task %d ran %d times of 5", i, c)
					}
				}
			})
		}
	}
}

// TestWorkersTogether: jobs that run at the same time, as those of several texts do, do not get each other's tasks.
func TestWorkersTogether(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				var sum atomic.Int64
				workers{3}.run(50, func(_, i int) { sum.Add(int64(i)) })
				if sum.Load() != 49*50/2 {
					t.Errorf("tasks sum up to %d", sum.Load())
				}
			}
		})
	}
	wg.Wait()
}

// TestWorkersAlone: a worker whose helpers never come does all tasks itself.
func TestWorkersAlone(t *testing.T) {
	j := &job{f: func(int, int) {}, spans: make([]span, 4), done: make(chan struct{})}
	for i := range j.spans {
		j.spans[i].put(10*i, 10*i+10)
	}
	j.left.Store(40)
	if !j.free() {
		t.Error("no tasks are free")
	}
	j.work(0)
	if <-j.done; j.left.Load() != 0 || j.free() {
		t.Errorf("%d tasks are left", j.left.Load())
	}
}
