package runtime

import (
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
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

// plan is a fixture's checkpoint as a source.
func plan(t testing.TB, dir, outType string) *convert.Plan {
	t.Helper()
	opts := convert.Options{OutType: outType, Name: path.Base(dir)}
	p, err := convert.NewPlan(withTokenizer{os.DirFS(testdata.Path(dir))}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// withTokenizer is a checkpoint whose tokenizer, if it is of a kind that convert does not read, is another one of at
// most as many tokens: the decoder only counts them.
type withTokenizer struct{ fs.FS }

func (f withTokenizer) Open(name string) (fs.File, error) {
	if _, err := fs.Stat(f.FS, "tokenizer.model"); err == nil && strings.HasPrefix(name, "tokenizer") {
		if name == "tokenizer.model" {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return os.Open(testdata.Path(deepseekDir, name))
	}
	return f.FS.Open(name)
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
	data, err := os.ReadFile(testdata.Path(elem...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
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
