package verify

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
	"github.com/moeconv/moeconv/testdata"
)

// quality is a row of the table beside the tiny model: llama-perplexity over valid.txt in chunks of 512.
type quality struct {
	Bytes    int64   `json:"bytes"` // of the file
	PPL      float64 `json:"ppl"`
	PPLError float64 `json:"ppl_err"`
	Ratio    float64 `json:"ppl_ratio"`
	Mean     float64 `json:"mean_kld"`
	Median   float64 `json:"median_kld"`
	P99      float64 `json:"kld_99"`
	P999     float64 `json:"kld_999"`
	Max      float64 `json:"max_kld"`
	RMSDp    float64 `json:"rms_dp"`   // percent
	SameTop  float64 `json:"same_top"` // percent
}

func qualityTable(t *testing.T) map[string]quality {
	t.Helper()
	b, err := os.ReadFile(testdata.Path("tiny", "golden", "quality.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]quality
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func validText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(testdata.Path("tiny", "golden", "valid.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// load loads a source for the length of the test.
func load(tb testing.TB, src gguf.Source, o runtime.Options) *runtime.Model {
	tb.Helper()
	m, err := runtime.Load(src, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

// golden is the tiny model as a row of the table names it: a scheme, +im with the importance matrix beside the model.
func golden(t *testing.T, row string) gguf.Source {
	t.Helper()
	name, im := strings.CutSuffix(row, "+im")
	s, err := quantize.ParseScheme(name)
	if err != nil {
		t.Fatal(err)
	}
	var o quantize.Options
	if im {
		if o.Imatrix, err = imatrix.Open(testdata.Path("tiny", "golden", "imatrix.gguf")); err != nil {
			t.Fatal(err)
		}
	}
	job, err := quantize.New(tinyPlan(t), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// near fails unless got is within a share, and an absolute slack, of want.
func near(t *testing.T, what string, got, want, share, slack float64) {
	t.Helper()
	if !(math.Abs(got-want) <= share*math.Abs(want)+slack) {
		t.Errorf("%s: %.6f, want %.6f", what, got, want)
	}
}

// asReference is how llama-perplexity runs a model: keys and values in 16 bits.
func asReference(a runtime.Activations) runtime.Options {
	return runtime.Options{Activations: a, KV: gguf.F16}
}

// Every scheme of the table over the whole of valid.txt, within the bounds that the gate of a release promises.
func TestTinyQuality(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the whole text")
	}
	table := qualityTable(t)
	if len(table) != 34 {
		t.Errorf("the table has %d rows", len(table))
	}
	base := load(t, tinyPlan(t), asReference(runtime.ActivationsF32))
	b, err := NewBaseline(context.Background(), base, validText(t), PerplexityOptions{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	recorded := recordTop(t, base, PerplexityOptions{})
	for row, want := range table {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			o := asReference(runtime.ActivationsIntegers)
			o.Threads = 1
			pair := &pairedBase{wide: b, top: recorded}
			d, err := (&Baseline{text: b.text, vocab: b.vocab, file: pair}).Divergence(context.Background(), load(t, golden(t, row), o))
			if err != nil {
				t.Fatal(err)
			}
			mean, _ := pair.kld.mean()
			t.Logf("mean KLD by the recorded base %.6f (%+.3f%%)", mean, 100*(mean/d.Mean-1))
			near(t, "mean KLD by the recorded base", mean, d.Mean, 0.01, 1e-6)
			t.Logf("ppl %.4f (%+.3f%%), mean KLD %.6f (%.6f), median %.6f (%.6f), 99%% %.6f (%.6f), 99.9%% %.6f (%.6f), max %.6f (%.6f), same top %.3f (%.3f), RMS dp %.3f (%.3f)",
				d.PPL.PPL, 100*(d.PPL.PPL/want.PPL-1), d.Mean, want.Mean, d.Median, want.Median, d.P99, want.P99, d.P999, want.P999, d.Max, want.Max, 100*d.SameTop, want.SameTop, 100*d.RMSDeltaP, want.RMSDp)
			near(t, "perplexity", d.PPL.PPL, want.PPL, 0.001, 0)
			near(t, "its error", d.PPL.Error, want.PPLError, 0.01, 0)
			near(t, "base's perplexity", d.BasePPL.PPL, table["F32"].PPL, 1e-5, 0)
			near(t, "ratio", d.Ratio, want.Ratio, 0, 0.001)
			near(t, "mean KLD", d.Mean, want.Mean, 0.03, 2e-5)
			near(t, "median KLD", d.Median, want.Median, 0.03, 2e-5)
			near(t, "99% KLD", d.P99, want.P99, 0.1, 1e-6)
			near(t, "same top token, %", 100*d.SameTop, want.SameTop, 0, 0.3)
			near(t, "RMS difference of probability, %", 100*d.RMSDeltaP, want.RMSDp, 0.04, 0.01)
			if d.PPL.Chunks != 54 || d.PPL.Scored != 54*255 {
				t.Errorf("%d chunks, %d scored", d.PPL.Chunks, d.PPL.Scored)
			}
		})
	}
}

// TestFloats: products of decoded weights, which other CPUs compute, hold the same bounds.
func TestFloats(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the whole text")
	}
	table := qualityTable(t)
	b, err := NewBaseline(context.Background(), load(t, tinyPlan(t), asReference(runtime.ActivationsF32)), validText(t), PerplexityOptions{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"Q8_0", "Q4_K_M"} {
		want := table[row]
		d, err := b.Divergence(context.Background(), load(t, golden(t, row), asReference(runtime.ActivationsRounded)))
		if err != nil {
			t.Fatal(err)
		}
		near(t, row+": perplexity", d.PPL.PPL, want.PPL, 0.001, 0)
		near(t, row+": mean KLD", d.Mean, want.Mean, 0.03, 2e-5)
		near(t, row+": median KLD", d.Median, want.Median, 0.03, 1e-6)
		near(t, row+": same top token, %", 100*d.SameTop, want.SameTop, 0, 0.3)
	}
}

// Side by side and against kept answers are the same, and what is not quantized does not diverge.
func TestBaselineKeptOrNot(t *testing.T) {
	ctx, text, o := context.Background(), validText(t), PerplexityOptions{Context: 128, Chunks: 4}
	base := load(t, tinyPlan(t), runtime.Options{Activations: runtime.ActivationsF32})
	m := load(t, golden(t, "Q4_K_M"), runtime.Options{})
	kept, err := NewBaseline(ctx, base, text, o, 0)
	if err != nil {
		t.Fatal(err)
	}
	lean, err := NewBaseline(ctx, base, text, o, 4*63*(1408+4)*2-1)
	if err != nil {
		t.Fatal(err)
	}
	if !kept.Kept() || lean.Kept() {
		t.Errorf("kept %v and %v: a byte less than the budget must not be kept", kept.Kept(), lean.Kept())
	}
	var got [2]DivergenceResult
	for i, f := range []func() (DivergenceResult, error){
		func() (DivergenceResult, error) { return kept.Divergence(ctx, m) },
		func() (DivergenceResult, error) { return lean.Divergence(ctx, m) },
	} {
		if got[i], err = f(); err != nil {
			t.Fatal(err)
		}
	}
	if !cmp.Equal(got[0], got[1]) {
		t.Errorf("kept\n%+v\nbeside\n%+v", got[0], got[1])
	}
	near(t, "mean KLD of Q4_K_M", got[0].Mean, 0.0075, 0.5, 0)
	self, err := kept.Divergence(ctx, base)
	if err != nil || math.Abs(self.Mean) > 1e-6 || self.SameTop < 0.999 || math.Abs(self.Ratio-1) > 1e-5 {
		t.Errorf("the base from itself: %+v, %v", self, err)
	}
	alone, err := Perplexity(ctx, m, text, o)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "perplexity alone", alone.PPL, got[0].PPL.PPL, 1e-6, 0)
	if !cmp.Equal(alone.Routes, got[0].PPL.Routes) {
		t.Errorf("routes %v and %v", alone.Routes, got[0].PPL.Routes)
	}
}

// PyTorch's answer to the same text: perplexity, tokens, and how often each expert was chosen.
func TestPerplexityEqualsTorch(t *testing.T) {
	raw, err := os.ReadFile(testdata.Path("tiny", "golden", "torch.json"))
	if err != nil {
		t.Fatal(err)
	}
	var torch struct {
		Tokens int `json:"valid_tokens_with_bos"`
		At512  struct {
			PPL    float64     `json:"ppl"`
			Chunks int         `json:"chunks"`
			Scored int         `json:"scored_tokens"`
			Load   [][]float64 `json:"expert_load"`
		} `json:"ppl_ctx512"`
		At256 struct {
			PPL    float64 `json:"ppl"`
			Chunks int     `json:"chunks"`
		} `json:"ppl_ctx256"`
	}
	if err := json.Unmarshal(raw, &torch); err != nil {
		t.Fatal(err)
	}
	m := load(t, tinyPlan(t), runtime.Options{Activations: runtime.ActivationsF32})
	chunks, calls := 0, int64(0)
	if testing.Short() {
		chunks = 2
	}
	p, err := Perplexity(context.Background(), m, validText(t), PerplexityOptions{Chunks: chunks, Progress: func(done, total int64) { calls = done }})
	if err != nil {
		t.Fatal(err)
	}
	if p.Tokens != torch.Tokens || int64(p.Chunks) != calls {
		t.Errorf("%d tokens, %d chunks of %d reported; want %d tokens", p.Tokens, p.Chunks, calls, torch.Tokens)
	}
	if testing.Short() {
		return
	}
	near(t, "perplexity", p.PPL, torch.At512.PPL, 1e-5, 0)
	if p.Chunks != torch.At512.Chunks || p.Scored != torch.At512.Scored {
		t.Errorf("%d chunks, %d scored; want %d and %d", p.Chunks, p.Scored, torch.At512.Chunks, torch.At512.Scored)
	}
	for b, row := range p.Routes {
		var sum float64
		for _, n := range row {
			sum += float64(n)
		}
		for e, n := range row {
			near(t, "load of an expert", float64(n)/sum, torch.At512.Load[b-1][e], 0, 0.002)
		}
	}
	if p, err = Perplexity(context.Background(), m, validText(t), PerplexityOptions{Context: 256}); err != nil {
		t.Fatal(err)
	}
	near(t, "perplexity in chunks of 256", p.PPL, torch.At256.PPL, 1e-5, 0)
}

func TestChunks(t *testing.T) {
	m := load(t, tinyPlan(t), runtime.Options{})
	tk, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	text := validText(t)
	c, err := cut(tk, text, PerplexityOptions{Context: 64, Chunks: 3})
	if err != nil {
		t.Fatal(err)
	}
	bos, _ := tk.BOS()
	if !tk.AddBOS() || len(c.picks) != 3 || c.first() != 32 || c.scored() != 31 {
		t.Fatalf("%d picks, first %d, %d scored", len(c.picks), c.first(), c.scored())
	}
	for _, i := range c.picks {
		got := c.chunk(i)
		if len(got) != 64 || got[0] != bos || !slices.Equal(got[1:], c.tokens[i*64+1:(i+1)*64]) {
			t.Errorf("chunk %d: %v", i, got)
		}
	}
	if c.tokens[64] == bos {
		t.Error("the text's own tokens must stay")
	}
	c.addBOS = false
	if c.chunk(1)[0] != c.tokens[64] {
		t.Error("without add_bos_token the first token stays")
	}
	one, _ := cut(tk, text+"\n", PerplexityOptions{})
	two, _ := cut(tk, text+"\n\n", PerplexityOptions{})
	if len(two.tokens) == len(one.tokens) || one.source != text {
		t.Error("exactly one newline is dropped at the end")
	}
	if control, _ := cut(tk, strings.Repeat("<s>", 300), PerplexityOptions{Context: 64}); slices.Contains(control.tokens[1:], bos) {
		t.Error("special tokens of the text must not be parsed")
	}
	for want, o := range map[string]PerplexityOptions{
		"the text has 101 tokens, two chunks of 64 are needed": {Context: 64},
		"chunks of 3 tokens are too short":                     {Context: 3},
	} {
		short := tk.Decode(c.tokens[1:101], token.Options{})
		if _, err := cut(tk, short, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// What conversion errors cost, as PyTorch measured it. One expert zeroed scores 11.88, better than a sound Q3_K_M.
func TestPerplexityOfConversionErrors(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the whole text")
	}
	sound := hold(t, tinyPlan(t))
	class := func(c names.Class) gguf.Source {
		return Zeroed(sound, func(t gguf.TensorInfo) bool { return names.ClassOf(t.Name) == c })
	}
	swapped, reversed := sound.clone(), sound.clone()
	for _, b := range []string{"blk.1.", "blk.2."} {
		g, u := swapped.find(t, b+"ffn_gate_exps.weight"), swapped.find(t, b+"ffn_up_exps.weight")
		swapped.data[g], swapped.data[u] = swapped.data[u], swapped.data[g]
		i := reversed.find(t, b+"ffn_gate_inp.weight")
		rows, size := int(reversed.tensors[i].Shape.Rows()), int(reversed.tensors[i].RowBytes())
		for r := range rows {
			copy(reversed.data[i][r*size:(r+1)*size], sound.data[i][(rows-1-r)*size:])
		}
	}
	for name, c := range map[string]struct {
		src  gguf.Source
		want float64
	}{
		"routed experts missing": {class(names.RoutedExpert), 19.3},
		"shared expert missing":  {class(names.SharedExpert), 14.7},
		"gate and up swapped":    {swapped, 21.5},
		"router rows reversed":   {reversed, 26.0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Perplexity(context.Background(), load(t, c.src, runtime.Options{Threads: 1, Activations: runtime.ActivationsF32}), validText(t), PerplexityOptions{})
			if err != nil {
				t.Fatal(err)
			}
			near(t, "perplexity", p.PPL, c.want, 0, 0.05)
		})
	}
}

func TestBaselineRefusesOtherVocabularies(t *testing.T) {
	ctx, text := context.Background(), validText(t)
	src := hold(t, tinyPlan(t))
	b, err := NewBaseline(ctx, load(t, src, runtime.Options{}), text, PerplexityOptions{Chunks: 1}, -1)
	if err != nil {
		t.Fatal(err)
	}
	other := src.clone()
	tokens, err := gguf.Value[[]string](other.md, "tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	tokens = slices.Clone(tokens)
	i, j := slices.Index(tokens, "e"), slices.Index(tokens, "t")
	tokens[i], tokens[j] = tokens[j], tokens[i]
	other.md.Set("tokenizer.ggml.tokens", tokens)
	if _, err := b.Divergence(ctx, load(t, other, runtime.Options{})); err == nil || !strings.Contains(err.Error(), "other tokens for the text") {
		t.Errorf("error %v", err)
	}
}
