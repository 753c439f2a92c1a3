package offload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moeconv/moeconv/gguf"
)

// stacked is a source of stacked experts, of known bytes: by rows, from memory, or from a file.
type stacked struct {
	tensors []gguf.TensorInfo
	offs    []int64
	data    []byte
	read    atomic.Int64 // bytes
	broken  atomic.Int64 // reads of the byte of this number fail; 0: none
	slow    time.Duration
}

const blocks, experts = 4, 16

func newStacked() *stacked {
	s := &stacked{data: make([]byte, 37)} // tensors begin anywhere
	for b := range blocks {
		for i, role := range []string{"gate", "up", "down"} {
			t := gguf.TensorInfo{Name: fmt.Sprintf("blk.%d.ffn_%s_exps.weight", b, role), Type: gguf.F32, Shape: gguf.Shape{64, int64(11 + b/2 + i), experts}}
			s.tensors, s.offs = append(s.tensors, t), append(s.offs, int64(len(s.data)))
			s.data = append(s.data, make([]byte, t.Bytes())...)
		}
	}
	r := rand.NewChaCha8([32]byte{1})
	r.Read(s.data)
	return s
}

func (s *stacked) Metadata() *gguf.Metadata   { return &gguf.Metadata{} }
func (s *stacked) Tensors() []gguf.TensorInfo { return s.tensors }

func (s *stacked) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(s.tensors, tensor, row, n, dst); err != nil {
		return err
	}
	if _, err := s.ReadAt(dst, s.offs[tensor]+int64(row)*s.tensors[tensor].RowBytes()); err != nil {
		return fmt.Errorf("tensor %q: %w", s.tensors[tensor].Name, err)
	}
	return nil
}

var errBroken = errors.New("the disk is broken")

func (s *stacked) ReadAt(dst []byte, off int64) (int, error) {
	time.Sleep(s.slow)
	n := copy(dst, s.data[off:])
	s.read.Add(int64(n))
	if b := s.broken.Load(); b > 0 && off <= b && b < off+int64(n) {
		return 0, errBroken
	}
	if n < len(dst) {
		return n, io.EOF
	}
	return n, nil
}

// ranged has its bytes be read at offsets.
type ranged struct {
	*stacked
	file io.ReaderAt
}

func (r ranged) Range(t int) (io.ReaderAt, int64, int64, bool) {
	return r.file, r.offs[t], r.tensors[t].Bytes(), true
}

