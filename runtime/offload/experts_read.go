package offload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// maxReaders is the number of reads in flight: disks reach their bandwidth with several.
const maxReaders = 8

// readBytes is what is read at once of a larger part, in whole pages.
const readBytes = 2 << 20

// task is one read: bytes lo to hi of a part's memory.
type task struct {
	e      *entry
	part   int
	lo, hi int64
}

// tasks are the reads of an expert.
func (c *Experts) tasks(e *entry) []task {
	var out []task
	for i := range c.groups[e.group].parts {
		p := &c.groups[e.group].parts[i]
		data := p.data(e)
		e.parts[i] = data
		if p.file == nil {
			out = append(out, task{e, i, 0, p.bytes})
			continue
		}
		end := up(p.begin(e.expert)%pageBytes+p.bytes, pageBytes)
		for lo := int64(0); lo < end; lo += readBytes {
			out = append(out, task{e, i, lo, min(lo+readBytes, end)})
		}
	}
	e.left = len(out)
	return out
}

// begin is where an expert's rows lie in the file. Its memory begins with the page that they begin in.
func (p *part) begin(expert int) int64 { return p.off + int64(expert)*p.bytes }

// data is the place of an expert's rows in its memory.
func (p *part) data(e *entry) []byte {
	at := p.at
	if p.file != nil {
		at += p.begin(e.expert) % pageBytes
	}
	return e.mem[at:][:p.bytes:p.bytes]
}

// promote has the reads of an expert that is needed now not wait any longer for others'.
func (c *Experts) promote(e *entry) {
	for _, t := range c.ahead {
		if t.e == e {
			c.demand = append(c.demand, t)
		}
	}
	c.ahead = slices.DeleteFunc(c.ahead, func(t task) bool { return t.e == e })
}

// startReaders sees to it that reads are done. Readers end when there is nothing left to read.
func (c *Experts) startReaders() {
	for n := min(maxReaders, c.readers+len(c.demand)+len(c.ahead)); c.readers < n; c.readers++ {
		if c.readers == 0 {
			c.busy = time.Now()
		}
		go c.reader()
	}
}

func (c *Experts) reader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		t, ok := c.next()
		if !ok {
			break
		}
		t.e.started = true
		p := &c.groups[t.e.group].parts[t.part]
		c.mu.Unlock()
		n, err := c.read(p, t)
		c.mu.Lock()
		c.stats.BytesRead += int64(n)
		c.done(t.e, err)
	}
	c.readers--
	if c.readers == 0 {
		c.stats.ReadTime += time.Since(c.busy).Seconds()
	}
	c.change.Broadcast()
}

// next is a read to be done: of what is needed before what is read ahead.
func (c *Experts) next() (task, bool) {
	for _, q := range []*[]task{&c.demand, &c.ahead} {
		if len(*q) > 0 {
			t := (*q)[0]
			*q = (*q)[1:]
			return t, true
		}
	}
	return task{}, false
}

// done counts a read of an expert.
func (c *Experts) done(e *entry, err error) {
	if err != nil && e.err == nil {
		e.err = err
	}
	if e.left--; e.left > 0 {
		return
	}
	if e.err != nil && e.pins == 0 {
		release(c.remove(e))
	}
	c.change.Broadcast()
}

// read does a task: past the page cache where it can, else so that the pages are dropped again. It returns the number of bytes read.
func (c *Experts) read(p *part, t task) (int, error) {
	if p.file == nil {
		dst := p.data(t.e)
		return len(dst), c.src.ReadRows(context.Background(), p.tensor, t.e.expert*p.rows, p.rows, dst)
	}
	begin := p.begin(t.e.expert)
	from := begin - begin%pageBytes + t.lo
	need := int(min(from+t.hi-t.lo, begin+p.bytes) - from) // a file may end within its last page
	dst := t.e.mem[p.at+t.lo : p.at+t.hi]
	if p.direct != nil {
		n, err := p.direct.ReadAt(dst, from)
		if n >= need {
			return n, nil
		}
		if !errors.Is(err, errNotDirect) {
			return n, p.fail(t.e.expert, err)
		}
	}
	n, err := p.file.ReadAt(dst[:need], from)
	if n < need {
		return n, p.fail(t.e.expert, err)
	}
	if f, ok := p.file.(*os.File); ok {
		dropPages(f, from, int64(need))
	}
	return n, nil
}

func (p *part) fail(expert int, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file was whole when it was opened
	}
	where := ""
	if f, ok := p.file.(*os.File); ok {
		where = f.Name() + ": "
	}
	return fmt.Errorf("offload: %stensor %q, expert %d: %w", where, p.name, expert, err)
}
