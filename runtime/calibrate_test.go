package runtime

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime/kernel"
	"github.com/moeconv/moeconv/testdata"
)

// TestImportanceTiny: over the whole calibration text the trained model's matrix is llama-imatrix's, which ran the f32
// file: every count, and every sum but for float32 noise.
func TestImportanceTiny(t *testing.T) {
	if testing.Short() || kernel.Implementation() == "generic" {
		return // the families' matrices are compared then
	}
	text, err := os.ReadFile(testdata.Path("tiny/golden/calib.txt"))
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, plan(t, tinyDir, "f32"), Options{KV: gguf.F16, Context: 512})
	got := calibrate(t, m, string(text), CalibrationOptions{ChunkSize: 512})
	d := compareSums(t, openSums(t, "tiny/golden"), got)
	t.Logf("sums are at most %.2g off, %d of %d uses differ", d.sum, d.moved, d.uses)
	if d.sum > 3e-5 || d.moved > 0 || got.Chunks() != 174 {
		t.Errorf("sums are %g off, %d uses differ, %d chunks", d.sum, d.moved, got.Chunks())
	}
}

// TestImportanceFamilies compares with llama-imatrix's run of the bf16 files, where inputs are rounded to bf16 and the
// KV cache to f16. One value within float32 noise of a rounding boundary may change an expert of a random model; where
// none does, what experts compute agrees too.
func TestImportanceFamilies(t *testing.T) {
	var parts []string
	readFile(t, &parts, testdata.Path("families/strings.json"))
	text := strings.Repeat(strings.Join(parts[:40], ""), 3)
	for _, c := range families(t) {
		if c.Family == "gpt-oss-splitpair" {
			continue // whose golden is of wrong weights
		}
		m := load(t, plan(t, c.Dir, "bf16"), Options{KV: gguf.F16, Context: 64})
		got := calibrate(t, m, text, CalibrationOptions{ChunkSize: 64, Chunks: 8})
		d := compareSums(t, openSums(t, c.Golden), got)
		t.Logf("%s: tensors are at most %.2g off, %d of %d uses differ", c.Family, d.tensor, d.moved, d.uses)
		if float64(d.moved) > 0.003*float64(d.uses) || d.tensor > 0.1 || d.moved == 0 && d.tensor > 2e-3 {
			t.Errorf("%s: tensors are %g off, %d of %d uses differ", c.Family, d.tensor, d.moved, d.uses)
		}
	}
}

func openSums(t *testing.T, dir string) *imatrix.Sums {
	t.Helper()
	if !filepath.IsAbs(dir) {
		dir = testdata.Path(dir)
	}
	s, err := imatrix.OpenSums(filepath.Join(dir, "imatrix.gguf"), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func calibrate(t *testing.T, m *Model, text string, o CalibrationOptions) *imatrix.Sums {
	t.Helper()
	c, err := m.Calibration(text, o)
	if err != nil {
		t.Fatal(err)
	}
	sums := imatrix.NewSums(o.ChunkSize)
	for i := range c.Chunks {
		if err := m.Calibrate(t.Context(), c, i, sums, nil); err != nil {
			t.Fatal(err)
		}
	}
	return sums
}

// sumsOff says how far importance matrices are apart.
type sumsOff struct {
	sum, tensor float64 // largest relative difference of a mean square, and of a tensor's as vectors
	moved, uses int64   // of experts
}

// compareSums wants the same tensors, and the same counts but for those of experts.
func compareSums(t *testing.T, want, got *imatrix.Sums) (d sumsOff) {
	t.Helper()
	if w, g := strings.Join(want.Names(), " "), strings.Join(got.Names(), " "); w != g {
		t.Fatalf("tensors %s, want %s", g, w)
	}
	for _, name := range want.Names() {
		w, wantUses := want.Raw(name)
		g, uses := got.Raw(name)
		if len(w) != len(g) || len(uses) != len(wantUses) || len(uses) == 1 && uses[0] != wantUses[0] {
			t.Fatalf("%s: %d sums, counts %v, want %d, %v", name, len(g), uses, len(w), wantUses)
		}
		for e, n := range wantUses {
			d.uses += n
			d.moved += max(n-uses[e], uses[e]-n)
		}
		var dist, norm float64
		for i := range w {
			e := i * len(uses) / len(w)
			a, b := float64(w[i])/float64(max(1, wantUses[e])), float64(g[i])/float64(max(1, uses[e]))
			dist += (a - b) * (a - b)
			norm += a * a
			d.sum = max(d.sum, math.Abs(a-b)/(a+1e-9))
		}
		d.tensor = max(d.tensor, math.Sqrt(dist/norm))
	}
	return d
}
