package runtime

import (
	"encoding/json"
	"math"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/token"
	"github.com/moeconv/moeconv/testdata"
)

const (
	tinyDir     = "tiny/tiny-moe-go"
	deepseekDir = "families/deepseek-moe/deepseek-moe-16b-chat"
)

// plan is a checkpoint as a source: dir is its path, or that of a fixture.
func plan(t testing.TB, dir, outType string) *convert.Plan {
	t.Helper()
	opts := convert.Options{OutType: outType, Name: path.Base(dir)}
	p, err := convert.NewPlan(os.DirFS(located(dir)), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func located(dir string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	return testdata.Path(dir)
}

func load(t testing.TB, src gguf.Source, opts Options) *Model {
	t.Helper()
	m, err := Load(src, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func eval(t testing.TB, s *Session, ids []int32, want Want) *Output {
	t.Helper()
	out, err := s.Eval(t.Context(), ids, want)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readJSON(t testing.TB, v any, elem ...string) {
	t.Helper()
	readFile(t, v, testdata.Path(elem...))
}

// maxDiff is the largest distance between two rows.
func maxDiff(t testing.TB, got []float32, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	worst := 0.0
	for i, v := range got {
		if d := math.Abs(float64(v) - want[i]); !(d <= worst) {
			worst = d
		}
	}
	return worst
}

// lse is the logarithm of the sum of exponentials.
func lse(x []float32) float64 {
	top, sum := float64(x[0]), 0.0
	for _, v := range x {
		top = max(top, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

// torch is what PyTorch says about the tiny model (tiny/golden/torch.json).
type torch struct {
	PPL struct {
		PPL    float64
		Chunks int
		Load   [][]float64 `json:"expert_load"`
	} `json:"ppl_ctx512"`
	Greedy []struct {
		Prompt    string
		PromptIDs []int32 `json:"prompt_ids"`
		IDs       []int32
		Text      string
	}
	LastLogits []struct {
		IDs    []int32
		Logits []float64
	} `json:"last_logits"`
}

func encode(tok *token.Tokenizer, text string) ([]int32, error) {
	return tok.Encode(text, token.Options{AddSpecial: true})
}

func readFile(t testing.TB, v any, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}
