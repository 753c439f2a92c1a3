package imatrix

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// memory is a source of F32 tensors.
type memory struct {
	md     gguf.Metadata
	ts     []gguf.TensorInfo
	values [][]float32
}

func (m *memory) Metadata() *gguf.Metadata   { return &m.md }
func (m *memory) Tensors() []gguf.TensorInfo { return m.ts }

func (m *memory) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(m.ts, tensor, row, n, dst); err != nil {
		return err
	}
	ne0 := int(m.ts[tensor].Shape.NE(0))
	for i := range n * ne0 {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(m.values[tensor][row*ne0+i]))
	}
	return nil
}

func (m *memory) add(name string, shape gguf.Shape, values ...float32) *memory {
	m.ts = append(m.ts, gguf.TensorInfo{Name: name, Type: gguf.F32, Shape: shape})
	m.values = append(m.values, values)
	return m
}

func empty() *memory {
	m := &memory{}
	m.md.Set("imatrix.datasets", []string{"a.txt", "b.txt"})
	m.md.Set("imatrix.chunk_count", uint32(7))
	m.md.Set("imatrix.chunk_size", uint32(512))
	return m
}

// Oracle: the files are llama-imatrix's; the facts were read with gguf-py.
func TestOpen(t *testing.T) {
	for _, c := range []struct {
		path              []string
		entries           int
		chunks, chunkSize int64
		dataset           string
	}{
		{[]string{"families", "deepseek-moe", "golden", "imatrix.gguf"}, 18, 8, 64, "calib.txt"},
		{[]string{"tiny", "golden", "imatrix.gguf"}, 29, 174, 512, "./././fixtures/tiny/golden/calib.txt"},
	} {
		name := testdata.Path(c.path...)
		m, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if m.Len() != c.entries || m.Chunks() != c.chunks || m.ChunkSize() != c.chunkSize || !slices.Equal(m.Datasets(), []string{c.dataset}) || m.Name() != name {
			t.Errorf("%s: %d entries, %d chunks of %d, %q", m.Name(), m.Len(), m.Chunks(), m.ChunkSize(), m.Datasets())
		}
	}
}

func TestEntry(t *testing.T) {
	src := empty().add("x.in_sum2", gguf.Shape{2, 3}, 10, 1, 5, 6, 7, 0).add("x.counts", gguf.Shape{1, 3}, 3, 0, 2.4).add("unrelated", gguf.Shape{1}, 9)
	m, err := Read(src)
	if err != nil {
		t.Fatal(err)
	}
	ten := float32(10)
	want := []float32{ten / 3, float32(1) / 3, 1, 1, 3.5, 0} // an expert without tokens weighs all columns alike; counts are rounded
	if got, ok := m.Entry("x"); !ok || !slices.Equal(got, want) {
		t.Errorf("entry %v, want %v", got, want)
	}
	if c := m.Counts("x"); !slices.Equal(c, []int64{3, 0, 2}) {
		t.Errorf("counts %v", c)
	}
	if n := m.Names(); !slices.Equal(n, []string{"x"}) {
		t.Errorf("names %v", n)
	}
	if v, ok := m.Entry("y"); ok || v != nil || m.Counts("y") != nil {
		t.Errorf("an entry for y: %v", v)
	}
	var none *Matrix
	if _, ok := none.Entry("x"); ok || none.Len() != 0 || len(none.Names()) != 0 || none.Counts("x") != nil {
		t.Error("a nil matrix has entries")
	}
}

