package recipes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/verify/bench"
)

// TestMeasuredPlacement: of the measured steps the smallest that fits is taken; none, where nothing that was measured fits,
// or all of the model does and that was not measured.
func TestMeasuredPlacement(t *testing.T) {
	var all []*offload.Footprint // 10 bytes, one less a layer
	for n := range 9 {
		all = append(all, &offload.Footprint{NCPUMoE: n, Weights: int64(10 - n)})
	}
	l := measuredLadder{"bench/x.bench.json", &bench.Ladder{Steps: []bench.Step{{NCPUMoE: 2}, {NCPUMoE: 5}, {NCPUMoE: 99}}}}
	for _, c := range []struct {
		vram  int64
		least int
		want  int
	}{{8, 2, 0}, {9, 1, 0}, {7, 3, 1}, {5, 5, 1}, {4, 6, -1}, {10, 0, -1}} {
		if got := l.smallest(all, c.vram, c.least); got != c.want {
			t.Errorf("%+v: step %d", c, got)
		}
	}
	if got := (measuredLadder{}).smallest(all, 8, 2); got != -1 {
		t.Errorf("no ladder: step %d", got)
	}
}

// TestLadders: results of bench that hold a ladder of a file are found, others are not; one that is no JSON is an error.
func TestLadders(t *testing.T) {
	dir := t.TempDir()
	extra := map[string]string{}
	for name, text := range map[string]string{
		"a.bench.json": `{"file_sha256": "aa", "ladder": {"steps": [{"n_cpu_moe": 3}]}}`, "b.bench.json": `{"models": []}`,
		"c.bench.json": `{"ladder": {"steps": []}}`, "d.trace.jsonl": "no JSON at all",
	} {
		extra["bench/"+name] = filepath.Join(dir, name)
		if err := os.WriteFile(extra["bench/"+name], []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ladders(extra)
	if err != nil || len(got) != 1 || got["aa"].document != "bench/a.bench.json" || !got["aa"].Is([]int{3}) || got["aa"].Is([]int{3, 0}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := os.WriteFile(extra["bench/b.bench.json"], []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ladders(extra); err == nil || !strings.Contains(err.Error(), "b.bench.json") {
		t.Error(err)
	}
}
