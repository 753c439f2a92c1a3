package offload

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

func ledger(t *testing.T, m inventory, o Options) *Ledger {
	t.Helper()
	l, err := NewLedger(m.md, m.tensors, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The published runs' figures: buffer sizes llama.cpp logged, recomputed from dimensions and types
// (requirements 1.1). MiB, but for file sizes in GiB.
func TestGoldenPlacements(t *testing.T) {
	for _, c := range []struct {
		name                  string
		m                     inventory
		types                 string
		gib, base, moe, moved float64
		experts               int
		embeddings            float64
		lines                 map[string]int // per-tensor sizes in override lines, and how many lines have them
		tensors               int
	}{
		{"DS Q2_K", deepseek("Q2_K"), "f32 84 iq4_nl 28 q2_K 167 q3_K 83 q6_K 1", 6.24, 6326.58, 535.07, 5791.50, 81, 65.62, map[string]int{"57 MiB q2_K": 54, "99 MiB iq4_nl": 27}, 363},
		{"DS Q4_K_M", deepseek("Q4_K_M"), "f32 84 q4_K 223 q5_0 14 q6_K 28 q8_0 14", 10.10, 10231.24, 760.24, 9471.00, 81, 112.50, map[string]int{"99 MiB q4_K": 54, "121 MiB q5_0": 14, "187 MiB q8_0": 13}, 363},
		{"DS Q8_0", deepseek("Q8_0"), "f32 84 q8_0 279", 16.21, 16390.94, 1243.93, 15147.00, 81, 212.50, map[string]int{"187 MiB q8_0": 81}, 363},
		{"DS F16", deepseek("F16"), "f16 279 f32 84", 30.51, 30841.20, 2329.20, 28512.00, 81, 400.00, map[string]int{"352 MiB f16": 81}, 363},
		{"PHI Q2_K", phi("Q2_K"), "f32 293 q2_K 129 q3_K 64 q4_K 32 q6_K 1", 14.22, 14516.15, 616.15, 13900.00, 96, 41.10, map[string]int{"131 MiB q2_K": 64, "171 MiB q3_K": 32}, 519},
		{"PHI Q4_K_M", phi("Q4_K_M"), "f32 293 q4_K 193 q6_K 33", 23.60, 24100.66, 850.65, 23250.00, 96, 70.45, map[string]int{"225 MiB q4_K": 80, "328 MiB q6_K": 16}, 519},
		{"PHI Q8_0", phi("Q8_0"), "f32 293 q8_0 226", 41.44, 42304.49, 1504.48, 40800.00, 96, 133.08, map[string]int{"425 MiB q8_0": 96}, 519},
		{"PHI F16", phi("F16"), "f16 226 f32 293", 78.00, 79621.90, 2821.90, 76800.00, 96, 250.50, map[string]int{"800 MiB f16": 96}, 519},
		{"OSS", oss(), "", 12.83, 12036.67, 2329.33, 9682.03 + 25.31, 144, 1104.61, map[string]int{"134 MiB mxfp4": 72}, 459},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.m.histogram(); c.types != "" && got != c.types {
				t.Fatalf("inventory has types %s, want %s", got, c.types)
			}
			if len(c.m.tensors) != c.tensors {
				t.Fatalf("inventory has %d tensors, want %d", len(c.m.tensors), c.tensors)
			}
			near := func(what string, got, want, tolerance float64) {
				if math.Abs(got-want) > tolerance {
					t.Errorf("%s: %.3f, want %.2f", what, got, want)
				}
			}
			base, moe := ledger(t, c.m, Options{}), ledger(t, c.m, Options{CPUMoE: true})
			near("device", mib(base.Sums()[0].Buffer), c.base, 0.01)
			near("device with --cpu-moe", mib(moe.Sums()[0].Buffer), c.moe, 0.01)
			near("device, without padding", mib(base.Bytes(Device)), c.base, 0.02)
			near("token_embd", mib(base.Bytes(Host)), c.embeddings, 0.01)
			near("all, GiB", mib(base.Bytes(Device)+base.Bytes(Host))/1024, c.gib, 0.01)
			n, bytes := moe.Moved(names.RoutedExpert)
			near("experts", mib(bytes), c.moved, 0.011)
			if n != c.experts {
				t.Errorf("%d expert tensors, want %d", n, c.experts)
			}
			text := strings.Join(moe.Lines(), "\n")
			for size, want := range c.lines {
				if got := strings.Count(text, "("+size+") buffer type overridden to CPU"); got != want {
					t.Errorf("%d lines say %s, want %d", got, size, want)
				}
			}
			if got := strings.Count(text, "buffer type overridden"); got != c.experts {
				t.Errorf("%d override lines, want %d", got, c.experts)
			}
			if strings.Contains(text, "shexp") {
				t.Error("a shared expert moved")
			}
		})
	}
}

