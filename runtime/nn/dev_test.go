package nn

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

func TestDev(t *testing.T) {
	p, err := gguf.Open("/tmp/dev/g/tiny-f32.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	d, err := Load(context.Background(), p, Options{Workers: 2, Context: 512, WeightCache: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		LastLogits []struct {
			IDs    []int32 `json:"ids"`
			Logits []float32
		} `json:"last_logits"`
	}
	data, _ := os.ReadFile(testdata.Path("tiny/golden/torch.json"))
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	for _, l := range g.LastLogits {
		s := d.NewState()
		r, err := s.Eval(context.Background(), l.IDs, len(l.IDs)-1, false)
		if err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for i, v := range r.Logits[0] {
			worst = max(worst, math.Abs(float64(v-l.Logits[i])))
		}
		t.Logf("%d ids: max diff %g", len(l.IDs), worst)
	}
}
