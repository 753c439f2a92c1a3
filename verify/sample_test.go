package verify

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

func TestSpans(t *testing.T) {
	info := gguf.TensorInfo{Name: "blk.3.ffn_up_exps.weight", Type: gguf.Q4_K, Shape: gguf.Shape{256, 1000, 8}}
	whole := sampler{share: 1}
	if got := whole.spans(info, unit{0, 2, 2000, 1000}); !slices.Equal(got, []sampled{{span{2000, 1000}, true, false}}) {
		t.Errorf("whole: %v", got)
	}
	seen := map[int]bool{}
	for seed := range uint64(40) {
		s := sampler{share: 0.05, seed: seed}
		got := s.spans(info, unit{0, 2, 2000, 1000})
		if again := s.spans(info, unit{0, 2, 2000, 1000}); !slices.Equal(got, again) {
			t.Fatal("the same seed chooses other rows")
		}
		n, end := 0, 2000
		for _, sp := range got {
			if sp.row < end || sp.n < 1 || sp.row+sp.n > 3000 {
				t.Fatalf("seed %d: %v", seed, got)
			}
			n, end = n+sp.n, sp.row+sp.n
			for r := sp.row; r < end; r++ {
				seen[r] = true
			}
		}
		if n < 50 || n > 51 || end != 3000 {
			t.Fatalf("seed %d: %d rows, the last is %d", seed, n, end-1)
		}
	}
	if len(seen) < 600 {
		t.Errorf("40 seeds reach %d of 1000 rows", len(seen))
	}
	if got := (sampler{share: 0.0001}).spans(info, unit{0, 2, 2000, 1000}); len(got) != 5 && len(got) != 4 {
		t.Errorf("an expert has 4 rows at least: %v", got)
	}
	if got := (sampler{}).some("x", 3, 10); len(got) != 3 || got[0] != 0 || got[2] != 9 {
		t.Errorf("some: %v", got)
	}
}

// metered counts the bytes that are read.
type metered struct {
	gguf.Source
	bytes atomic.Int64
}

func (m *metered) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	m.bytes.Add(int64(len(dst)))
	return m.Source.ReadRows(ctx, tensor, row, n, dst)
}

// Structure, scan and a sampled audit read the file once and a little more, and of the source no more than the sample.
func TestCostOfTheAudit(t *testing.T) {
	m, plan := tinyAs(t, "Q8_0"), tinyPlan(t)
	var size int64
	for _, d := range m.data {
		size += int64(len(d))
	}
	file, source := &metered{Source: m}, &metered{Source: plan}
	s := &Subject{Source: file, Reference: source, Sample: 200_000, Workers: 2}
	for _, name := range []string{"scan", "fidelity"} {
		if r := check(t, structural[name], s); r.Status != Pass {
			t.Fatalf("%s: %s", name, r.Detail)
		}
	}
	if got := float64(file.bytes.Load()) / float64(size); got < 1 || got > 1.2 {
		t.Errorf("%.3f times the file were read", got)
	}
	if got := float64(source.bytes.Load()) / float64(2*size); got > 0.2 {
		t.Errorf("%.3f times the file's values were read of the source", got)
	}
}

// A sample finds what is wrong with whole tensors and experts, whatever the seed, and names it.
func TestSampledAuditFindsDamage(t *testing.T) {
	sound, plan := tinyAs(t, "Q4_K_M"), tinyPlan(t)
	for seed := range uint64(5) {
		m := sound.clone()
		copy(m.expert(t, up1, 4), sound.expert(t, up1, 1))
		r := check(t, checkFidelity, &Subject{Source: m, Reference: plan, Sample: 1, Seed: seed})
		if r.Status != Fail || r.Problems[0].Damage != "other-expert" || float64(r.Figures["compared_share"]) > 0.3 {
			t.Errorf("seed %d: %s: %s: %v", seed, r.Status, r.Detail, r.Figures)
		}
	}
}

// The memory that is given bounds the number of workers, one at least.
func TestMemoryBoundsWorkers(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	s := &Subject{Source: m, Workers: 64}
	if n := s.workers(m); n < 8 {
		t.Errorf("%d workers with the default memory", n)
	}
	s.Memory = 1 << 20
	if n := s.workers(m); n != 1 {
		t.Errorf("%d workers with 1 MiB", n)
	}
}

// Whatever the seed, the whole model's squared error lies in the interval that a sample gives.
func TestIntervalsOfTheAudit(t *testing.T) {
	plan := tinyPlan(t)
	for _, scheme := range []string{"Q4_K_M", "IQ4_XS"} {
		m := tinyAs(t, scheme)
		whole := &Subject{Source: m, Reference: plan}
		a, err := whole.audit(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		errors, squares := map[gguf.Type]float64{}, map[gguf.Type]float64{}
		for i, u := range a.units {
			errors[m.tensors[u.tensor].Type] += a.got[i].errors
			squares[m.tensors[u.tensor].Type] += a.got[i].squares
		}
		held, of := 0, 0
		for seed := range uint64(20) {
			r := check(t, checkFidelity, &Subject{Source: m, Reference: plan, Sample: 1, Seed: seed})
			for typ := range errors {
				key, v := "overall_nmse_"+typ.String(), Number(errors[typ]/squares[typ])
				low, ok := r.Figures[key+"_low"]
				if !ok {
					continue
				}
				if of++; low <= v && v <= r.Figures[key+"_high"] {
					held++
				} else {
					t.Logf("%s, seed %d: %s is %v, sampled %v (%v to %v)", scheme, seed, typ, v, r.Figures[key], low, r.Figures[key+"_high"])
				}
			}
		}
		if of < 20 || float64(held) < 0.95*float64(of) {
			t.Errorf("%s: %d of %d intervals hold", scheme, held, of)
		}
	}
}
