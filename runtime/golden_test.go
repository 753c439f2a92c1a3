package runtime

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime/kernel"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/testdata"
)

// families are the fixtures that llama.cpp runs, too; it does not know GRIN-MoE's class.
func families(t *testing.T) []testdata.Checkpoint {
	var out []testdata.Checkpoint
	for _, c := range testdata.Checkpoints() {
		if !c.Micro && c.Family != "grin-moe" {
			out = append(out, c)
		}
	}
	if testdata.Full() && len(out) < 22 {
		t.Fatalf("%d families", len(out))
	}
	return out
}

// logitsGolden is what the oracles compute with a family's f32 file.
type logitsGolden struct {
	dir string
	ids map[string][]int32
	npz map[string]array
}

// goldenOf reads a family's golden. That of the adversarial one is wrong by design: its weights are gpt-oss's.
func goldenOf(t *testing.T, c testdata.Checkpoint) logitsGolden {
	t.Helper()
	dir := c.Golden
	if c.Family == "gpt-oss-splitpair" {
		dir = testdata.Path("families/gpt-oss/golden")
	}
	var g struct{ IDs map[string][]int32 }
	readFile(t, &g, filepath.Join(dir, "logits.json"))
	return logitsGolden{dir, g.IDs, readNPZ(t, filepath.Join(dir, "logits.npz"))}
}

// TestLogits holds every position's logits against llama.cpp's, and by the published model's formula against
// transformers' (or its stand-in's). A short test leaves out the longer text.
func TestLogits(t *testing.T) {
	for _, c := range families(t) {
		t.Run(c.Family, func(t *testing.T) {
			g, p := goldenOf(t, c), plan(t, c.Dir, "f32")
			for oracle, opts := range map[string]Options{"llama": {Compat: nn.CompatLlamaCpp}, "hf": {Compat: nn.CompatHF}} {
				opts.Context, opts.Activations = 512, ActivationsF32
				mxfp4 := oracle == "llama" && slices.ContainsFunc(p.Tensors(), func(t gguf.TensorInfo) bool { return t.Type == gguf.MXFP4 })
				if mxfp4 { // llama.cpp rounds what meets such weights
					opts.Activations = ActivationsRounded
				}
				m := load(t, p, opts)
				for seq, ids := range g.ids {
					if testing.Short() && seq != "len16" {
						continue
					}
					off := compareLogits(t, eval(t, m.NewSession(), ids, WantAll).Logits, g.npz, oracle+"."+seq)
					checkOff(t, oracle+"."+seq, off, mxfp4)
				}
			}
		})
	}
}

// checkOff wants all positions within 1e-3 of the golden. Where activations are rounded, a value within float32 noise
// of a rounding boundary moves a random model's logits, so a tenth of the positions may be up to 0.1 off.
func checkOff(t *testing.T, name string, off []float64, rounded bool) {
	t.Helper()
	sort.Float64s(off)
	at, worst := off[len(off)-1], off[len(off)-1]
	if rounded {
		at = off[len(off)*9/10-1]
	}
	if t.Logf("%s: at most %.2g off", name, worst); !(at <= 1e-3 && worst <= 0.1) {
		t.Errorf("%s: logits are %g off, %g at the 90th percentile", name, worst, off[len(off)*9/10-1])
	}
}

// compareLogits is each position's largest difference from a golden: of the last one's logits, and of all others'
// 20 largest and the lse.
func compareLogits(t *testing.T, logits [][]float32, npz map[string]array, name string) []float64 {
	t.Helper()
	last, ids, top, sums := npz[name+".last"], npz[name+".top20_ids"], npz[name+".top20"], npz[name+".lse"]
	if len(sums.values) != len(logits) {
		t.Fatalf("%s: %d positions, the golden has %d", name, len(logits), len(sums.values))
	}
	var off []float64
	for i, row := range logits {
		got := make([]float32, ids.shape[1])
		for j, id := range ids.row(i) {
			got[j] = row[int(id)]
		}
		off = append(off, max(maxDiff(t, got, top.row(i)), math.Abs(lse(row)-sums.values[i])))
	}
	n := len(logits) - 1
	off[n] = max(off[n], maxDiff(t, logits[n], last.values))
	return off
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
// that noise of a rounding boundary moves a random model's logits visibly, and more where it changes an expert; so
// what holds for each scheme is that they differ by less than what the scheme itself does to them.
func TestQuantizedLogits(t *testing.T) {
	const noise = 1e-4
	schemes := []string{"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K", "Q4_K_M-imatrix"}
	if testing.Short() { // encoding takes the time
		schemes = []string{"Q4_0", "Q4_K_M"}
	}
	for _, c := range families(t) {
		t.Run(c.Family, func(t *testing.T) {
			g := goldenOf(t, c)
			exact := 0
			for _, scheme := range schemes {
				var want quantGolden
				readFile(t, &want, filepath.Join(g.dir, "quant-"+scheme+".json"))
				m := load(t, quantized(t, c.Dir, scheme), Options{Context: 512})
				row := eval(t, m.NewSession(), g.ids["len16"], WantLast).Last()
				worst := math.Abs(lse(row) - want.Last.LSE)
				for _, top := range want.Last.Top10 {
					worst = max(worst, math.Abs(float64(row[int(top[0])])-top[1]))
				}
				from := maxDiff(t, row, g.npz["llama.len16.last"].values)
				t.Logf("%s: at most %.2g off, %.2g from f32 where llama.cpp's is %.2g", scheme, worst, from, want.Last.FromF32)
				if worst > want.Last.FromF32 || from > 1.5*want.Last.FromF32 {
					t.Errorf("%s: logits are %g off and %g from those of the f32 file, llama.cpp's %g", scheme, worst, from, want.Last.FromF32)
				}
				if worst <= noise {
					exact++
				}
			}
			if exact < 1 && !testing.Short() {
				t.Errorf("none of %d schemes agrees within %g", len(schemes), noise)
			}
		})
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
	opts := quantize.Options{AllowRequantize: true} // as the goldens of checkpoints in MXFP4 were made
	const suffix = "-imatrix"
	if n := len(name) - len(suffix); n > 0 && name[n:] == suffix {
		name = name[:n]
		im, err := imatrix.Open(filepath.Join(filepath.Dir(located(dir)), "golden", "imatrix.gguf"))
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
