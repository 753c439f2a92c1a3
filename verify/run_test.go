package verify

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/runtime"
)

func run(t *testing.T, s *Subject) *Report {
	t.Helper()
	r, err := Run(context.Background(), s, Standard())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// statuses is the report in one line, without passes.
func statuses(r *Report) string {
	var out []string
	for _, c := range r.Checks {
		if c.Status != Pass {
			out = append(out, c.Name+" "+string(c.Status))
		}
	}
	return strings.Join(out, ", ")
}

func TestRunOverSoundFile(t *testing.T) {
	source := tinyPlan(t)
	base := load(t, source, runtime.Options{Activations: runtime.ActivationsF32})
	b, err := NewBaseline(context.Background(), base, validText(t), PerplexityOptions{Context: 256, Chunks: 2}, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	schemes := []string{"Q8_0", "Q6_K", "Q4_K_M"}
	if testing.Short() {
		schemes = schemes[:1]
	}
	for _, scheme := range schemes {
		s := &Subject{Name: "tiny-" + scheme, Scheme: scheme, Source: stored(tinyAs(t, scheme)), Reference: source, Text: validText(t), Baseline: b,
			Progress: func(check string, done, total int64) {
				if done == total {
					seen[check] = true
				}
			}, Workers: 1}
		r := run(t, s)
		if r.Status != Pass || statuses(r) != "marks n/a" || len(r.Notes) > 0 {
			t.Errorf("%s: %s", scheme, strings.Join(r.Lines(), "\n"))
		}
		if p, _ := r.Check("perplexity"); p.Figures["chunks"] != 2 || !p.Figure.Valid() {
			t.Errorf("%s: perplexity %+v: the caller's baseline must be used", scheme, p)
		}
	}
	if !seen["scan"] || !seen["fidelity"] || !seen["kld"] {
		t.Errorf("progress was reported by %v", seen)
	}
}

func TestRunWithoutSource(t *testing.T) {
	r := run(t, &Subject{Name: "tiny", Scheme: "Q8_0", Source: tinyAs(t, "Q8_0"), Text: validText(t), Context: 128, Chunks: 1})
	if r.Status != Warn || len(r.Notes) != 1 || statuses(r) != "source n/a, structure n/a, marks n/a, fidelity n/a, mixture n/a, encoding n/a, logits n/a, kld n/a, perplexity n/a, ends n/a" {
		t.Errorf("%s", strings.Join(r.Lines(), "\n"))
	}
	if p, _ := r.Check("perplexity"); !p.Figure.Valid() || p.Threshold.Valid() {
		t.Errorf("perplexity %+v: without a source it is a figure, not a verdict", p)
	}
}

func TestRunWithoutText(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	r := run(t, &Subject{Name: "tiny", Scheme: "Q8_0", Source: m, Reference: tinyPlan(t)})
	if r.Status != Pass || statuses(r) != "structure n/a, marks n/a, kld n/a, perplexity n/a, coverage n/a, ends n/a" {
		t.Errorf("%s", strings.Join(r.Lines(), "\n"))
	}
}

// Broken weights are found by structure, and the model is not run.
func TestRunOverDamagedFile(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	clear(m.expert(t, down2, 2))
	r := run(t, &Subject{Name: "tiny", Scheme: "Q8_0", Source: m, Reference: tinyPlan(t), Text: validText(t)})
	if r.Status != Fail || !strings.HasPrefix(statuses(r), "structure n/a, marks n/a, scan fail, fidelity fail, stop n/a") {
		t.Errorf("%s", statuses(r))
	}
	if lines := r.Lines(); !strings.Contains(lines[1], `"blk.2.ffn_down_exps.weight", expert 2: all values are zero`) {
		t.Errorf("%q does not name tensor and expert", lines[1])
	}
}

// withoutRouter is the model with the router of every layer zero: all tokens go to the first experts.
func withoutRouter(m *memory) gguf.Source {
	return Zeroed(m, func(t gguf.TensorInfo) bool { return names.ClassOf(t.Name) == names.Router })
}

func without(m *memory, class names.Class) gguf.Source {
	return Zeroed(m, func(t gguf.TensorInfo) bool { return names.ClassOf(t.Name) == class })
}

// Every check that runs the model fails on a model that gives it reason to.
func TestBehaviourThatFails(t *testing.T) {
	sound, source, text := tinyAs(t, "Q8_0"), tinyPlan(t), validText(t)
	zero, nan, mute := sound.clone(), sound.clone(), sound.clone()
	clear(zero.expert(t, down2, 2))
	binary.LittleEndian.PutUint32(nan.data[nan.find(t, "output_norm.weight")], math.Float32bits(float32(math.NaN())))
	tokens, err := gguf.Value[[]string](mute.md, "tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	tokens = slices.Clone(tokens)
	tokens[slices.Index(tokens, "X")] = "XYZZY"
	mute.md.Set("tokenizer.ggml.tokens", tokens)
	for _, c := range []struct {
		name  string
		run   func(context.Context, *Subject) Result
		s     Subject
		want  Status
		words string
	}{
		{"no routed experts", checkAblation, Subject{Source: without(sound, names.RoutedExpert)}, Fail, "routed experts take no part: logits are the same without them"},
		{"no shared experts", checkAblation, Subject{Source: without(sound, names.SharedExpert)}, Fail, "shared experts take no part"},
		{"other function", checkLogits, Subject{Source: without(sound, names.Attention), Reference: source}, Warn, "a relative error of 0.5 is allowed"},
		{"NaN in the norm", checkDecode, Subject{Source: nan}, Fail, "not finite"},
		{"NaN in the norm", checkLogits, Subject{Source: nan, Reference: source}, Fail, "not finite"},
		{"NaN in the norm", checkDivergence, Subject{Source: nan, Reference: source, Chunks: 1}, Fail, "not finite"},
		{"expert zeroed", checkDivergence, Subject{Source: zero, Reference: source, Scheme: "Q8_0", Chunks: 8}, Warn, "the mean may be 0.0012; the top token must agree in 96%"},
		{"expert zeroed", checkDivergence, Subject{Source: zero, Reference: source, Chunks: 8, Thresholds: Thresholds{KLDFail: 0.0048}}, Fail, "the mean may be 0.0048"},
		{"expert zeroed", checkPerplexity, Subject{Source: zero, Reference: source, Scheme: "Q8_0", Chunks: 8}, Warn, "the ratio may be 1.001"},
		{"expert zeroed", checkPerplexity, Subject{Source: zero, Reference: source, Chunks: 8, Thresholds: Thresholds{PPLRatioFail: 1.01}}, Fail, "the ratio may be 1.01"},
		{"better than the source", checkPerplexity, Subject{Source: source, Reference: zero, Chunks: 8, Thresholds: Thresholds{PPLRatioFail: 1.01}}, Fail, "an answer better than the source's is not the source's"},
		{"top token", checkDivergence, Subject{Source: zero, Reference: source, Chunks: 8, Thresholds: Thresholds{KLDFail: 9, KLDWarn: 9, Top1Fail: 0.99}}, Fail, "the top token must agree in 99%"},
		{"no routing", checkCoverage, Subject{Source: withoutRouter(sound), Reference: source, Chunks: 1}, Fail, "4 of 12 experts used; 70% are wanted; idle: blk.1 expert 2 and 7 more"},
		{"no routing in the source", checkCoverage, Subject{Source: withoutRouter(sound), Reference: withoutRouter(sound), Chunks: 1}, Warn, "the source uses 4"},
		{"byte without a token", checkTokenizer, Subject{Source: mute}, Fail, "no token for byte 0x58"},
		{"text too short", checkPerplexity, Subject{Source: sound, Text: "package main"}, Fail, "two chunks of 128 are needed"},
	} {
		s := c.s
		s.Context = 128
		if s.Text == "" {
			s.Text = text
		}
		r := check(t, c.run, &s)
		s.close()
		if r.Status != c.want || !strings.Contains(r.Detail, c.words) {
			t.Errorf("%s: %s: %s; want %s with %q", c.name, r.Status, r.Detail, c.want, c.words)
		}
	}
}

// A short text warns of nothing it cannot know.
func TestFewTokensTellLittle(t *testing.T) {
	d := DivergenceResult{Mean: 0.002, Error: 0.001, SameTop: 0.95, Ratio: 1.002, RatioErr: 0.002, PPL: PerplexityResult{Scored: 100}}
	for _, c := range []struct {
		scored int
		err    float64
		want   Status
	}{{100, 0.001, Pass}, {100000, 0.0001, Warn}} {
		d.Error, d.RatioErr, d.PPL.Scored = c.err, c.err, c.scored
		s := &Subject{Scheme: "Q8_0", Reference: &memory{}, measured: &Measurement{Perplexity: d.PPL, Divergence: &d}}
		if r := check(t, checkDivergence, s); r.Status != c.want {
			t.Errorf("error %v: kld %s: %s", c.err, r.Status, r.Detail)
		}
		if r := check(t, checkPerplexity, s); r.Status != c.want {
			t.Errorf("error %v: perplexity %s: %s", c.err, r.Status, r.Detail)
		}
	}
}

// Logits that differ cannot be had from this runtime; the judgement can be asked all the same.
func TestJudgements(t *testing.T) {
	for _, c := range []struct {
		r    Result
		want Status
	}{
		{judgeDecode(0, 0, 4), Pass}, {judgeDecode(9e-4, 0, 4), Pass}, {judgeDecode(2e-3, 0, 4), Fail},
		{judgeDecode(1e-5, 1, 4), Fail}, {judgeDecode(math.NaN(), 0, 4), Fail},
		{judgeText("abc", "abc", 2), Pass}, {judgeText("abc", "abd", 2), Fail}, {judgeText("abc", "ab", 2), Fail},
		{judgeDeterminism(0, 4), Pass}, {judgeDeterminism(1e-30, 4), Fail}, {judgeDeterminism(math.NaN(), 4), Fail},
	} {
		if c.r.Status != c.want {
			t.Errorf("%s: %s, want %s", c.r.Detail, c.r.Status, c.want)
		}
	}
	a := [][]float32{{1, 2, 3}, {3, 2, 1}}
	b := [][]float32{{1, 2, 3.5}, {2, 2.5, 1}}
	if worst, other := maxAbs(a, b); worst != 1 || other != 1 {
		t.Errorf("difference %v, other top %d", worst, other)
	}
	if worst, _ := maxAbs(a, [][]float32{{1, float32(math.NaN()), 3}, {3, 2, 1}}); worst == worst {
		t.Error("NaN is lost")
	}
	if got := logitNMSE([][]float32{{11, 12, 13}}, [][]float32{{1, 2, 3}}); got != 0 {
		t.Errorf("a constant added to all logits counts: %v", got)
	}
	if got := logitNMSE([][]float32{{0, 0, 0}}, [][]float32{{1, 2, 3}}); got != 1 {
		t.Errorf("logits without a word: %v", got)
	}
}