func TestLines(t *testing.T) {
	text := strings.Join(ledger(t, deepseek("F16"), Options{CPUMoE: true}).Lines(), "\n")
	for _, want := range []string{
		"tensor blk.1.ffn_gate_exps.weight (352 MiB f16) buffer type overridden to CPU\n",
		"MoE: CPU offload ALL expert tensors: 81 tensors, 28512.00 MiB\n",
		"load_tensors:       device model buffer size =  2329.20 MiB\n",
		"load_tensors:          CPU model buffer size = 28912.00 MiB",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in:\n%s", want, text)
		}
	}
	if text := strings.Join(ledger(t, deepseek("F16"), Options{}).Lines(), "\n"); strings.Contains(text, "MoE:") || strings.Contains(text, "overridden") {
		t.Errorf("nothing was moved, lines say:\n%s", text)
	}
}

func overridden(l *Ledger) (out []string) {
	re := regexp.MustCompile(`^tensor (\S+) .* overridden to (\S+)$`)
	for _, line := range l.Lines() {
		if m := re.FindStringSubmatch(line); m != nil {
			out = append(out, m[1]+"="+m[2])
		}
	}
	return out
}

func TestNCPUMoECountsDenseLayers(t *testing.T) {
	m := deepseek("F16")
	all := ledger(t, m, Options{CPUMoE: true})
	for n, want := range map[int]int{-1: 0, 0: 0, 1: 0, 2: 3, 3: 6, 27: 78, 28: 81, 29: 81, 1 << 40: 81} {
		l := ledger(t, m, Options{NCPUMoE: n})
		got := overridden(l)
		if len(got) != want {
			t.Errorf("N=%d: %d tensors moved, want %d", n, len(got), want)
		}
		if n == 2 {
			for _, name := range got {
				if !strings.HasPrefix(name, "blk.1.ffn_") {
					t.Errorf("N=2 moves %s", name)
				}
			}
			if b := l.Banner(); len(b) == 0 || b[0] != "MoE: CPU offload first 2 layers: 3 tensors, 1056.00 MiB" {
				t.Errorf("banner %q", b)
			}
		}
		if n >= 28 && !cmp.Equal(got, overridden(all)) {
			t.Errorf("N=%d differs from --cpu-moe", n)
		}
	}
	if w := ledger(t, m, Options{NCPUMoE: 1}).Warnings; len(w) != 1 || w[0] != "MoE: 0 expert tensors matched in the first 1 layers" {
		t.Errorf("N=1 on a model with a dense first layer: warnings %q", w)
	}
}

func TestSharedExperts(t *testing.T) {
	m := deepseek("F16")
	for _, c := range []struct {
		o              Options
		routed, shared int
	}{
		{Options{CPUMoE: true, OffloadShared: true}, 81, 81},
		{Options{NCPUMoE: 3, OffloadShared: true}, 6, 6},
		{Options{OffloadShared: true}, 0, 81},
	} {
		l := ledger(t, m, c.o)
		r, _ := l.Moved(names.RoutedExpert)
		s, bytes := l.Moved(names.SharedExpert)
		if r != c.routed || s != c.shared {
			t.Errorf("%+v: %d routed and %d shared tensors moved, want %d and %d", c.o, r, s, c.routed, c.shared)
		}
		want := fmt.Sprintf("MoE: CPU offload shared experts: %d tensors, %.2f MiB", s, mib(bytes))
		if !strings.Contains(strings.Join(l.Banner(), "\n"), want) {
			t.Errorf("%+v: banner %q", c.o, l.Banner())
		}
	}
}

func TestOverrides(t *testing.T) {
	o, err := ParseOverrides(`blk\.1\.ffn_up_exps=CUDA0,exps=CPU,output=host`)
	if err != nil {
		t.Fatal(err)
	}
	m := deepseek("F16")
	l := ledger(t, m, Options{Overrides: o, CPUMoE: true})
	got := overridden(l)
	if len(got) != 81+1+1+28 || got[0] != "output_norm.weight=host" && got[0] != "output.weight=host" {
		t.Errorf("%d tensors moved: %v", len(got), got[:3])
	}
	place := map[string]Entry{}
	for _, e := range l.Entries {
		place[e.Name] = e
	}
	if e := place["blk.1.ffn_up_exps.weight"]; e.Place != Device || e.Buffer != "CUDA0" {
		t.Errorf("first rule must win: %+v", e)
	}
	if e := place["blk.2.ffn_up_exps.weight"]; e.Place != Host || e.Rule != "exps" {
		t.Errorf("override must come before --cpu-moe: %+v", e)
	}
	if b := l.Banner(); !strings.HasPrefix(b[0], "MoE: CPU offload 80 of 81 expert tensors: 80 tensors") {
		t.Errorf("banner %q", b)
	}
	if _, err := NewLedger(m.md, m.tensors, Options{Overrides: []Override{{Pattern: `ffn_nothing`, Place: Host, Buffer: "CPU"}}}); err == nil || !strings.Contains(err.Error(), "ffn_nothing=CPU matches no tensor") {
		t.Errorf("unmatched rule: %v", err)
	}
	l = ledger(t, m, Options{Overrides: []Override{{Pattern: "exps", Place: Host, Buffer: "CPU"}, {Pattern: "ffn_up_exps", Place: Device, Buffer: "CUDA0"}}})
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "ffn_up_exps=CUDA0 places nothing") {
		t.Errorf("shadowed rule: warnings %q", l.Warnings)
	}
	if l := ledger(t, m, Options{Overrides: []Override{{Pattern: "token_embd", Place: Device, Buffer: "CUDA0"}}}); l.Bytes(Host) != 0 {
		t.Error("an override must place the embeddings too")
	}
}

