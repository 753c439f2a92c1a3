package verify

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

func fixed(name string, structural bool, s Status) Check {
	return Check{name, structural, func(context.Context, *Subject) Result { return NewResult(s, name+" says "+string(s)) }}
}

func TestRunStopsTheModelAfterStructure(t *testing.T) {
	ran := false
	checks := []Check{
		fixed("contract", true, Pass), fixed("scan", true, Fail), fixed("fidelity", true, Pass),
		{"kld", false, func(context.Context, *Subject) Result { ran = true; return NewResult(Pass, "") }},
	}
	r, err := Run(context.Background(), &Subject{Name: "x.gguf"}, checks)
	if err != nil {
		t.Fatal(err)
	}
	if kld, _ := r.Check("kld"); ran || kld.Status != NotApplicable || kld.Detail != "not run: scan failed" {
		t.Errorf("kld: %+v", kld)
	}
	if f, _ := r.Check("fidelity"); r.Status != Fail || f.Status != Pass {
		t.Errorf("report %s, fidelity %s: structural checks all run", r.Status, f.Status)
	}
	if lines := r.Lines(); lines[0] != "x.gguf: FAIL" || !strings.Contains(lines[1], "scan says fail") {
		t.Errorf("lines %q: the worst must come first", lines)
	}
}

// Perplexity never passes a file by itself.
func TestPerplexityAloneDoesNotPass(t *testing.T) {
	for _, c := range []struct {
		checks []Check
		want   Status
	}{
		{[]Check{fixed("scan", true, Pass), fixed("perplexity", false, Pass)}, Warn},
		{[]Check{fixed("scan", true, Pass), fixed("perplexity", false, Pass), fixed("kld", false, NotApplicable), fixed("fidelity", true, NotApplicable)}, Warn},
		{[]Check{fixed("perplexity", false, Pass), fixed("kld", false, Pass)}, Pass},
		{[]Check{fixed("perplexity", false, Pass), fixed("fidelity", true, Pass)}, Pass},
		{[]Check{fixed("perplexity", false, Fail), fixed("kld", false, Pass)}, Fail},
	} {
		r, err := Run(context.Background(), &Subject{}, c.checks)
		if err != nil || r.Status != c.want || (len(r.Notes) > 0) != (c.want == Warn) {
			t.Errorf("%d checks: %s, notes %q, %v; want %s", len(c.checks), r.Status, r.Notes, err, c.want)
		}
	}
}

func TestRunEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	checks := []Check{{"a", true, func(context.Context, *Subject) Result { cancel(); return NewResult(Pass, "") }}, fixed("b", true, Pass)}
	if r, err := Run(ctx, &Subject{}, checks); !errors.Is(err, context.Canceled) || r != nil {
		t.Errorf("report %v, error %v", r, err)
	}
}

