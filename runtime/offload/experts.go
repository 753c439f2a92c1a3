package offload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/moeconv/moeconv/gguf"
)

// Experts reads routed experts when they are needed, and keeps the most used of them in memory of a fixed size. An
// expert is the rows that it has in all streamed tensors of its group; it is read and dropped as a whole. All methods may
// be called concurrently.
type Experts struct {
	src    gguf.Source
	groups []group
	budget int64
	direct map[*os.File]*os.File // files opened past the page cache; nil values: that cannot be

	mu      sync.Mutex
	change  *sync.Cond // an expert was read, or let go of
	entries []*entry
	used    int64 // bytes of entries
	demand  []task
	ahead   []task
	readers int   // that run
	failed  error // no more can be read: there is no memory, or the cache is closed
	stats   Stats
	busy    time.Time // since when readers run
}

// Stats is what a cache of experts did.
type Stats struct {
	CacheBytes int64   `json:"cache_bytes"`
	Cached     int     `json:"cached_experts"`
	Experts    int     `json:"experts"`
	Hits       int64   `json:"hits"`       // experts that were there when they were needed, or on the way
	Misses     int64   `json:"misses"`     // others
	BytesRead  int64   `json:"bytes_read"` // what was read ahead and from the page cache included
	ReadTime   float64 `json:"read_s"`     // seconds in which something was read
	Stalls     float64 `json:"stall_s"`    // seconds in which computing waited for reads
	Useful     int64   `json:"prefetch_useful"`
	Useless    int64   `json:"prefetch_useless"` // read ahead and dropped without use
}

// group is the streamed tensors of a block whose experts go together.
type group struct {
	parts   []part
	experts int
	size    int64     // bytes of memory that an expert takes
	score   []float64 // by expert: its uses, newer ones weighing more
	weight  float64   // of a use now
	in      []*entry  // by expert; nil where it is not in memory
}

// part is what a tensor has of each expert.
type part struct {
	tensor int
	name   string
	rows   int
	bytes  int64       // of an expert's rows
	file   io.ReaderAt // nil: rows are read through the source
	off    int64       // in file, of the first expert
	direct *os.File    // file past the page cache; nil: there is no such way
	at     int64       // in the expert's memory
}

// entry is an expert in memory, or on the way there.
type entry struct {
	group, expert int
	index         int // in Experts.entries
	mem           []byte
	parts         [][]byte
	left          int // reads that are not done
	err           error
	pins          int  // fetches that need it
	ahead         bool // read ahead, and not used yet
	started       bool // a read of it has begun
}

// NewExperts prepares the streaming of src's experts: each group is the indices of stacked tensors of one block.
// Nothing is read yet; src must stay open until Close. It fails when budget bytes do not hold one expert.
func NewExperts(src gguf.Source, groups [][]int, budget int64) (*Experts, error) {
	c := &Experts{src: src, budget: budget, direct: map[*os.File]*os.File{}}
	c.change = sync.NewCond(&c.mu)
	for _, tensors := range groups {
		g, err := c.group(tensors)
		if err != nil {
			c.Close()
			return nil, err
		}
		if g.size > budget {
			c.Close()
			return nil, &CacheError{Bytes: budget, Expert: g.size, Tensor: g.parts[0].name}
		}
		c.groups = append(c.groups, g)
		c.stats.Experts += g.experts
	}
	c.stats.CacheBytes = budget
	return c, nil
}

// CacheError says that a cache does not hold one expert.
type CacheError struct {
	Bytes, Expert int64 // of the cache, of the expert
	Tensor        string
}

func (e *CacheError) Error() string {
	return fmt.Sprintf("offload: an expert of %s and the tensors beside it has %.2f MiB, the cache of experts %.2f", e.Tensor, mib(e.Expert), mib(e.Bytes))
}

// Hint is the next step for a user.
func (e *CacheError) Hint() string {
	return "a larger --expert-ram or --ram holds more; the experts that a token uses should fit at least"
}

func (c *Experts) group(tensors []int) (group, error) {
	g := group{weight: 1}
	for _, t := range tensors {
		info := c.src.Tensors()[t]
		n := info.Shape.NE(2)
		if len(g.parts) == 0 {
			g.experts = int(n)
		}
		if n < 1 || int(n) != g.experts {
			return g, fmt.Errorf("offload: tensor %q has %d experts, another of its block %d", info.Name, n, g.experts)
		}
		p := part{tensor: t, name: info.Name, rows: int(info.Shape.NE(1)), bytes: info.Shape.NE(1) * info.RowBytes(), at: g.size}
		if r, ok := c.src.(gguf.Ranger); ok {
			if file, off, _, ok := r.Range(t); ok {
				p.file, p.off = file, off
				p.direct = c.openDirect(file)
			}
		}
		g.parts = append(g.parts, p)
		g.size += ExpertBytes(info)
	}
	g.score, g.in = make([]float64, g.experts), make([]*entry, g.experts)
	return g, nil
}

// openDirect is file opened past the page cache, once for all tensors in it.
func (c *Experts) openDirect(r io.ReaderAt) *os.File {
	file, ok := r.(*os.File)
	if !ok {
		return nil
	}
	d, known := c.direct[file]
	if !known {
		d = openDirect(file)
		c.direct[file] = d
	}
	return d
}

// Stats is what the cache did so far.
func (c *Experts) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Cached = len(c.entries)
	if c.readers > 0 {
		s.ReadTime += time.Since(c.busy).Seconds()
	}
	return s
}

// Close waits for reads that run and lets go of the memory. Nothing that a Fetch returned may be used afterwards.
func (c *Experts) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = errors.New("offload: the cache of experts is closed")
	c.demand, c.ahead = nil, nil
	for c.readers > 0 {
		c.change.Wait()
	}
	for _, e := range c.entries {
		c.groups[e.group].in[e.expert] = nil
		release(e.mem)
	}
	c.entries, c.used = nil, 0
	var err error
	for _, f := range c.direct {
		if f != nil {
			if e := f.Close(); e != nil && err == nil {
				err = e
			}
		}
	}
	c.direct = nil
	return err
}

// pageBytes is what offsets, lengths and memory of direct reads are multiples of.
const pageBytes = 4096

// ExpertBytes is the memory that an expert's rows in a stacked tensor take: reads begin and end at whole pages.
func ExpertBytes(t gguf.TensorInfo) int64 {
	return up(t.Shape.NE(1)*t.RowBytes(), pageBytes) + pageBytes
}

func up(n, to int64) int64 { return (n + to - 1) / to * to }