func TestBadOptions(t *testing.T) {
	var conflict *ConflictError
	err := Options{CPUMoE: true, NCPUMoE: 3}.Validate()
	if !errors.As(err, &conflict) || err.Error() != "the argument '--cpu-moe' cannot be used with '--n-cpu-moe <N>'" {
		t.Errorf("conflict: %v", err)
	}
	if err := (Options{NCPUMoE: -2}).Validate(); err == nil {
		t.Error("negative N passes")
	}
	for value, want := range map[string]string{
		"abc":     `"abc": want REGEX=PLACE`,
		"=CPU":    "want REGEX=PLACE",
		"a=moon":  `unknown place "moon"`,
		"a(=CPU":  "missing closing )",
		"a=CPU,b": `"b": want REGEX=PLACE`,
		"":        "want REGEX=PLACE",
	} {
		if _, err := ParseOverrides(value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", value, err, want)
		}
	}
}

// Storage: routed experts' matrices alone are streamed; a rule comes before the option.
func TestStorage(t *testing.T) {
	m := oss()
	rules, err := ParseOverrides(`blk\.0\.ffn_up_exps=mapped,blk\.1\.ffn_up_exps\.weight=streamed,blk\.2\.ffn_up_exps=CPU`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o                          Options
		resident, mapped, streamed int
	}{
		{Options{}, 459, 0, 0},
		{Options{Map: true}, 0, 459, 0},
		{Options{Stream: true}, 459 - 72, 0, 72},
		{Options{Stream: true, Map: true, CPUMoE: true}, 0, 459 - 72, 72},
		{Options{Overrides: rules}, 459 - 3, 2, 1},
		{Options{Overrides: rules, Stream: true}, 459 - 72 - 1, 2, 71},
	} {
		l := ledger(t, m, c.o)
		s := l.Storage()
		if s[0].Tensors != c.resident || s[1].Tensors != c.mapped || s[2].Tensors != c.streamed {
			t.Errorf("%+v: %+v", c.o, s)
		}
		all := l.Bytes(Device) + l.Bytes(Host)
		if s[0].Bytes+s[1].Bytes+s[2].Bytes != all {
			t.Errorf("%+v: %+v of %d bytes", c.o, s, all)
		}
		if text := strings.Join(l.Lines(), "\n"); strings.Contains(text, "offload: streamed: "+fmt.Sprint(c.streamed)+" tensors") != (c.streamed > 0) {
			t.Errorf("%+v: lines\n%s", c.o, text)
		}
	}
	rules[1].Pattern = "attn_q"
	if _, err := NewLedger(m.md, m.tensors, Options{Overrides: rules}); err == nil || !strings.Contains(err.Error(), `"blk.0.attn_q.weight" is no stack of routed experts`) {
		t.Errorf("streamed attention: %v", err)
	}
}

func TestModelsWithoutExperts(t *testing.T) {
	dense := inventory{md: &gguf.Metadata{}}
	dense.md.Set("general.architecture", "llama")
	dense.add("token_embd.weight", gguf.F16, 64, 100)
	dense.add("blk.0.ffn_gate.weight", gguf.F16, 64, 128)
	l := ledger(t, dense, Options{CPUMoE: true})
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "0 expert tensors matched: the model has no routed experts") || len(l.Banner()) != 0 {
		t.Errorf("warnings %q, banner %q", l.Warnings, l.Banner())
	}
	if want := int64(64*100*2 + 64*128*2); l.Bytes(Device) != want {
		t.Errorf("%d bytes on the device, want %d: tied embeddings lie there a second time", l.Bytes(Device), want)
	}
	legacy := inventory{md: dense.md.Clone()}
	legacy.md.Set("llama.expert_count", uint32(8))
	legacy.add("blk.0.ffn_gate.0.weight", gguf.F16, 64, 128)
	l = ledger(t, legacy, Options{NCPUMoE: 4})
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "8 experts but the file has no stacked expert tensors") {
		t.Errorf("warnings %q", l.Warnings)
	}
	if l, err := NewLedger(nil, nil, Options{CPUMoE: true}); err != nil || len(l.Warnings) != 1 {
		t.Errorf("no metadata: %v", err)
	}
}
