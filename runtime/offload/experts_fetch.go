package offload

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Fetch is experts of one group that a batch of tokens needs, on their way.
type Fetch struct {
	c       *Experts
	ctx     context.Context
	group   int
	waiting []int    // experts that memory was not free for
	begun   []*entry // pinned: in memory, or being read
	out     []*entry // pinned: what Next returned last
}

// Loaded is an expert in memory.
type Loaded struct {
	Expert int
	Parts  [][]byte // its rows in the tensors of its group
}

// halfLife is the number of tokens after which a use weighs half as much as a new one.
const halfLife = 128

// Fetch asks for the experts e of a group with uses starts[e+1]-starts[e] above 0 of a batch of tokens, and begins to read
// those that are not in memory. The caller takes all by Next, or calls Close.
func (c *Experts) Fetch(ctx context.Context, groupNumber, tokens int, starts []int) *Fetch {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &Fetch{c: c, ctx: ctx, group: groupNumber}
	g := &c.groups[groupNumber]
	g.age(tokens)
	for e := range g.experts {
		if uses := starts[e+1] - starts[e]; uses > 0 {
			g.score[e] += float64(uses) * g.weight
			f.want(g, e)
		}
	}
	c.settle(groupNumber)
	f.begin()
	return f
}

// age makes uses to come weigh more than those before.
func (g *group) age(tokens int) {
	g.weight *= math.Exp2(float64(tokens) / halfLife)
	if g.weight < 1e100 {
		return
	}
	for e := range g.score {
		g.score[e] /= g.weight
	}
	g.weight = 1
}

// value is an expert's score in uses of now, which those of other groups can be compared with.
func (c *Experts) value(e *entry) float64 {
	g := &c.groups[e.group]
	return g.score[e.expert] / g.weight
}

// want pins an expert that is there, and puts others on the list.
func (f *Fetch) want(g *group, expert int) {
	e := g.in[expert]
	if e == nil {
		f.c.stats.Misses++
		f.waiting = append(f.waiting, expert)
		return
	}
	f.c.stats.Hits++
	f.pin(e)
}

func (f *Fetch) pin(e *entry) {
	e.pins++
	if e.ahead {
		e.ahead = false
		f.c.stats.Useful++
		f.c.promote(e)
	}
	f.begun = append(f.begun, e)
}

// begin starts to read what memory can be had for.
func (f *Fetch) begin() {
	g := &f.c.groups[f.group]
	for len(f.waiting) > 0 && f.c.failed == nil {
		expert := f.waiting[0]
		e := g.in[expert] // another fetch may have it read meanwhile
		if e == nil {
			if e = f.c.enter(f.group, expert, true); e == nil {
				return
			}
			f.c.demand = append(f.c.demand, f.c.tasks(e)...)
			f.c.startReaders()
		}
		f.waiting = f.waiting[1:]
		f.pin(e)
	}
}

// Next lets go of the experts that it returned before, waits until at least one of the others is in memory, and returns all
// that are; none when there is none left. It fails when ctx ends, and when an expert cannot be read.
func (f *Fetch) Next() ([]Loaded, error) {
	c := f.c
	c.mu.Lock()
	defer c.mu.Unlock()
	f.unpin(f.out)
	f.out = f.out[:0]
	f.begin()
	loaded, err := f.ready()
	if err != nil || len(loaded) > 0 || len(f.begun)+len(f.waiting) == 0 {
		return loaded, err
	}
	start := time.Now()
	defer func() { c.stats.Stalls += time.Since(start).Seconds() }()
	defer context.AfterFunc(f.ctx, c.wake)()
	for err == nil && len(loaded) == 0 {
		if err := f.ctx.Err(); err != nil {
			return nil, err
		}
		if c.failed != nil {
			return nil, c.failed
		}
		c.change.Wait()
		f.begin()
		loaded, err = f.ready()
	}
	return loaded, err
}

// wake has all that wait look again.
func (c *Experts) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change.Broadcast()
}

// ready takes what is in memory.
func (f *Fetch) ready() ([]Loaded, error) {
	var loaded []Loaded
	for i := 0; i < len(f.begun); {
		e := f.begun[i]
		switch {
		case e.left > 0:
			i++
			continue
		case e.err != nil:
			return nil, e.err
		}
		f.begun = slices.Delete(f.begun, i, i+1)
		f.out = append(f.out, e)
		loaded = append(loaded, Loaded{e.expert, e.parts})
	}
	return loaded, nil
}

// Close lets go of all that was asked for.
func (f *Fetch) Close() {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.unpin(f.out)
	f.unpin(f.begun)
	f.out, f.begun, f.waiting = nil, nil, nil
}

