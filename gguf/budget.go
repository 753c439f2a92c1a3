package gguf

import (
	"context"
	"sync"
)

// budget bounds the bytes in flight. One goroutine takes, in commit order; so
// the slab that is due never waits for memory that later ones hold.
type budget struct {
	mu    sync.Mutex
	cond  *sync.Cond
	total int64
	free  int64
}

func newBudget(total int64) *budget {
	b := &budget{total: total, free: total}
	b.cond = sync.NewCond(&b.mu)
	return b
}

// take waits for n bytes (a larger n than the whole budget waits for all of it) and returns what give must give back.
func (b *budget) take(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.total)
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.cond.Broadcast()
	})
	defer stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.free < n {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		b.cond.Wait()
	}
	b.free -= n
	return n, ctx.Err()
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.cond.Broadcast()
}

// buffers recycles slabs' buffers, so that memory stays bounded by the budget and not by when the collector runs.
type buffers struct {
	mu    sync.Mutex
	limit int64 // bytes kept at most
	kept  int64 // bytes in free
	free  [][]byte
}

// get is a buffer of n bytes with arbitrary contents. Its capacity is at most
// 2n: a large one lent to a small slab would not be in the budget.
func (p *buffers) get(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range p.free {
		if cap(b) >= n && cap(b)/2 <= n {
			p.drop(i)
			return b[:n]
		}
	}
	if len(p.free) > 0 {
		p.drop(0) // fits no longer; its room goes to the new one
	}
	return make([]byte, n)
}

// put keeps b for another slab, or leaves it to the collector.
func (p *buffers) put(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept+int64(cap(b)) <= p.limit {
		p.free = append(p.free, b)
		p.kept += int64(cap(b))
	}
}

// drop takes buffer i off the list.
func (p *buffers) drop(i int) {
	last := len(p.free) - 1
	p.kept -= int64(cap(p.free[i]))
	p.free[i] = p.free[last]
	p.free = p.free[:last]
}