// sources are the ways in which experts are read.
func sources(t *testing.T, s *stacked) map[string]gguf.Source {
	name := filepath.Join(t.TempDir(), "model")
	if err := os.WriteFile(name, s.data, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return map[string]gguf.Source{"rows": s, "ranges": ranged{s, s}, "file": ranged{s, f}}
}

func newExperts(t *testing.T, src gguf.Source, budget int64) *Experts {
	t.Helper()
	var groups [][]int
	for b := range blocks {
		groups = append(groups, []int{3 * b, 3*b + 1, 3*b + 2})
	}
	c, err := NewExperts(src, groups, budget)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// needs is starts for these experts, a use each.
func needs(list ...int) []int {
	starts := make([]int, experts+1)
	for _, e := range list {
		starts[e+1]++
	}
	for e := range experts {
		starts[e+1] += starts[e]
	}
	return starts
}

// take takes all experts of a fetch, compares their bytes and counts them.
func take(s *stacked, f *Fetch) (int, error) {
	defer f.Close()
	for n := 0; ; {
		list, err := f.Next()
		if err != nil || len(list) == 0 {
			return n, err
		}
		n += len(list)
		for _, l := range list {
			for i, data := range l.Parts {
				t := 3*f.group + i
				size := s.tensors[t].Bytes() / experts
				if want := s.data[s.offs[t]+int64(l.Expert)*size:][:size]; !bytes.Equal(data, want) {
					return n, fmt.Errorf("tensor %d, expert %d: other bytes", t, l.Expert)
				}
			}
		}
	}
}

func mustTake(t *testing.T, s *stacked, f *Fetch, want int) {
	t.Helper()
	if n, err := take(s, f); n != want || err != nil {
		t.Fatalf("%d experts, want %d: %v", n, want, err)
	}
}

// largest is the memory of the largest expert.
func largestExpert(c *Experts) int64 {
	var n int64
	for _, g := range c.groups {
		n = max(n, g.size)
	}
	return n
}

// Any cache, even of one expert, brings all experts, each once, and never holds more than its budget.
func TestFetch(t *testing.T) {
	s := newStacked()
	for name, src := range sources(t, s) {
		for _, room := range []int64{1, 3, 40, 1000} {
			c := newExperts(t, src, room*largestExpert(newExperts(t, src, 1<<30)))
			r := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				g, list := r.IntN(blocks), r.Perm(experts)[:1+r.IntN(experts)]
				mustTake(t, s, c.Fetch(t.Context(), g, 1, needs(list...)), len(list))
				if c.used > c.budget {
					t.Fatalf("%s: %d bytes in a cache of %d", name, c.used, c.budget)
				}
			}
			st := c.Stats()
			if all := int64(blocks * experts); room == 1000 && (st.Misses > all || st.Hits == 0 || int64(st.Cached) != st.Misses) {
				t.Errorf("%s: a cache of everything: %+v", name, st)
			}
			if room == 1 && st.Cached != 1 {
				t.Errorf("%s: a cache of one: %+v", name, st)
			}
		}
	}
}

// Each miss is read once, in whole pages at most.
func TestBytesRead(t *testing.T) {
	s := newStacked()
	for name, src := range sources(t, s) {
		c := newExperts(t, src, 1<<30)
		s.read.Store(0)
		var want int64
		for g := range blocks {
			list := []int{g, 5, 9}
			for range 3 {
				mustTake(t, s, c.Fetch(t.Context(), g, 1, needs(list...)), 3)
			}
			for i := range 3 {
				want += 3 * s.tensors[3*g+i].Bytes() / experts
			}
		}
		most := want + 2*pageBytes*3*3*blocks
		if n := s.read.Load(); name != "file" && (n < want || n > most) {
			t.Errorf("%s: %d bytes were read, want %d to %d", name, n, want, most)
		}
		st := c.Stats()
		if st.BytesRead < want || st.BytesRead > most || st.Hits != 24 || st.Misses != 12 || st.Cached != 12 || st.ReadTime <= 0 {
			t.Errorf("%s: %+v, want %d bytes", name, st, want)
		}
	}
}

// The experts that are used most stay, though many others are used once, and what was popular long ago does not.
func TestEviction(t *testing.T) {
	s := newStacked()
	c := newExperts(t, s, 0x7fffffff)
	c.budget = 6 * largestExpert(c)
	for i := range 200 {
		mustTake(t, s, c.Fetch(t.Context(), 0, 1, needs(1, 2, 3, 4+i%12)), 4)
	}
	for e, in := range c.groups[0].in[:4] {
		if (e > 0) != (in != nil) {
			t.Errorf("expert %d: %v", e, in)
		}
	}
	if st := c.Stats(); st.Hits < 3*199 {
		t.Errorf("%+v", st)
	}
	for i := range 2000 {
		mustTake(t, s, c.Fetch(t.Context(), 0, 1, needs(5, 6, 7, 8+i%4)), 4)
	}
	for _, e := range []int{1, 2, 3} {
		if c.groups[0].in[e] != nil {
			t.Errorf("expert %d is there yet", e)
		}
	}
}

// An expert that cannot be read is an error that names its tensor; the others go on, and so does it when the disk is well.
func TestReadError(t *testing.T) {
	s := newStacked()
	for name, src := range map[string]gguf.Source{"rows": s, "ranges": ranged{s, s}} {
		c := newExperts(t, src, 1<<30)
		s.broken.Store(s.offs[7] + 3*s.tensors[7].Bytes()/experts + 10000%s.tensors[7].Bytes()/experts)
		_, err := take(s, c.Fetch(t.Context(), 2, 1, needs(1, 3, 5)))
		if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), `"blk.2.ffn_up_exps.weight"`) {
			t.Errorf("%s: %v", name, err)
		}
		mustTake(t, s, c.Fetch(t.Context(), 2, 1, needs(8, 9)), 2)
		s.broken.Store(0)
		mustTake(t, s, c.Fetch(t.Context(), 2, 1, needs(1, 3, 5)), 3)
	}
	s.data = s.data[:len(s.data)-100]
	c := newExperts(t, ranged{s, s}, 1<<30)
	if _, err := take(s, c.Fetch(t.Context(), 3, 1, needs(0, 15))); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "blk.3.ffn_down_exps.weight") {
		t.Errorf("a file that became shorter: %v", err)
	}
}

