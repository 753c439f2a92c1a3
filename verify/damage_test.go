package verify

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/testdata"
)

// memory is a model held in memory, which tests damage.
type memory struct {
	md      *gguf.Metadata
	tensors []gguf.TensorInfo
	data    [][]byte
}

func (m *memory) Metadata() *gguf.Metadata   { return m.md }
func (m *memory) Tensors() []gguf.TensorInfo { return m.tensors }
func (m *memory) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(m.tensors, tensor, row, n, dst); err != nil {
		return err
	}
	size := int(m.tensors[tensor].RowBytes())
	copy(dst, m.data[tensor][row*size:])
	return nil
}

// hold reads a whole source.
func hold(tb testing.TB, src gguf.Source) *memory {
	tb.Helper()
	m := &memory{md: src.Metadata().Clone(), tensors: slices.Clone(src.Tensors())}
	for i, t := range m.tensors {
		b := make([]byte, t.Bytes())
		if err := src.ReadRows(context.Background(), i, 0, int(t.Shape.Rows()), b); err != nil {
			tb.Fatal(err)
		}
		m.data = append(m.data, b)
	}
	return m
}

func (m *memory) clone() *memory {
	c := &memory{md: m.md.Clone(), tensors: slices.Clone(m.tensors)}
	for i, b := range m.data {
		c.data = append(c.data, bytes.Clone(b))
		c.tensors[i].Shape = c.tensors[i].Shape.Clone()
	}
	return c
}

// expert is the bytes of one expert of a tensor.
func (m *memory) expert(tb testing.TB, name string, e int) []byte {
	tb.Helper()
	i := m.find(tb, name)
	size := len(m.data[i]) / expertsIn(m.tensors[i])
	return m.data[i][e*size : (e+1)*size]
}

func (m *memory) find(tb testing.TB, name string) int {
	tb.Helper()
	i := gguf.Find(m.tensors, name)
	if i < 0 {
		tb.Fatalf("no tensor %q", name)
	}
	return i
}

func (m *memory) remove(tb testing.TB, name string) {
	i := m.find(tb, name)
	m.tensors = slices.Delete(m.tensors, i, i+1)
	m.data = slices.Delete(m.data, i, i+1)
}

// ranged gives a memory model the raw bytes of a file, end to end.
type ranged struct {
	*memory
	file  *bytes.Reader
	off   []int64
	n     []int64
	align int64
}

func (r *ranged) Range(t int) (io.ReaderAt, int64, int64, bool) {
	return r.file, r.off[t], r.n[t], true
}
func (r *ranged) Alignment() int64 { return r.align }

func stored(m *memory) *ranged {
	r := &ranged{memory: m, align: 32}
	var all []byte
	for _, b := range m.data {
		r.off, r.n = append(r.off, int64(len(all))), append(r.n, int64(len(b)))
		all = append(all, b...)
		for len(all)%32 != 0 {
			all = append(all, 0)
		}
	}
	r.file = bytes.NewReader(all)
	return r
}

// tinyPlan is the trained checkpoint as it is.
func tinyPlan(tb testing.TB) *convert.Plan {
	tb.Helper()
	p, err := convert.OpenDir(testdata.Path("tiny", testdata.TinyName), convert.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	return p
}

// tinyAs is the trained checkpoint in a scheme.
func tinyAs(tb testing.TB, scheme string) *memory {
	tb.Helper()
	s, err := quantize.ParseScheme(scheme)
	if err != nil {
		tb.Fatal(err)
	}
	job, err := quantize.New(tinyPlan(tb), s, quantize.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return hold(tb, job)
}
