package quantize

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

func mustJob(t testing.TB, src gguf.Source, scheme string, o Options) *Job {
	t.Helper()
	s, err := ParseScheme(scheme)
	if err != nil {
		t.Fatal(err)
	}
	j, err := New(src, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// A batch makes what its jobs make alone, for any of them that is asked for, and reads the source once.
func TestBatch(t *testing.T) {
	src := small(nil)
	var read atomic.Int64
	fill := src.fill
	src.fill = func(tensor, row, n int, dst []byte) error {
		read.Add(int64(n))
		return fill(tensor, row, n, dst)
	}
	name := "blk.0.ffn_down_exps.weight"
	sums := make([]float32, 256*3)
	for i := range sums {
		sums[i] = float32(1 + i%97)
	}
	m := matrixOf(t, map[string][]float32{name: sums}, map[string][]float32{name: {2, 3, 5}})
	var jobs []*Job
	for _, s := range []string{"Q4_K_M", "COPY", "Q4_K_S", "Q8_0", "F32", "Q4_K_M", "F16"} {
		jobs = append(jobs, mustJob(t, src, s, Options{}))
	}
	jobs = append(jobs, mustJob(t, src, "Q4_K_M", Options{Imatrix: m}))
	b, err := NewBatch(jobs...)
	if err != nil {
		t.Fatal(err)
	}
	for tensor, info := range jobs[0].Tensors() {
		rows := int(info.Shape.Rows())
		for _, skip := range []int{0, 1, 3} { // every so many jobs are left out
			dst, want := make([][]byte, len(jobs)), make([][]byte, len(jobs))
			first := min(skip, rows-1)
			for i, j := range jobs {
				if skip > 0 && i%skip == 0 && skip > 1 {
					continue
				}
				size := (rows - first) * int(j.Tensors()[tensor].RowBytes())
				dst[i], want[i] = make([]byte, size), make([]byte, size)
				if err := j.ReadRows(context.Background(), tensor, first, rows-first, want[i]); err != nil {
					t.Fatal(err)
				}
			}
			read.Store(0)
			if err := b.ReadRows(context.Background(), tensor, first, rows-first, dst); err != nil {
				t.Fatal(err)
			}
			if n := read.Load(); n != int64(rows-first) {
				t.Errorf("%s: %d rows were read for %d", info.Name, n, rows-first)
			}
			for i := range dst {
				if !bytes.Equal(dst[i], want[i]) {
					t.Errorf("%s: job %d (%v) has other rows in a batch", info.Name, i, jobs[i].scheme)
				}
			}
		}
	}
	if err := b.ReadRows(context.Background(), 0, 0, 1, make([][]byte, len(jobs))); err != nil {
		t.Errorf("nobody wants anything: %v", err)
	}
}

func TestBatchRefusals(t *testing.T) {
	src := small(nil)
	fewer := small(nil)
	fewer.ts = fewer.ts[:3]
	other := small(nil)
	other.ts = append([]gguf.TensorInfo{}, other.ts...)
	other.ts[1], other.ts[2] = other.ts[2], other.ts[1]
	for name, s := range map[string]gguf.Source{"fewer": fewer, "another order": other} {
		if _, err := NewBatch(mustJob(t, src, "Q8_0", Options{}), mustJob(t, s, "Q4_0", Options{})); err == nil || !strings.Contains(err.Error(), "cannot be written together") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b, err := NewBatch(mustJob(t, small(map[string]float32{"blk.0.attn_v.weight 1 4": 1e6}), "F16", Options{}))
	if err != nil {
		t.Fatal(err)
	}
	at := gguf.Find(b.jobs[0].Tensors(), "blk.0.attn_v.weight")
	err = b.ReadRows(context.Background(), at, 0, 4, [][]byte{make([]byte, 4*512)})
	if err == nil || !strings.Contains(err.Error(), `"blk.0.attn_v.weight": block: F16: row 1, column 4`) {
		t.Errorf("%v", err)
	}
}
