package runtime

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime/kernel"
	"github.com/moeconv/moeconv/testdata"
)

// families are those the decoder runs; of mixtral, the checkpoints lie in the full fixture set only.
func families(t *testing.T) []string {
	out := []string{deepseekDir}
	for _, f := range []string{"mixtral", "mixtral-8"} {
		dir := "families/" + f + "/Mixtral-8x7B-Instruct-v0.1"
		if _, err := os.Stat(testdata.Path(dir, "config.json")); err == nil {
			out = append(out, dir)
		} else if testdata.Full() {
			t.Fatal(err)
		}
	}
	return out
}

// TestLogits holds every position's logits against transformers' (or its stand-in's) and llama.cpp's.
func TestLogits(t *testing.T) {
	for _, dir := range families(t) {
		golden := filepath.Dir(dir) + "/golden"
		var g struct{ IDs map[string][]int32 }
		readJSON(t, &g, golden, "logits.json")
		npz := readNPZ(t, testdata.Path(golden, "logits.npz"))
		for _, outType := range []string{"f32", "bf16"} {
			m := load(t, plan(t, dir, outType), Options{Activations: ActivationsF32})
			for _, seq := range []string{"len16", "len64"} {
				out := eval(t, m.NewSession(), g.IDs[seq], WantAll)
				for _, oracle := range []string{"hf", "llama"} {
					worst := compareLogits(t, out.Logits, npz, oracle+"."+seq)
					t.Logf("%s, %s, %s.%s: at most %.2g off", dir, outType, oracle, seq, worst)
					if worst > 1e-3 {
						t.Errorf("%s, %s, %s.%s: logits are %g off", dir, outType, oracle, seq, worst)
					}
				}
			}
		}
	}
}

// compareLogits is the largest difference from a golden: the last row, and of all rows the 20 largest and the lse.
func compareLogits(t *testing.T, logits [][]float32, npz map[string]array, name string) float64 {
	t.Helper()
	last, ids, top, sums := npz[name+".last"], npz[name+".top20_ids"], npz[name+".top20"], npz[name+".lse"]
	if len(sums.values) != len(logits) {
		t.Fatalf("%s: %d positions, the golden has %d", name, len(logits), len(sums.values))
	}
	worst := maxDiff(t, logits[len(logits)-1], last.values)
	for i, row := range logits {
		got := make([]float32, ids.shape[1])
		for j, id := range ids.row(i) {
			got[j] = row[int(id)]
		}
		worst = max(worst, maxDiff(t, got, top.row(i)), math.Abs(lse(row)-sums.values[i]))
	}
	return worst
}

// TestTinyLogits holds the trained model against PyTorch, with every form of the kernels.
func TestTinyLogits(t *testing.T) {
	var g torch
	readJSON(t, &g, "tiny/golden/torch.json")
	for _, impl := range kernel.Implementations() {
		restore, _ := kernel.Use(impl)
		defer restore()
		m := load(t, plan(t, tinyDir, "bf16"), Options{Activations: ActivationsF32})
		for _, l := range g.LastLogits {
			out := eval(t, m.NewSession(), l.IDs, WantLast)
			if d := maxDiff(t, out.Last(), l.Logits); d > 1e-3 {
				t.Errorf("%s: %d ids: logits are %g off", impl, len(l.IDs), d)
			} else {
				t.Logf("%s: %d ids: at most %.2g off", impl, len(l.IDs), d)
			}
		}
	}
}

// TestTinyGreedy: the model continues every prompt as it does in PyTorch.
func TestTinyGreedy(t *testing.T) {
	var g torch
	readJSON(t, &g, "tiny/golden/torch.json")
	m := load(t, plan(t, tinyDir, "bf16"), Options{Activations: ActivationsF32})
	if len(g.Greedy) == 0 {
		t.Fatal("no goldens")
	}
	for _, want := range g.Greedy {
		got, err := Generate(t.Context(), m.NewSession(), want.PromptIDs, GenerateOptions{MaxTokens: len(want.IDs), IgnoreEOG: true})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.IDs, want.IDs) || got.Text != want.Text || got.Reason != ReasonLength {
			t.Errorf("%q goes on with %v %q (%s), want %v %q", want.Prompt, got.IDs, got.Text, got.Reason, want.IDs, want.Text)
		}
	}
}

