package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// sequence is the ids of the family's longer golden sequence.
func sequence(t testing.TB) []int32 {
	t.Helper()
	var g struct{ IDs map[string][]int32 }
	readJSON(t, &g, "families/deepseek-moe/golden/logits.json")
	return g.IDs["len64"]
}

func equalRows(t *testing.T, what string, got, want [][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !slices.Equal(got[i], want[i]) {
			t.Fatalf("%s: row %d differs", what, i)
		}
	}
}

// variants are the ways a model can be held and run.
func variants(t testing.TB) map[string]*Model {
	models := map[string]*Model{}
	for _, threads := range []int{1, 2, 3, 8} {
		models[fmt.Sprintf("f32, %d threads", threads)] = load(t, plan(t, deepseekDir, "bf16"), Options{Activations: ActivationsF32, Threads: threads})
	}
	models["rounded"] = load(t, quantized(t, deepseekDir, "Q4_K_M"), Options{Threads: 2})
	models["rounded, encoded"] = load(t, quantized(t, deepseekDir, "Q4_K_M"), Options{WeightCache: -1, Threads: 3})
	for _, kv := range []gguf.Type{gguf.F16, gguf.Q8_0} {
		models["KV "+kv.String()] = load(t, quantized(t, deepseekDir, "Q8_0"), Options{KV: kv, Threads: 2})
	}
	return models
}

// TestDecodeEqualsPrefill: however a text is cut, and on however many threads, every logit has the same bits.
func TestDecodeEqualsPrefill(t *testing.T) {
	ids := sequence(t)
	models := variants(t)
	byThreads := eval(t, models["f32, 1 threads"].NewSession(), ids, WantAll).Logits
	byEncoding := eval(t, models["rounded"].NewSession(), ids, WantAll).Logits
	for name, m := range models {
		t.Run(name, func(t *testing.T) {
			want := eval(t, m.NewSession(), ids, WantAll).Logits
			switch {
			case name[:3] == "f32":
				equalRows(t, "against one thread", want, byThreads)
			case name == "rounded, encoded":
				equalRows(t, "against decoded weights", want, byEncoding)
			}
			steps := []int{1, 7, 48, 63}
			if testing.Short() {
				steps = steps[1:3]
			}
			for _, step := range steps {
				s := m.NewSession()
				var got [][]float32
				for part := range slices.Chunk(ids, step) {
					got = append(got, eval(t, s, part, WantAll).Logits...)
				}
				equalRows(t, fmt.Sprintf("in steps of %d", step), got, want)
			}
		})
	}
}

// TestLongText crosses the decoder's own batches and the growth of the KV cache.
func TestLongText(t *testing.T) {
	ids := sequence(t)
	for len(ids) < 700 {
		ids = append(ids, ids[1:]...)
	}
	ids = ids[:700]
	if testing.Short() {
		ids = ids[:530]
	}
	m := load(t, plan(t, deepseekDir, "bf16"), Options{Activations: ActivationsF32})
	want := eval(t, m.NewSession(), ids, WantFrom(500))
	if want.Position != 500 || len(want.Logits) != len(ids)-500 {
		t.Fatalf("position %d, %d rows", want.Position, len(want.Logits))
	}
	s := m.NewSession()
	eval(t, s, ids[:257], WantNone)
	got := eval(t, s, ids[257:500], WantLast).Logits
	got = append(got, eval(t, s, ids[500:], WantAll).Logits...)
	equalRows(t, "in three parts", got[1:], want.Logits)
}

// TestKV: a rounded KV cache changes logits, by little.
func TestKV(t *testing.T) {
	ids := sequence(t)[:16]
	want := eval(t, load(t, plan(t, deepseekDir, "bf16"), Options{Activations: ActivationsF32}).NewSession(), ids, WantLast).Last()
	for kv, bound := range map[gguf.Type]float64{gguf.F16: 0.02, gguf.Q8_0: 0.3} {
		m := load(t, plan(t, deepseekDir, "bf16"), Options{Activations: ActivationsF32, KV: kv})
		got := eval(t, m.NewSession(), ids, WantLast).Last()
		worst := 0.0
		for i := range got {
			worst = max(worst, math.Abs(float64(got[i]-want[i])))
		}
		if worst == 0 || worst > bound {
			t.Errorf("%v: logits are %g off", kv, worst)
		}
		t.Logf("%v: at most %.2g off", kv, worst)
	}
}

func TestWant(t *testing.T) {
	ids := sequence(t)[:9]
	m := load(t, plan(t, deepseekDir, "bf16"), Options{})
	all := eval(t, m.NewSession(), ids, WantAll).Logits
	for _, c := range []struct {
		want     Want
		position int
	}{{WantAll, 0}, {WantFrom(0), 0}, {WantFrom(4), 4}, {WantLast, 8}, {WantFrom(8), 8}, {WantFrom(9), 9}, {WantFrom(100), 9}, {WantNone, 9}, {WantFrom(-5), 0}} {
		s := m.NewSession()
		out := eval(t, s, ids, c.want)
		if out.Position != c.position || s.Len() != 9 {
			t.Errorf("want %d: position %d, length %d", c.want, out.Position, s.Len())
		}
		equalRows(t, fmt.Sprint("want ", c.want), out.Logits, all[c.position:])
		if out.Routes != nil {
			t.Errorf("routes were not asked for")
		}
	}
}

