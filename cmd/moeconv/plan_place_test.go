package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/testdata"
)

// goldenPlacement is what llama.cpp b6686 logged in the published runs, MiB (reference/requirements.md 1.1); 0: not logged.
type goldenPlacement struct {
	model, scheme          string
	base, moe, experts     float64
	tensors                int
	embeddings, kv         float64
	compute, computeOnHost float64
}

var goldenPlacements = []goldenPlacement{
	{"deepseek-moe-16b-base", "Q2_K", 6326.58, 535.07, 5791.50, 81, 65.62, 896, 236.26, 212.00},
	{"deepseek-moe-16b-base", "Q4_K_M", 10231.24, 760.24, 9471.00, 81, 112.50, 896, 236.26, 243.51},
	{"deepseek-moe-16b-base", "Q8_0", 16390.94, 1243.93, 15147.00, 81, 212.50, 896, 236.26, 243.51},
	{"deepseek-moe-16b-base", "F16", 30841.20, 2329.20, 28512.00, 81, 400.00, 896, 0, 0},
	{"Phi-3.5-MoE-instruct", "Q2_K", 14516.15, 616.15, 13900.00, 96, 41.10, 512, 103.01, 240.89},
	{"Phi-3.5-MoE-instruct", "Q4_K_M", 24100.66, 850.65, 23250.00, 96, 70.45, 512, 103.01, 397.14},
	{"Phi-3.5-MoE-instruct", "Q8_0", 42304.49, 1504.48, 40800.00, 96, 133.08, 512, 103.01, 503.01},
	{"Phi-3.5-MoE-instruct", "F16", 79621.90, 2821.90, 76800.00, 96, 250.50, 512, 0, 0},
	{"gpt-oss-20b", "F16", 12036.67, 2329.33, 9682.03 + 25.31, 144, 1104.61, 0, 0, 0},
}

