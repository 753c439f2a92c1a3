package nn

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// The oracle of testdata/logits.json is llama.cpp 0.5.0 (npm package @node-llama-cpp/linux-x64 3.22.1), f32 KV cache,
// no flash attention. Its input: go test -run TestOracle -args -write DIR, then the logits of ids at every position.
var write = flag.String("write", "", "write the models of TestOracle to this folder and stop")

var ids = []int32{3, 1, 4, 15, 9, 2, 6, 5, 35, 8, 9, 7, 49, 32, 38, 46, 26, 43, 38, 32, 0, 28, 8, 41}

// TestOracle holds models with numbers that follow from their names against llama.cpp.
func TestOracle(t *testing.T) {
	models := map[string]*model{"llama-dense": denseLlama(), "deepseek": deepseek()}
	if *write != "" {
		for name, m := range models {
			if _, err := gguf.WriteFile(t.Context(), filepath.Join(*write, name+".gguf"), m, gguf.FileOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	data, err := os.ReadFile("testdata/logits.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string][][]float64
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	for name, m := range models {
		want := golden[name]
		if len(want) != len(ids) {
			t.Fatalf("%s: %d positions in the golden", name, len(want))
		}
		worst := 0.0
		for pos, row := range logits(t, m) {
			for i, v := range row {
				if d := math.Abs(float64(v) - want[pos][i]); !(d <= worst) {
					worst = d
				}
			}
		}
		if t.Logf("%s: at most %.2g off", name, worst); !(worst <= 1e-4) {
			t.Errorf("%s: logits are %g off", name, worst)
		}
	}
}

func options() Options { return Options{Workers: 2, Context: 64, WeightCache: 1 << 20} }

// logits are those of ids at every position.
func logits(t *testing.T, m *model) [][]float32 {
	t.Helper()
	d, err := Load(t.Context(), m, options())
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.NewState().Eval(t.Context(), ids, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	return r.Logits
}
