package runtime

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/testdata"
)

// microGolden is what llama.cpp computes with a micro checkpoint; testdata/gen/micro_logits.py says how.
type microGolden struct {
	IDs  []int32
	Rows []struct {
		LSE float64
		Top [][2]float64
	}
}

// micro calls f for each micro checkpoint that can be run, with its golden.
func micro(t *testing.T, f func(t *testing.T, c testdata.Checkpoint, g microGolden)) {
	data, err := os.ReadFile("testdata/micro_logits.json")
	if err != nil {
		t.Fatal(err)
	}
	var goldens map[string]microGolden
	if err := json.Unmarshal(data, &goldens); err != nil {
		t.Fatal(err)
	}
	run := map[string]bool{}
	for _, c := range testdata.Checkpoints() {
		g, ok := goldens[c.Family]
		if !c.Micro || !ok {
			continue
		}
		p := plan(t, c.Dir, "f32")
		if arch, _ := p.Metadata().Architecture(); !runs(arch) {
			continue
		}
		run[p.Family.Arch] = true
		t.Run(c.Family, func(t *testing.T) { f(t, c, g) })
	}
	for _, f := range family.All() {
		if f.Graph != nil && !run[f.Arch] && f.Arch != "deepseek" { // which has fixtures in any case
			t.Errorf("no golden of %s", f.Arch)
		}
	}
}

func runs(arch string) bool {
	f, ok := family.ForArch(arch)
	return ok && f.Graph != nil
}

// TestMicroLogits holds the families' smallest models, of other sizes than the fixtures', against llama.cpp.
func TestMicroLogits(t *testing.T) {
	micro(t, func(t *testing.T, c testdata.Checkpoint, g microGolden) {
		opts, mxfp4 := Options{Context: 512, Activations: ActivationsF32}, c.Family == "gpt-oss"
		if mxfp4 {
			opts.Activations = ActivationsRounded
		}
		got := eval(t, load(t, plan(t, c.Dir, "f32"), opts).NewSession(), g.IDs, WantAll).Logits
		var off []float64
		for i, want := range g.Rows {
			worst := math.Abs(lse(got[i]) - want.LSE)
			for _, top := range want.Top {
				if d := math.Abs(float64(got[i][int(top[0])]) - top[1]); !(d <= worst) {
					worst = d
				}
			}
			off = append(off, worst)
		}
		checkOff(t, "llama.cpp", off, mxfp4)
	})
}

// TestFamiliesDecode: in every family a text has the same logits however it is cut, on any number of threads, and after an
// earlier text was cut short.
func TestFamiliesDecode(t *testing.T) {
	micro(t, func(t *testing.T, c testdata.Checkpoint, g microGolden) {
		p := plan(t, c.Dir, "bf16")
		want := eval(t, load(t, p, Options{Threads: 1}).NewSession(), g.IDs, WantAll).Logits
		m := load(t, p, Options{Threads: 8})
		equalRows(t, "8 threads", eval(t, m.NewSession(), g.IDs, WantAll).Logits, want)
		for _, step := range []int{1, 7} {
			s := m.NewSession()
			eval(t, s, slices.Concat(g.IDs[:11], g.IDs[:9]), WantNone)
			if err := s.Truncate(11); err != nil {
				t.Fatal(err)
			}
			var got [][]float32
			for part := range slices.Chunk(g.IDs[11:], step) {
				got = append(got, eval(t, s, part, WantAll).Logits...)
			}
			equalRows(t, fmt.Sprintf("in steps of %d", step), got, want[11:])
		}
	})
}