func TestReadErrors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	pair := func(sums, counts []float32) *memory {
		return empty().add("x.in_sum2", gguf.Shape{int64(len(sums))}, sums...).add("x.counts", gguf.Shape{int64(len(counts))}, counts...)
	}
	noChunks := pair([]float32{1}, []float32{1})
	noChunks.md.Delete("imatrix.chunk_count")
	noText := pair([]float32{1}, []float32{1})
	noText.md.Delete("imatrix.datasets")
	halves := pair([]float32{1}, []float32{1})
	halves.ts[0].Type = gguf.F16
	for _, c := range []struct {
		name string
		src  *memory
		want string
	}{
		{"nothing", empty(), "no entries"},
		{"a model", &memory{}, "no importance matrix: key imatrix.datasets is missing"},
		{"no chunk count", noChunks, "key imatrix.chunk_count is missing"},
		{"no datasets", noText, "key imatrix.datasets is missing"},
		{"sums without counts", empty().add("x.in_sum2", gguf.Shape{1}, 1), `tensor "x" has no counts`},
		{"counts without sums", pair([]float32{1}, []float32{1}).add("y.counts", gguf.Shape{1}, 1), `tensor "y" has counts but no sums`},
		{"not F32", halves, `"x.in_sum2" is F16, want F32`},
		{"sizes that disagree", pair([]float32{1, 2, 3}, []float32{1, 1}), "3 sums do not divide into 2 counts"},
		{"NaN", pair([]float32{1, nan}, []float32{1}), `tensor "x": matrix 0, column 1: sum of squares is NaN`},
		{"infinity", pair([]float32{1, 1, inf, 1}, []float32{1, 1}), "matrix 1, column 0: sum of squares is +Inf"},
		{"below zero", pair([]float32{-1}, []float32{1}), "sum of squares is -1"},
		{"infinity without tokens", pair([]float32{inf}, []float32{0}), "sum of squares is +Inf"},
		{"count NaN", pair([]float32{1}, []float32{nan}), "count 0 is NaN"},
		{"count below zero", pair([]float32{1}, []float32{-2}), "count 0 is -2"},
	} {
		if _, err := Read(c.src); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct{ name, want string }{
		{filepath.Join(dir, "nowhere.gguf"), "no such file"},
		{write("short.gguf", "GG"), "2 bytes are no importance matrix"},
		{write("cut.dat", "\x01\x00\x00\x00\x04\x00\x00\x00name\x01\x00\x00\x00"), "entry 1 of 1 (older form): 4 bytes of 0 that are left"},
		{write("none.dat", "\x00\x00\x00\x00"), "neither a GGUF file nor an importance matrix"},
		{write("text.txt", "some text that somebody took for one"), "entry 1 of 1701670771"},
		{write("empty.dat", "\x01\x00\x00\x00\x01\x00\x00\x00x\x01\x00\x00\x00\x00\x00\x00\x00"), `tensor "x": 0 values`},
		{write("nan.dat", "\x01\x00\x00\x00\x01\x00\x00\x00x\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\xc0\x7f"), `tensor "x": value 0 is NaN`},
		{write("cut.gguf", "GGUF\x03\x00\x00\x00"), "cut.gguf"},
		{testdata.Path("bad", "_good.gguf"), "no importance matrix"},
	} {
		_, err := Open(c.name)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), filepath.Base(c.name)) < 1 {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// The layout is that of the reference's loader (common/imatrix-loader.cpp).
func TestLegacy(t *testing.T) {
	name := filepath.Join(t.TempDir(), "old.dat")
	le := binary.LittleEndian
	var b []byte
	text := func(s string) { b = append(le.AppendUint32(b, uint32(len(s))), s...) }
	add := func(tensor string, calls uint32, values ...float32) {
		text(tensor)
		b = le.AppendUint32(le.AppendUint32(b, calls), uint32(len(values)))
		for _, v := range values {
			b = le.AppendUint32(b, math.Float32bits(v))
		}
	}
	b = le.AppendUint32(b, 3)
	add("x", 3, 10, 1)
	add("y", 0, 0.5) // as stored
	add("x", 2, 7)   // the last of two counts
	short := len(b)
	b = le.AppendUint32(b, 8)
	text("dir/calib.txt")
	for _, c := range []struct {
		n        int
		chunks   int64
		datasets []string
	}{{len(b), 8, []string{"dir/calib.txt"}}, {short, 0, nil}, {short + 4, 8, nil}} {
		if err := os.WriteFile(name, b[:c.n], 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		x, _ := m.Entry("x")
		y, _ := m.Entry("y")
		if !slices.Equal(x, []float32{3.5}) || !slices.Equal(y, []float32{0.5}) || m.Counts("x") != nil || m.Len() != 2 {
			t.Errorf("entries %v and %v", x, y)
		}
		if m.Chunks() != c.chunks || !slices.Equal(m.Datasets(), c.datasets) {
			t.Errorf("%d chunks of %q", m.Chunks(), m.Datasets())
		}
	}
}

func TestSelect(t *testing.T) {
	src := empty()
	for _, n := range []string{"blk.0.attn_v.weight", "blk.0.ffn_down.weight", "blk.0.ffn_up.weight"} {
		src.add(n+".in_sum2", gguf.Shape{1}, 4).add(n+".counts", gguf.Shape{1}, 2)
	}
	m, err := Read(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		include, exclude []string
		want             string
	}{
		{nil, nil, "blk.0.attn_v.weight blk.0.ffn_down.weight blk.0.ffn_up.weight"},
		{[]string{"attn_v", "ffn_down"}, nil, "blk.0.attn_v.weight blk.0.ffn_down.weight"},
		{nil, []string{"ffn"}, "blk.0.attn_v.weight"},
		{[]string{"nothing"}, nil, ""},
	} {
		if got := strings.Join(m.Select(c.include, c.exclude).Names(), " "); got != c.want {
			t.Errorf("%q without %q: %s, want %s", c.include, c.exclude, got, c.want)
		}
	}
	if m.Len() != 3 {
		t.Error("the matrix itself was changed")
	}
}