func TestTruncateAndReset(t *testing.T) {
	ids := sequence(t)
	m := load(t, plan(t, deepseekDir, "bf16"), Options{Threads: 2})
	s := m.NewSession()
	want := eval(t, s, ids[:20], WantAll).Logits
	if err := s.Truncate(5); err != nil {
		t.Fatal(err)
	}
	eval(t, s, ids[30:50], WantNone)
	if err := s.Truncate(5); err != nil || s.Len() != 5 {
		t.Fatalf("length %d, error %v", s.Len(), err)
	}
	equalRows(t, "after Truncate", eval(t, s, ids[5:20], WantAll).Logits, want[5:])
	s.Reset()
	if s.Len() != 0 {
		t.Fatalf("length %d after Reset", s.Len())
	}
	equalRows(t, "after Reset", eval(t, s, ids[:20], WantAll).Logits, want)
	for _, n := range []int{-1, 21} {
		if err := s.Truncate(n); err == nil || s.Len() != 20 {
			t.Errorf("Truncate(%d): error %v, length %d", n, err, s.Len())
		}
	}
}

// TestSessionsShareNothing runs two at the same time; the race detector watches.
func TestSessionsShareNothing(t *testing.T) {
	ids := sequence(t)[:16]
	m := load(t, plan(t, deepseekDir, "bf16"), Options{Threads: 2})
	want := eval(t, m.NewSession(), ids, WantLast).Last()
	type result struct {
		out *Output
		err error
	}
	results := make(chan result)
	for range 2 {
		go func() {
			out, err := m.NewSession().Eval(context.Background(), ids, WantLast)
			results <- result{out, err}
		}()
	}
	for range 2 {
		if r := <-results; r.err != nil || !slices.Equal(r.out.Last(), want) {
			t.Errorf("error %v, or other logits", r.err)
		}
	}
}

func TestEvalRefuses(t *testing.T) {
	m := load(t, plan(t, deepseekDir, "bf16"), Options{Context: 12})
	ids := sequence(t)
	s := m.NewSession()
	want := eval(t, s, ids[:10], WantLast).Last()
	check := func(what string, ids []int32) error {
		t.Helper()
		_, err := s.Eval(t.Context(), ids, WantLast)
		if err == nil || s.Len() != 10 {
			t.Errorf("%s: error %v, length %d", what, err, s.Len())
		}
		return err
	}
	var full *ContextError
	if err := check("too long", ids[10:13]); !errors.As(err, &full) || *full != (ContextError{10, 3, 12}) {
		t.Errorf("too long: %v", err)
	}
	check("nothing", nil)
	check("negative id", []int32{-1})
	check("id beyond the vocabulary", []int32{3, int32(m.VocabSize())})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Eval(ctx, ids[10:11], WantLast); !errors.Is(err, context.Canceled) || s.Len() != 10 {
		t.Errorf("cancelled: %v, length %d", err, s.Len())
	}
	if err := s.Truncate(9); err != nil {
		t.Fatal(err)
	}
	if got := eval(t, s, ids[9:10], WantLast).Last(); !slices.Equal(got, want) {
		t.Error("failed calls changed the text")
	}
}

func TestRoutes(t *testing.T) {
	ids := sequence(t)
	m := load(t, plan(t, deepseekDir, "bf16"), Options{})
	s := m.NewSession()
	s.CountRoutes(true)
	out := eval(t, s, ids, WantLast)
	if len(out.Routes) != 2 || out.Routes[0] != nil || len(out.Routes[1]) != 6 {
		t.Fatalf("routes %v", out.Routes)
	}
	sum := int64(0)
	for _, n := range out.Routes[1] {
		sum += n
	}
	if sum != 2*int64(len(ids)) {
		t.Errorf("routes %v: %d uses of experts by %d tokens", out.Routes, sum, len(ids))
	}
}

// TestKVBlocks: with a cache of Q8_0 logits are llama.cpp's with such a cache, whose rounding is the same: queries are
// rounded to be multiplied with keys, values are not. Half a thousandth is a hundredth of what the cache's rounding does.
func TestKVBlocks(t *testing.T) {
	var golden struct {
		IDs       []int32
		Positions []int
		Logits    [][]float64
	}
	readFile(t, &golden, "testdata/kv_q8_0.json")
	m := load(t, plan(t, tinyDir, "f32"), Options{Activations: ActivationsF32, KV: gguf.Q8_0})
	s := m.NewSession()
	got := eval(t, s, golden.IDs[:200], WantAll).Logits
	for _, id := range golden.IDs[200:] { // one by one
		got = append(got, eval(t, s, []int32{id}, WantLast).Last())
	}
	for i, pos := range golden.Positions {
		sum := 0.0
		for j, want := range golden.Logits[i] {
			sum += (float64(got[pos][j]) - want) * (float64(got[pos][j]) - want)
		}
		rms := math.Sqrt(sum / float64(len(golden.Logits[i])))
		if t.Logf("position %d: %.2g off", pos, rms); !(rms < 5e-4) {
			t.Errorf("position %d: logits are %g off", pos, rms)
		}
	}
}