// TestTinyPerplexity is PyTorch's figure for the whole held-out text, of which the second halves of 512 tokens are
// scored; the experts chosen on the way are as often chosen there. A short test scores the first chunk alone.
func TestTinyPerplexity(t *testing.T) {
	var g torch
	readJSON(t, &g, "tiny/golden/torch.json")
	m := load(t, plan(t, tinyDir, "bf16"), Options{Activations: ActivationsF32})
	chunks := validChunks(t, m, 512)
	if len(chunks) != g.PPL.Chunks {
		t.Fatalf("%d chunks, want %d", len(chunks), g.PPL.Chunks)
	}
	short := testing.Short() || kernel.Implementation() == "generic"
	if short {
		chunks = chunks[:1]
	}
	sum, n, loads := score(t, m, chunks)
	got := math.Exp(sum / float64(n))
	t.Logf("perplexity %.6f over %d tokens, PyTorch's is %.6f over all", got, n, g.PPL.PPL)
	if short {
		if !(got > 4 && got < 30) {
			t.Errorf("perplexity %.4f of the first chunk", got)
		}
		return
	}
	if math.Abs(got-g.PPL.PPL) > 1e-4*g.PPL.PPL {
		t.Errorf("perplexity %.6f, PyTorch's is %.6f", got, g.PPL.PPL)
	}
	for i, want := range g.PPL.Load { // of the blocks with experts
		for e, share := range loads[i+1] {
			if math.Abs(share-want[e]) > 1e-4 {
				t.Errorf("block %d: expert %d has %.4f of the uses, %.4f in PyTorch", i+1, e, share, want[e])
			}
		}
	}
}

// score is the sum of the negative log-likelihoods of the chunks' second halves, their number, and the experts'
// share of each block's uses.
func score(t testing.TB, m *Model, chunks [][]int32) (sum float64, n int, loads [][]float64) {
	t.Helper()
	s := m.NewSession()
	s.CountRoutes(true)
	loads = make([][]float64, 3)
	for _, chunk := range chunks {
		half := len(chunk) / 2
		s.Reset()
		out := eval(t, s, chunk, WantFrom(half))
		for i, row := range out.Logits[:half-1] {
			sum += lse(row) - float64(row[chunk[half+i+1]])
			n++
		}
		for il, routes := range out.Routes {
			loads[il] = append(loads[il], make([]float64, len(routes)-len(loads[il]))...)
			for e, uses := range routes {
				loads[il][e] += float64(uses) / float64(2*len(chunk)*len(chunks))
			}
		}
	}
	return sum, n, loads
}

// validChunks is valid.txt in pieces of n tokens, each begun with BOS in place of its first token.
func validChunks(t testing.TB, m *Model, n int) [][]int32 {
	t.Helper()
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(testdata.Path("tiny/golden/valid.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := encode(tok, string(text[:len(text)-1]))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]int32
	for chunk := range slices.Chunk(ids, n) {
		if len(chunk) == n {
			chunk[0], _ = tok.BOS()
			out = append(out, chunk)
		}
	}
	return out
}

// TestQuantizedLogits holds files of each scheme, run with rounded activations, against llama.cpp running its own.
// Where all activations round to the same integers as there, the logits differ by float32 noise. One value within
// that noise of a rounding boundary moves a random model's logits visibly, though by less than half of what the scheme
// itself does to them; so the least that holds for each is the latter, and for at least two schemes of a family the former.
func TestQuantizedLogits(t *testing.T) {
	const noise = 1e-4
	schemes := []string{"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K", "Q4_K_M-imatrix"}
	if testing.Short() { // encoding takes the time
		schemes = []string{"Q4_0", "Q4_K_M"}
	}
	for _, dir := range families(t) {
		golden := filepath.Dir(dir) + "/golden"
		var g struct{ IDs map[string][]int32 }
		readJSON(t, &g, golden, "logits.json")
		exact := 0
		for _, scheme := range schemes {
			var want quantGolden
			readJSON(t, &want, golden, "quant-"+scheme+".json")
			m := load(t, quantized(t, dir, scheme), Options{})
			row := eval(t, m.NewSession(), g.IDs["len16"], WantLast).Last()
			worst := math.Abs(lse(row) - want.Last.LSE)
			for _, top := range want.Last.Top10 {
				worst = max(worst, math.Abs(float64(row[int(top[0])])-top[1]))
			}
			t.Logf("%s %s: at most %.2g off", dir, scheme, worst)
			if worst > want.Last.FromF32/2 {
				t.Errorf("%s %s: logits are %g off, %g from those of the f32 file", dir, scheme, worst, want.Last.FromF32)
			}
			if worst <= noise {
				exact++
			}
		}
		if exact < 2 && !testing.Short() {
			t.Errorf("%s: %d of %d schemes agree within %g", dir, exact, len(schemes), noise)
		}
	}
}

// quantGolden is what llama.cpp computes with a quantized file.
type quantGolden struct {
	Last struct {
		LSE     float64
		Top10   [][2]float64
		FromF32 float64 `json:"max_abs_vs_f32_all"`
	} `json:"logits_len16_last"`
}

// quantized is a checkpoint's bf16 conversion quantized to a scheme; "-imatrix" after its name uses the golden matrix.
func quantized(t testing.TB, dir, name string) *quantize.Job {
	t.Helper()
	var opts quantize.Options
	const suffix = "-imatrix"
	if n := len(name) - len(suffix); n > 0 && name[n:] == suffix {
		name = name[:n]
		im, err := imatrix.Open(testdata.Path(filepath.Dir(dir), "golden", "imatrix.gguf"))
		if err != nil {
			t.Fatal(err)
		}
		opts.Imatrix = im
	}
	s, err := quantize.ParseScheme(name)
	if err != nil {
		t.Fatal(err)
	}
	j, err := quantize.New(plan(t, dir, "bf16"), s, opts)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
	return j
}
