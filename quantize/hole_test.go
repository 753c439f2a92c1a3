package quantize

import (
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// withHoles is a model of two blocks with two experts and rows of 32, and a matrix that lacks some of it: the second expert
// of blk.0.ffn_gate_exps has seen nothing, blk.0.ffn_up_exps, blk.1.ffn_gate_exps, blk.1.ffn_down_exps and blk.1.attn_q have
// no entry.
func withHoles(t *testing.T) (fakeSource, Options) {
	t.Helper()
	src := fakeSource{md: keys("llama", map[string]uint32{"block_count": 2, "expert_count": 2})}
	add := func(name string, shape ...int64) {
		src.ts = append(src.ts, gguf.TensorInfo{Name: name, Type: gguf.BF16, Shape: shape})
	}
	add("token_embd.weight", 32, 4)
	for _, b := range []string{"blk.0.", "blk.1."} {
		add(b+"attn_q.weight", 32, 4)
		for _, role := range []string{"gate", "up", "down"} {
			add(b+"ffn_"+role+"_exps.weight", 32, 4, 2)
		}
	}
	row := func(v float32) []float32 { return slices.Repeat([]float32{v}, 32) }
	sums, counts := map[string][]float32{}, map[string][]float32{}
	entry := func(name string, first, second, seen float32) {
		sums[name], counts[name] = append(row(first), row(second)...), []float32{2, seen}
	}
	entry("blk.0.ffn_gate_exps.weight", 6, 0, 0)
	entry("blk.0.ffn_down_exps.weight", 8, 10, 2)
	entry("blk.1.ffn_up_exps.weight", 4, 14, 2)
	sums["blk.0.attn_q.weight"], counts["blk.0.attn_q.weight"] = row(22), []float32{2}
	return src, Options{Imatrix: matrixOf(t, sums, counts)}
}

func TestHoles(t *testing.T) {
	type weights [2]float32 // of the first column of both experts; 0: no entry
	none := weights{}
	for _, c := range []struct {
		holes string
		want  map[string]weights
	}{
		{"reference", map[string]weights{"blk.0.ffn_gate_exps.weight": {3, 1}, "blk.0.ffn_up_exps.weight": none, "blk.1.ffn_gate_exps.weight": none, "blk.1.attn_q.weight": none}},
		{"mean", map[string]weights{"blk.0.ffn_gate_exps.weight": {3, 3}, "blk.0.ffn_up_exps.weight": none, "blk.1.attn_q.weight": none}},
		{"neighbour", map[string]weights{"blk.0.ffn_gate_exps.weight": {3, 3}, "blk.0.ffn_up_exps.weight": {3, 3}, "blk.1.ffn_gate_exps.weight": {2, 7},
			"blk.1.ffn_down_exps.weight": none, "blk.1.attn_q.weight": {11}}},
	} {
		src, o := withHoles(t)
		var err error
		if o.ImatrixHoles, err = ParseHoles(c.holes); err != nil {
			t.Fatal(err)
		}
		j, err := New(src, mustScheme(t, "Q4_0"), o)
		if err != nil {
			t.Fatal(err)
		}
		c.want["blk.0.ffn_down_exps.weight"], c.want["blk.1.ffn_up_exps.weight"] = weights{4, 5}, weights{2, 7}
		for name, want := range c.want {
			var got weights
			if v := j.items[j.index[name]].importance; v != nil {
				got[0] = v[0]
				if len(v) > 32 {
					got[1] = v[32]
				}
			}
			if got != want {
				t.Errorf("%s: %s: %v, want %v", c.holes, name, got, want)
			}
		}
		cov := j.Coverage()
		if cov.Targets != 8 || cov.Matched != 4 || cov.Experts != 6 || cov.NeverRouted() != 1 || len(cov.Holes) != 5 {
			t.Errorf("%s: %+v", c.holes, cov)
		}
	}
}

// All holes are named at once.
func TestHolesRefused(t *testing.T) {
	src, o := withHoles(t)
	o.ImatrixHoles = RefuseHoles
	_, err := New(src, mustScheme(t, "Q4_0"), o)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"blk.0.ffn_gate_exps.weight": no token reached 1 of 2 experts (1)`, `"blk.0.ffn_up_exps.weight": no entry`,
		`"blk.1.attn_q.weight": no entry`, `"blk.1.ffn_down_exps.weight": no entry`, `"blk.1.ffn_gate_exps.weight": no entry`, "5 tensors in all"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "token_embd") {
		t.Errorf("the token embedding needs no entry: %v", err)
	}

	// So are entries of the wrong length, whatever the holes may be.
	wrong := matrixOf(t, map[string][]float32{"blk.0.attn_q.weight": {1, 2}, "blk.1.attn_q.weight": {1, 2, 3}, "token_embd.weight": {1}},
		map[string][]float32{"blk.0.attn_q.weight": {1}, "blk.1.attn_q.weight": {1}, "token_embd.weight": {1}})
	_, err = New(src, mustScheme(t, "Q4_0"), Options{Imatrix: wrong})
	for _, want := range []string{`"blk.0.attn_q.weight": its entry in the importance matrix has 2 values, want 32`, `"blk.1.attn_q.weight": its entry in the importance matrix has 3 values`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
	if _, err := ParseHoles("ignore"); err == nil || !strings.Contains(err.Error(), "reference, mean, neighbour, refuse") {
		t.Error(err)
	}
}

func TestRanges(t *testing.T) {
	for want, ns := range map[string][]int{"": nil, "4": {4}, "0-1": {0, 1}, "1, 3-5, 9": {1, 3, 4, 5, 9}} {
		if got := ranges(ns); got != want {
			t.Errorf("%v: %q, want %q", ns, got, want)
		}
	}
}
