package imatrix

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// A file of llama-imatrix, read and written, has the same bytes.
func TestWriteGolden(t *testing.T) {
	for _, name := range []string{"tiny/golden", "families/deepseek-moe/golden", "families/mixtral-8/golden"} {
		name = testdata.Path(name, "imatrix.gguf")
		s, err := OpenSums(name, 0)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "imatrix.gguf")
		if err := s.WriteFile(t.Context(), out, nil); err != nil {
			t.Fatal(err)
		}
		want, _ := os.ReadFile(name)
		got, err := os.ReadFile(out)
		if err != nil || len(want) == 0 || !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes (%v)", name, err)
		}
	}
}

func TestAdd(t *testing.T) {
	s := NewSums(2)
	put := func(s *Sums, name string, values []float32, uses ...int64) {
		s.entries[name] = &sums{values, uses}
	}
	put(s, "blk.0.x", []float32{1, 2, 3, 4}, 4)
	put(s, "blk.0.y", []float32{1, 2}, 6)
	o := NewSums(2)
	o.Datasets = []string{"b"}
	put(o, "blk.0.x", []float32{10, 20, 30, 40}, 5, 0)
	put(o, "blk.0.z", []float32{5}, 1)
	if err := s.Add(o); err != nil {
		t.Fatal(err)
	}
	v, uses := s.Raw("blk.0.x") // one count stands for all matrices
	if !slices.Equal(v, []float32{11, 22, 33, 44}) || !slices.Equal(uses, []int64{9, 4}) || s.Len() != 3 || s.Chunks() != 4 || !slices.Equal(s.Datasets, []string{"b"}) {
		t.Errorf("%v %v, %d tensors, %d chunks, %q", v, uses, s.Len(), s.Chunks(), s.Datasets)
	}
	bad := NewSums(2)
	put(bad, "blk.0.y", []float32{1, 2, 3}, 1)
	if err := s.Add(bad); err == nil || !strings.Contains(err.Error(), `"blk.0.y" has 2 sums and 3`) {
		t.Error(err)
	}
	put(bad, "blk.0.y", []float32{float32(math.NaN())}, 1)
	if err := bad.WriteFile(t.Context(), filepath.Join(t.TempDir(), "x"), nil); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Error(err)
	}
}

func TestPlace(t *testing.T) {
	s := NewSums(8)
	for name, want := range map[string]bool{"blk.0.w": true, "token_embd.weight": false, "output.weight": false} {
		if v, _, err := s.Place(name, 3, 2, 2); (v != nil) != want || err != nil {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	s.Output = true
	if v, _, err := s.Place("output.weight", 3, 1, 1); len(v) != 3 || err != nil {
		t.Error(v, err)
	}
	if _, _, err := s.Place("blk.0.w", 4, 2, 2); err == nil {
		t.Error("other columns are added")
	}
	if _, uses, err := s.Place("blk.0.w", 6, 1, 1); err != nil || len(uses) != 1 { // equal counts are one
		t.Error(uses, err)
	}
}

func TestCoverage(t *testing.T) {
	s := NewSums(8)
	s.entries["blk.0.e"] = &sums{make([]float32, 4), []int64{0, 1, 50, 49}}
	s.entries["blk.0.d"] = &sums{make([]float32, 4), []int64{100}}
	c := s.Coverage()
	if len(c) != 1 || !slices.Equal(c[0].Never, []int{0}) || !slices.Equal(c[0].Rarely, []int{1}) || Seen(c) != 0.75 || Seen(nil) != 1 {
		t.Errorf("%+v, %v", c, Seen(c))
	}
}

// The older form: means times calls, which count for whole chunks.
func TestOpenSumsLegacy(t *testing.T) {
	var b bytes.Buffer
	for _, v := range []any{int32(1), int32(3), []byte("abc"), int32(4), int32(2), []float32{8, 2}, int32(4), int32(1), []byte("t")} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "a.dat")
	if err := os.WriteFile(name, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSums(name, 512)
	if err != nil {
		t.Fatal(err)
	}
	v, uses := s.Raw("abc")
	if !slices.Equal(v, []float32{4096, 1024}) || !slices.Equal(uses, []int64{2048}) || s.Chunks() != 4 || !slices.Equal(s.Datasets, []string{"t"}) {
		t.Errorf("%v %v, %d chunks, %q", v, uses, s.Chunks(), s.Datasets)
	}
}

func TestStatistics(t *testing.T) {
	s := NewSums(8)
	s.entries["blk.0.e.weight"] = &sums{[]float32{2, 0, 9, 9}, []int64{2, 0}}
	s.entries["blk.1.e.weight"] = &sums{[]float32{0, 2, 9, 9}, []int64{1, 1}}
	st := s.Statistics()
	if len(st) != 2 || st[0].Elements != 2 || st[0].Sum != 1 || st[0].Active != 0.5 || st[0].Entropy != 0 || st[1].Block != 1 || st[1].CosSim != 162.0/166 {
		t.Errorf("%+v", st)
	}
}