// Fetches at the same time share a cache that holds fewer experts than they need together.
func TestFetchTogether(t *testing.T) {
	s := newStacked()
	for name, src := range sources(t, s) {
		c := newExperts(t, src, 1<<30)
		c.budget = 2 * largestExpert(c)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 3))
				for range 10 {
					list := r.Perm(experts)[:6]
					g := r.IntN(blocks)
					if i%2 == 0 {
						c.Prefetch((g+1)%blocks, r.Perm(experts)[:4])
					}
					if n, err := take(s, c.Fetch(t.Context(), g, 1, needs(list...))); n != 6 || err != nil {
						t.Errorf("%s: %d experts: %v", name, n, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

// What is read ahead is there when it is needed, and what was not needed is counted and gives way.
func TestPrefetch(t *testing.T) {
	s := newStacked()
	c := newExperts(t, s, 1<<30)
	c.Prefetch(1, []int{2, 3, 4})
	mustTake(t, s, c.Fetch(t.Context(), 1, 1, needs(2, 3, 8)), 3)
	if st := c.Stats(); st.Useful != 2 || st.Useless != 1 || st.Hits != 2 || st.Misses != 1 {
		t.Errorf("%+v", st)
	}
	c.budget = 5 * largestExpert(c)
	for i := 0; i < 500 && c.Foresees(); i++ {
		c.Prefetch(0, []int{(2 * i) % 15, (2*i + 1) % 15})
		mustTake(t, s, c.Fetch(t.Context(), 0, 1, needs(15)), 1)
	}
	if st := c.Stats(); c.Foresees() || st.Useful+st.Useless < trial {
		t.Errorf("reading ahead for nothing goes on: %+v", st)
	}
	c.budget = 4 * largestExpert(c)
	c.Prefetch(2, []int{1, 2, 3, 4, 5, 6})
	mustTake(t, s, c.Fetch(t.Context(), 3, 1, needs(0, 1, 2, 3, 4, 5)), 6)
	if c.used > c.budget {
		t.Errorf("%d bytes in a cache of %d", c.used, c.budget)
	}
}

// A fetch ends with its context, a cache with Close, and neither leaves a reader behind.
func TestFetchEnds(t *testing.T) {
	before := goruntime.NumGoroutine()
	s := newStacked()
	s.slow = 5 * time.Millisecond
	c := newExperts(t, s, 1<<30)
	ctx, cancel := context.WithCancel(t.Context())
	f := c.Fetch(ctx, 0, 1, needs(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
	cancel()
	if _, err := take(s, f); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	c.Prefetch(1, []int{1, 2, 3, 4, 5, 6, 7, 8, 9})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := take(s, c.Fetch(t.Context(), 0, 1, needs(1))); err == nil {
		t.Error("a closed cache reads")
	}
	for i := 0; goruntime.NumGoroutine() > before; i++ {
		if i > 500 {
			t.Fatalf("%d goroutines, before there were %d", goruntime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCacheTooSmall(t *testing.T) {
	s := newStacked()
	var small *CacheError
	if _, err := NewExperts(s, [][]int{{0, 1, 2}}, 5000); !errors.As(err, &small) || small.Hint() == "" {
		t.Errorf("%v", err)
	}
	s.tensors[1].Shape = gguf.Shape{64, 12, experts / 2}
	if _, err := NewExperts(s, [][]int{{0, 1, 2}}, 1<<30); err == nil || !strings.Contains(err.Error(), "blk.0.ffn_up_exps.weight") {
		t.Errorf("%v", err)
	}
}