// parsePlace is the options of a command line.
func parsePlace(t *testing.T, args ...string) placeOptions {
	t.Helper()
	var o placeOptions
	f := pflag.NewFlagSet("plan", pflag.ContinueOnError)
	o.register(f)
	if err := errors.Join(f.Parse(args), o.parse(f)); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestGoldenPlacements plans the published models from config and headers alone and finds the published figures.
func TestGoldenPlacements(t *testing.T) {
	plans := map[string]*convert.Plan{}
	for _, m := range realModels {
		p, err := convert.NewPlan(virtualCheckpoint(t, m), convert.Options{Name: m.name, Pre: m.pre()})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		plans[m.name] = p
	}
	for _, g := range goldenPlacements {
		t.Run(g.model+" "+g.scheme, func(t *testing.T) {
			o := parsePlace(t, "--type", g.scheme, "--cpu-moe")
			d, err := o.place("x.gguf", plans[g.model], plans[g.model])
			if err != nil {
				t.Fatal(err)
			}
			near := func(what string, got int64, want float64) {
				t.Helper()
				if got := float64(got) / (1 << 20); want > 0 && math.Abs(got-want) > 0.011 {
					t.Errorf("%s: %.3f MiB, want %.2f", what, got, want)
				}
			}
			base, moe := d.Placements[0], d.Chosen
			near("device weights", base.Weights, g.base)
			near("device weights with --cpu-moe", moe.Weights, g.moe)
			near("experts", moe.Experts, g.experts)
			near("token_embd", base.Host, g.embeddings)
			near("KV", base.KV, g.kv)
			near("compute", base.Compute, g.compute)
			near("compute with --cpu-moe", moe.Compute, g.computeOnHost)
			if moe.Tensors != g.tensors || !moe.AllOnHost || base.Tensors != 0 {
				t.Errorf("%d of %d expert tensors on the host", moe.Tensors, g.tensors)
			}
			monotone(t, d)
			cards(t, d, plans[g.model], g.scheme)
		})
	}
}

// monotone: with every layer more on the host, the device never needs more and the host never less.
func monotone(t *testing.T, d *placeDoc) {
	t.Helper()
	if len(d.Placements) != d.Layers+1 {
		t.Fatalf("%d placements of %d layers", len(d.Placements), d.Layers)
	}
	for i, f := range d.Placements[1:] {
		before := d.Placements[i]
		if f.Weights > before.Weights || f.Device > before.Device || f.Host < before.Host || f.KV != before.KV {
			t.Errorf("--n-cpu-moe %d: %+v after %+v", i+1, f, before)
		}
	}
}

// cards: on devices of all sizes the chosen placement fits, and one layer less on the host does not.
func cards(t *testing.T, d *placeDoc, p *convert.Plan, scheme string) {
	t.Helper()
	o := parsePlace(t, "--type", scheme, "--table", "1,4,8,12,16,24,48,96", "--ram", "64")
	got, err := o.place("x.gguf", p, p)
	if err != nil {
		t.Fatal(err)
	}
	last := math.MaxInt
	for _, c := range got.Cards {
		least := d.Placements[d.Layers]
		if !c.Fits {
			i := slices.IndexFunc(d.Placements, func(f footprintDoc) bool { return f.Device <= c.VRAM })
			if i >= 0 && d.Placements[i].Host <= 64<<30 {
				t.Errorf("%d bytes: --n-cpu-moe %d fits", c.VRAM, i)
			}
			if !strings.Contains(c.Refused, "largest: ") || least.Device <= c.VRAM && !strings.Contains(c.Refused, "on the host") {
				t.Errorf("%d bytes: %s", c.VRAM, c.Refused)
			}
			continue
		}
		n := c.Place.NCPUMoE
		if c.Place.Device > c.VRAM || n > 0 && d.Placements[n-1].Device <= c.VRAM || n > last {
			t.Errorf("%d bytes: --n-cpu-moe %d", c.VRAM, n)
		}
		last = n
	}
}

// TestPlacementsOfFamilies: every family's checkpoint has a placement, whose device shrinks with N, or is refused by name.
func TestPlacementsOfFamilies(t *testing.T) {
	for _, ck := range testdata.Checkpoints() {
		p, err := convert.OpenDir(ck.Dir, convert.Options{})
		var unsupported *gguf.UnsupportedError
		if errors.As(err, &unsupported) {
			continue
		}
		if err != nil {
			t.Fatal(ck.Dir, err)
		}
		o := parsePlace(t, "--vram", "64", "--ctx", "300")
		d, err := o.place("x.gguf", p, p)
		if err != nil {
			t.Errorf("%s: %v", ck.Dir, err)
		} else {
			monotone(t, d)
			if !d.Fits || d.Chosen.NCPUMoE != 0 || d.Chosen.KV == 0 || len(d.Cache) == 0 {
				t.Errorf("%s: %+v", ck.Dir, d.Chosen)
			}
		}
		p.Close()
	}
}

// TestPlaceFlags: the flags are llama.cpp's, and every size of a command line has a unit.
func TestPlaceFlags(t *testing.T) {
	o := parsePlace(t, "--vram", "8", "--ram", "16GiB", "--margin", "512MiB", "--ctx", "8192", "--cache-type-k", "q8_0", "--table", "24G,1.5")
	if o.device != 8<<30 || o.host != 16<<30 || o.limit(o.device) != 8<<30-512<<20 || !slices.Equal(o.cards, []int64{24e9, 3 << 29}) {
		t.Errorf("%+v", o)
	}
	m := realModels[0]
	p, err := convert.NewPlan(virtualCheckpoint(t, m), convert.Options{Name: m.name, Pre: m.pre()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	d, err := o.place("x.gguf", p, p)
	if err != nil {
		t.Fatal(err)
	}
	if d.Fits || !strings.Contains(d.Refused, "of tensors on the host") || d.Command != "" {
		t.Errorf("%+v", d)
	}
	o.host = math.MaxInt64
	if d, err = o.place("x.gguf", p, p); err != nil || !d.Fits {
		t.Fatal(err, d)
	}
	// 27 blocks of 1056 MiB of experts, the first is dense: 30841.20 - 24*1056 + 1372 (KV) + 412.51 (compute) <= 7680.
	if want := "-ngl 99 --n-cpu-moe 25 -c 8192 -ub 512 -np 1 -fa on -ctk q8_0"; !strings.Contains(d.Command, " -m x.gguf "+want) {
		t.Errorf("%s, want %s", d.Command, want)
	}
}

// TestCacheSizes: what blocks keep is what llama.cpp allocated, by cells, in the MiB of its log.
func TestCacheSizes(t *testing.T) {
	b, err := os.ReadFile("testdata/kv_cache.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	delete(raw, "oracle")
	for _, ck := range testdata.Checkpoints() {
		text, ok := raw[filepath.Base(ck.Dir)]
		if !ok || !ck.Micro {
			continue
		}
		var golden struct {
			Cache  [][4]float64 // cells, layers, MiB of keys, MiB of values
			States float64      // MiB of 256 sequences
		}
		if err := json.Unmarshal(text, &golden); err != nil {
			t.Fatal(err)
		}
		p, err := convert.OpenDir(ck.Dir, convert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		o := parsePlace(t, "--ctx", "16384")
		d, err := o.place("x.gguf", p, p)
		p.Close()
		if err != nil {
			t.Errorf("%s: %v", ck.Dir, err)
			continue
		}
		got := map[int][4]float64{}
		var states int64
		for _, l := range d.Cache {
			states += l.States
			if l.Kind == offload.CacheRecurrent {
				continue
			}
			sum := got[l.Cells]
			got[l.Cells] = [4]float64{float64(l.Cells), sum[1] + 1, sum[2] + float64(l.Keys)/(1<<20), sum[3] + float64(l.Values)/(1<<20)}
		}
		if len(got) != len(golden.Cache) || math.Abs(float64(states)/(1<<12)-golden.States) > 0.011 {
			t.Errorf("%s: %v and states of %d bytes, want %+v", ck.Dir, got, states, golden)
		}
		for _, want := range golden.Cache {
			for i, x := range got[int(want[0])] {
				if math.Abs(x-want[i]) > 0.0051 {
					t.Errorf("%s: %v, want %v", ck.Dir, got, want)
				}
			}
		}
		delete(raw, filepath.Base(ck.Dir))
	}
	if len(raw) > 0 {
		t.Errorf("no checkpoints of %d goldens", len(raw))
	}
}

// TestComputeEstimates holds the estimate, with all experts on the device, against what llama.cpp 0c1e57098 reserves (MiB):
// libllama with one CPU backend, thus one split, loading files of these headers and no data with no_alloc, flash
// attention on. A device's graph lacks the embeddings, one hidden vector a token, which the host looks up.
func TestComputeEstimates(t *testing.T) {
	reserved := map[string]struct {
		scheme string
		hidden float64
		mib    map[string]float64 // by context
	}{
		"deepseek-moe-16b-base": {"Q4_K_M", 4, map[string]float64{"4096": 240.26, "32768": 244.01, "131072": 236.26}},
		"Phi-3.5-MoE-instruct":  {"Q2_K", 8, map[string]float64{"4096": 111.01, "32768": 139.01, "131072": 235.01}},
		"gpt-oss-20b":           {"F16", 5.625, map[string]float64{"4096": 414.40, "32768": 409.63, "131072": 409.63}},
	}
	for _, m := range realModels {
		p, err := convert.NewPlan(virtualCheckpoint(t, m), convert.Options{Name: m.name, Pre: m.pre()})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		r := reserved[m.name]
		for context, mib := range r.mib {
			o := parsePlace(t, "--type", r.scheme, "--ctx", context)
			d, err := o.place("x.gguf", p, p)
			if err != nil {
				t.Fatal(err)
			}
			want := mib - r.hidden
			if got := float64(d.Chosen.Compute) / (1 << 20); got < 0.98*want || got > 1.08*want {
				t.Errorf("%s at %s: %.2f MiB, the reference reserves %.2f", m.name, context, got, want)
			}
		}
	}
}