func TestJSONHasNoNaN(t *testing.T) {
	r := NewResult(Fail, "d")
	r.figure("bad", math.NaN())
	r.figure("endless", math.Inf(1))
	r.figure("good", 0.5)
	r.Find(Problem{Tensor: "t", Expert: 3, Message: "m"})
	b, err := json.Marshal(&Report{Name: "n", Status: Fail, Checks: []Result{r}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"n","status":"fail","checks":[{"name":"","status":"fail","figure":null,"threshold":null,"detail":"d","seconds":0,` +
		`"figures":{"bad":null,"endless":null,"good":0.5},"problems":[{"tensor":"t","expert":3,"message":"m"}],"problem_count":1}],"seconds":0}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil || back.Checks[0].Figure.Valid() || back.Checks[0].Figures["good"] != 0.5 {
		t.Errorf("read back: %+v, %v", back, err)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	r := NewResult(Pass, "")
	for range 1000 {
		r.Find(Problem{Tensor: "t", Expert: -1, Message: "m", warn: true})
	}
	r.summarize("sound")
	if len(r.Problems) != maxProblems || r.Count != 1000 || r.Status != Warn || !strings.HasSuffix(r.Detail, "and 997 more") {
		t.Errorf("%d problems of %d, %s: %s", len(r.Problems), r.Count, r.Status, r.Detail)
	}
	if r.Find(Problem{Message: "bad"}); r.Status != Fail {
		t.Error("a problem that fails must fail a result that warns")
	}
	if r.Find(Problem{Message: "bad", warn: true}); r.Status != Fail {
		t.Error("a warning must not lift a failure")
	}
}

func TestThresholds(t *testing.T) {
	d := DefaultThresholds("q4_k_m")
	if d.KLDWarn != 0.025 || d.KLDFail >= 0 || d.PPLRatioFail >= 0 || d.Coverage != 0.7 {
		t.Errorf("Q4_K_M: %+v", d)
	}
	if d := DefaultThresholds("unheard-of"); d.KLDWarn != 1 {
		t.Errorf("unknown scheme: %+v", d)
	}
	got := Thresholds{KLDFail: 0.5, PPLRatioFail: 1.1, Coverage: -1}.over(d)
	if got.KLDWarn != 0.025 || got.KLDFail != 0.5 || got.PPLRatioFail != 1.1 || got.Coverage != -1 {
		t.Errorf("laid over: %+v", got)
	}
	for _, c := range []struct {
		v, warn, fail float64
		want          Status
		bound         float64
	}{
		{0.01, 0.02, 0.1, Pass, 0.1}, {0.02, 0.02, 0.1, Pass, 0.1}, {0.05, 0.02, 0.1, Warn, 0.02}, {0.2, 0.02, 0.1, Fail, 0.1},
		{0.2, 0.02, -1, Warn, 0.02}, {0.01, 0.02, -1, Pass, 0.02}, {math.NaN(), 0.02, -1, Fail, math.NaN()}, {9, -1, -1, Pass, math.NaN()},
	} {
		s, b := atMost(c.v, c.warn, c.fail)
		if s != c.want || float64(b) != c.bound && b.Valid() {
			t.Errorf("%v at most %v, %v: %s, bound %v; want %s", c.v, c.warn, c.fail, s, b, c.want)
		}
	}
	for _, c := range []struct {
		v, warn, fail float64
		want          Status
	}{
		{0.9, 0.8, 0.5, Pass}, {0.7, 0.8, 0.5, Warn}, {0.4, 0.8, 0.5, Fail}, {0.4, 0.8, -1, Warn}, {0.4, -1, -1, Pass}, {math.NaN(), -1, -1, Fail},
	} {
		if s, _ := atLeast(c.v, c.warn, c.fail); s != c.want {
			t.Errorf("%v at least %v, %v: %s, want %s", c.v, c.warn, c.fail, s, c.want)
		}
	}
}

func TestStatistics(t *testing.T) {
	v := make([]float32, 101)
	for i := range v {
		v[i] = float32(i)
	}
	if median(v) != 50 || percentile(v, 0.99) != 99 || math.Abs(percentile(v, 0.999)-99.9) > 1e-9 || median(v[:4]) != 1.5 || percentile(v[:1], 0.99) != 0 {
		t.Errorf("median %v, 99%% %v, 99.9%% %v", median(v), percentile(v, 0.99), percentile(v, 0.999))
	}
	var m moments
	for _, x := range []float64{1, 2, 3, 4} {
		m.add(x)
	}
	if mean, err := m.mean(); mean != 2.5 || math.Abs(err-math.Sqrt(1.25/3)) > 1e-15 {
		t.Errorf("mean %v, error %v", mean, err)
	}
	// p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = ln(2)/2 - ln(2)/4.
	ln := func(p ...float64) (out []float32) {
		for _, x := range p {
			out = append(out, float32(math.Log(x)))
		}
		return out
	}
	base := newWide(3, 1)
	base.put(0, ln(4, 2, 2))
	p := base.compare(0, ln(1, 2, 1), 0)
	if math.Abs(p.kld-math.Ln2/4) > 1e-5 || math.Abs(p.nll-math.Log(4)) > 1e-6 || math.Abs(p.base-math.Log(2)) > 1e-5 || p.same || math.Abs(float64(p.deltaP)+0.25) > 1e-5 {
		t.Errorf("%+v", p)
	}
}

func TestCoverageCounts(t *testing.T) {
	used, total, idle := coverage([][]int64{nil, {3, 0, 1}, {0, 0, 5}})
	if used != 3 || total != 6 || len(idle) != 3 || idle[1] != "blk.2 expert 0" {
		t.Errorf("%d of %d, idle %q", used, total, idle)
	}
}
