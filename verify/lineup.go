package verify

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/moeconv/moeconv/gguf"
)

// peer is a file of a set, as those that are compared with one source together know it.
type peer struct {
	name  string
	bytes int64 // of all shards
	open  func() (gguf.Source, error)
}

// lineup is the files of a set before their source: its sampled rows are read once, looked at, compared with every file's
// and encoded again as each has them. The rows are the same for all files, by the seed.
type lineup struct {
	*Subject
	refs    []gguf.TensorInfo
	units   []unit // of the source
	seen    []scanned
	sampler sampler
	audits  map[string]*audit // by the file's name
	files   []*audit          // the same, in order
}

// lineup is that of s's set, made by the first check that asks.
func (s *Subject) lineup(ctx context.Context) (*lineup, error) {
	c := s.common()
	if c.lineup != nil && (s.Source == nil || c.lineup.audits[s.Name].of(s.Source)) {
		return c.lineup, nil
	}
	l := &lineup{Subject: s, refs: s.Reference.Tensors(), audits: map[string]*audit{}}
	l.units, l.sampler = unitsOf(l.refs), s.sampler(l.refs)
	l.seen = make([]scanned, len(l.units))
	defer l.release()
	if s.Source != nil {
		l.add(s.Name, s.Source)
	}
	for _, p := range c.peers {
		if p.name == s.Name || c.lineup != nil {
			continue
		}
		if src, err := p.open(); err == nil { // else it is for the file's own checks to say so
			if f, ok := src.(*gguf.File); ok {
				src = f.Bare()
			}
			l.add(p.name, src)
		}
	}
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	if c.lineup != nil {
		maps.Copy(c.lineup.audits, l.audits)
		return c.lineup, nil
	}
	c.lineup = l
	return l, nil
}

// add is a file to compare.
func (l *lineup) add(name string, src gguf.Source) {
	a := newAudit(l, src)
	l.audits[name], l.files = a, append(l.files, a)
}

// release lets go of files that were opened for the comparison alone.
func (l *lineup) release() {
	for _, a := range l.files {
		if c, ok := a.file.(io.Closer); ok && a.file != l.Source {
			c.Close()
		}
		a.file = nil
	}
}

// run reads the sampled rows of every unit of the source. Reading at many places waits for the disk more than it works, so
// that there are more workers than CPUs, as far as memory allows.
func (l *lineup) run(ctx context.Context) error {
	srcs := []gguf.Source{l.Reference}
	for _, a := range l.files {
		if len(srcs) < 2 || slabCost(a.file) > slabCost(srcs[1]) {
			srcs = append(srcs[:1], a.file)
		}
	}
	n := l.workers(srcs...)
	if !l.sampler.whole() && l.Workers == 0 {
		n = l.affordable(max(n, sampleWorkers), srcs...)
	}
	workers := make([]lineupWorker, n)
	for i := range workers {
		workers[i] = lineupWorker{lineup: l, theirs: reader{src: l.Reference}}
	}
	var done atomic.Int64
	report := l.progress("fidelity")
	return each(ctx, len(l.units), n, func(w, i int) error {
		workers[w].unit(ctx, i)
		report(done.Add(1), int64(len(l.units)))
		return ctx.Err()
	})
}

// lineupWorker has the buffers of one worker.
type lineupWorker struct {
	*lineup
	mine, theirs  reader
	plain, matrix []byte // a row, encoded again
}

// pending is a file's part in a unit that is being read.
type pending struct {
	a    *audit
	at   int // of the unit in the file's
	rows []int
}

// unit compares one unit of the source.
func (w *lineupWorker) unit(ctx context.Context, i int) {
	u := w.units[i]
	t := w.refs[u.tensor]
	if !readable(t.Type) {
		w.seen[i].skipped = true
		return
	}
	spans := w.sampler.spans(t, u)
	rows := rowsIn(spans)
	step := w.theirs.step(u.tensor, t)
	var files []pending
	for _, a := range w.files {
		at, ok := a.first[u.tensor]
		if at += max(0, u.expert); !ok || a.got[at].skipped {
			continue
		}
		files = append(files, pending{a, at, a.encoded(at, rows)})
		step = max(step, stepOf(a.file, a.units[at].tensor, a.tensors[a.units[at].tensor]))
	}
	for _, sp := range spans {
		for _, f := range files {
			f.a.got[f.at].begin(sp)
		}
		for row := sp.row; row < sp.row+sp.n; row += step {
			n := min(step, sp.row+sp.n-row)
			if err := w.rows(ctx, i, row, n, sp.shared, files); err != nil {
				w.seen[i].err = err
				for _, f := range files {
					f.a.got[f.at].err = err
				}
				return
			}
		}
	}
	if s := &w.seen[i]; !s.nonzero && !w.sampler.whole() {
		*s = scanUnit(ctx, &w.theirs, u, 1)
	}
}

// rows compares n rows of a unit, from row of the tensor on. The error is of the source.
func (w *lineupWorker) rows(ctx context.Context, i, row, n int, shared bool, files []pending) error {
	u := w.units[i]
	t := w.refs[u.tensor]
	if err := w.theirs.fetch(ctx, u.tensor, row, n); err != nil {
		return err
	}
	seen, sum := &w.seen[i], w.seen[i].sum
	if err := seen.slab(&w.theirs, t, row-u.row, 1); err != nil {
		return err
	}
	if !shared {
		seen.sum = sum
	}
	for _, f := range files {
		got := &f.a.got[f.at]
		if got.err != nil {
			continue
		}
		mu := f.a.units[f.at]
		mt := f.a.tensors[mu.tensor]
		w.mine.src = f.a.file
		if got.err = w.mine.read(ctx, mu.tensor, mu.row+row-u.row, n); got.err != nil {
			continue
		}
		got.add(w.mine.vals, w.theirs.vals, row-u.row, int(mt.Shape.NE(0)), toleranceOf(mt.Type))
		for _, r := range f.rows {
			if r >= row && r < row+n {
				got.again.row(w, r-row, r)
			}
		}
	}
	return nil
}

// rowsIn lists the rows of spans.
func rowsIn(spans []sampled) []int {
	var out []int
	for _, sp := range spans {
		for r := range sp.n {
			out = append(out, sp.row+r)
		}
	}
	return out
}

// spread picks n of rows, evenly.
func spread(rows []int, n int) []int {
	if n >= len(rows) {
		return rows
	}
	var out []int
	for i := range n {
		out = append(out, rows[i*(len(rows)-1)/max(1, n-1)])
	}
	return slices.Compact(out)
}