func (f *Fetch) unpin(list []*entry) {
	for _, e := range list {
		e.pins--
		if e.pins == 0 && e.err != nil && e.left == 0 {
			release(f.c.remove(e))
		}
	}
	if len(list) > 0 {
		f.c.change.Broadcast()
	}
}

// trial is how many experts are read ahead before that is judged.
const trial = 64

// Foresees reports whether Prefetch is worth its reads: whether most of what it read was used.
func (c *Experts) Foresees() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats.Useful+c.stats.Useless < trial || c.stats.Useful > 2*c.stats.Useless
}

// Prefetch begins to read experts that are expected to be needed next, where nothing that is needed now waits for the disk.
func (c *Experts) Prefetch(groupNumber int, experts []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return
	}
	for _, expert := range experts {
		if c.groups[groupNumber].in[expert] != nil {
			continue
		}
		e := c.enter(groupNumber, expert, false)
		if e == nil {
			break
		}
		e.ahead = true
		c.ahead = append(c.ahead, c.tasks(e)...)
	}
	c.startReaders()
}

// settle ends what was read ahead for a group that is being computed and does not need it.
func (c *Experts) settle(groupNumber int) {
	for _, e := range c.groups[groupNumber].in {
		if e == nil || !e.ahead {
			continue
		}
		e.ahead = false
		c.stats.Useless++
		if !e.started {
			c.ahead = slices.DeleteFunc(c.ahead, func(t task) bool { return t.e == e })
			release(c.remove(e))
		}
	}
}

// enter makes room for an expert: at the cost of what is worth least, and of what is being read ahead only if it must be.
// It is nil where there is no room.
func (c *Experts) enter(groupNumber, expert int, must bool) *entry {
	g := &c.groups[groupNumber]
	mem := c.room(g.size, must)
	if mem == nil {
		return nil
	}
	e := &entry{group: groupNumber, expert: expert, index: len(c.entries), mem: mem, parts: make([][]byte, len(g.parts))}
	c.entries = append(c.entries, e)
	c.used += g.size
	g.in[expert] = e
	return e
}

// room is memory for an expert.
func (c *Experts) room(size int64, must bool) []byte {
	for c.used+size > c.budget {
		e := c.victim(false)
		if e == nil && must {
			e = c.victim(true)
		}
		if e == nil {
			return nil
		}
		if e.ahead {
			c.stats.Useless++
		}
		mem := c.remove(e)
		if int64(len(mem)) == size && c.used+size <= c.budget {
			return mem
		}
		release(mem)
	}
	mem, err := allocate(size)
	if err != nil {
		c.failed = fmt.Errorf("offload: memory of %.2f MiB for an expert: %w", mib(size), err)
		return nil
	}
	return mem
}

// victim is the entry that is worth least, of those that were read ahead or of the others; nil where none is free.
func (c *Experts) victim(ahead bool) *entry {
	var victim *entry
	least := math.Inf(1)
	for _, e := range c.entries {
		if e.pins > 0 || e.left > 0 || e.ahead != ahead {
			continue
		}
		if v := c.value(e); v < least {
			victim, least = e, v
		}
	}
	return victim
}

// remove takes an entry out. Its memory is the caller's.
func (c *Experts) remove(e *entry) []byte {
	last := len(c.entries) - 1
	c.entries[e.index] = c.entries[last]
	c.entries[e.index].index = e.index
	c.entries = c.entries[:last]
	c.groups[e.group].in[e.expert] = nil
	c.used -= int64(len(e.mem))
	mem := e.mem
	e.mem, e.parts = nil, nil
	return mem
}

// rateTime is how long ReadRate reads.
const rateTime = 2 * time.Second

// ReadRate measures how many bytes are read a second when nothing is computed, for two seconds: of groups' experts, one group
// after the other, as far as they are not in memory.
func (c *Experts) ReadRate(ctx context.Context) (float64, error) {
	before, start := c.Stats(), time.Now()
	for i := 0; time.Since(start) < rateTime; i++ {
		g := i % len(c.groups)
		starts := make([]int, c.groups[g].experts+1)
		for e := range starts {
			starts[e] = e
		}
		f := c.Fetch(ctx, g, 1, starts)
		for loaded := 1; loaded > 0; {
			list, err := f.Next()
			if err != nil {
				f.Close()
				return 0, err
			}
			loaded = len(list)
		}
		f.Close()
	}
	after := c.Stats()
	return float64(after.BytesRead-before.BytesRead) / max(1e-9, after.ReadTime-before.ReadTime), nil
}
