package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

const (
	gate1 = "blk.1.ffn_gate_exps.weight"
	up1   = "blk.1.ffn_up_exps.weight"
	down2 = "blk.2.ffn_down_exps.weight"
)

func check(t *testing.T, run func(context.Context, *Subject) Result, s *Subject) Result {
	t.Helper()
	return run(context.Background(), s)
}

// damages are what goes wrong with weights: the checks that must fail, the problem each must name.
var damages = []struct {
	name   string
	do     func(t *testing.T, m *memory)
	fails  map[string]string // check -> part of its detail
	passes []string
}{
	{"NaN scale in one expert", func(t *testing.T, m *memory) {
		binary.LittleEndian.PutUint16(m.expert(t, up1, 3), 0x7e00)
	}, map[string]string{"scan": `"blk.1.ffn_up_exps.weight", expert 3`, "fidelity": `"blk.1.ffn_up_exps.weight", expert 3: values are NaN or infinite`}, []string{"contract"}},
	{"infinite scale in the last block of an expert", func(t *testing.T, m *memory) {
		e := m.expert(t, down2, 5)
		binary.LittleEndian.PutUint16(e[len(e)-34:], 0x7c00)
	}, map[string]string{"scan": `"blk.2.ffn_down_exps.weight", expert 5: `}, nil},
	{"expert zeroed", func(t *testing.T, m *memory) { clear(m.expert(t, down2, 2)) },
		map[string]string{"scan": `"blk.2.ffn_down_exps.weight", expert 2: all values are zero`, "fidelity": `"blk.2.ffn_down_exps.weight", expert 2`}, nil},
	{"gate and up swapped", func(t *testing.T, m *memory) {
		g, u := m.find(t, gate1), m.find(t, up1)
		m.data[g], m.data[u] = m.data[u], m.data[g]
	}, map[string]string{"fidelity": `"blk.1.ffn_gate_exps.weight", expert 0: gate and up swapped: it holds the source's expert 0 of "blk.1.ffn_up_exps.weight"`}, []string{"scan", "contract"}},
	{"experts shifted by one", func(t *testing.T, m *memory) {
		last := slices.Clone(m.expert(t, gate1, 5))
		for e := 5; e > 0; e-- {
			copy(m.expert(t, gate1, e), m.expert(t, gate1, e-1))
		}
		copy(m.expert(t, gate1, 0), last)
	}, map[string]string{"fidelity": `tensor "blk.1.ffn_gate_exps.weight": experts are shifted by one: expert e holds the source's expert e-1`}, []string{"scan"}},
	{"expert twice", func(t *testing.T, m *memory) { copy(m.expert(t, up1, 4), m.expert(t, up1, 1)) },
		map[string]string{"scan": `"blk.1.ffn_up_exps.weight", expert 4: the same values as expert 1`, "fidelity": `expert 4: it holds the source's expert 1`}, nil},
	{"expert scaled by two", func(t *testing.T, m *memory) {
		e := m.expert(t, up1, 0)
		for at := 0; at < len(e); at += 34 {
			d := binary.LittleEndian.Uint16(e[at:])
			if d&0x7c00 != 0 {
				binary.LittleEndian.PutUint16(e[at:], d+0x400) // exponent + 1
			}
		}
	}, map[string]string{"fidelity": `"blk.1.ffn_up_exps.weight", expert 0: wrong scale: the values are 2 times the source's`}, []string{"scan"}},
	{"NaN in a norm", func(t *testing.T, m *memory) {
		binary.LittleEndian.PutUint32(m.data[m.find(t, "blk.0.attn_norm.weight")][40:], math.Float32bits(float32(math.NaN())))
	}, map[string]string{"scan": `tensor "blk.0.attn_norm.weight": 1 values are NaN or infinite, the first in row 0, column 10`}, nil},
	{"norm zeroed", func(t *testing.T, m *memory) { clear(m.data[m.find(t, "output_norm.weight")]) },
		map[string]string{"scan": `tensor "output_norm.weight": all values are zero`}, nil},
	{"tensor missing", func(t *testing.T, m *memory) { m.remove(t, down2) },
		map[string]string{"contract": down2, "fidelity": `tensor "blk.2.ffn_down_exps.weight": missing; the source has it`}, []string{"scan"}},
	{"wrong shape", func(t *testing.T, m *memory) {
		i := m.find(t, "output.weight")
		m.tensors[i].Shape[1] /= 2
		m.data[i] = m.data[i][:len(m.data[i])/2]
	}, map[string]string{"contract": `"output.weight"`, "fidelity": `tensor "output.weight": shape {256, 704}, the source's is {256, 1408}`}, nil},
	{"expert count in the metadata", func(t *testing.T, m *memory) { m.md.Set("deepseek.expert_count", uint32(5)) },
		map[string]string{"contract": "deepseek.expert_count"}, []string{"scan", "fidelity"}},
	{"metadata cut off", func(t *testing.T, m *memory) { m.md.Delete("deepseek.attention.head_count") },
		map[string]string{"contract": "deepseek.attention.head_count"}, nil},
	{"name twice", func(t *testing.T, m *memory) {
		m.tensors = append(m.tensors, m.tensors[0])
		m.data = append(m.data, m.data[0])
	}, map[string]string{"stored": "the name is given twice"}, nil},
	{"foreign tensor", func(t *testing.T, m *memory) {
		m.tensors = append(m.tensors, gguf.TensorInfo{Name: "blk.0.extra.weight", Type: gguf.F32, Shape: gguf.Shape{1}})
		m.data = append(m.data, []byte{0, 0, 0x80, 0x3f})
	}, map[string]string{"contract": "blk.0.extra.weight", "fidelity": `"blk.0.extra.weight": the source has no such tensor`}, []string{"scan"}},
}

var structural = map[string]func(context.Context, *Subject) Result{
	"contract": checkContract, "stored": checkStored, "scan": checkScan, "fidelity": checkFidelity, "encoding": checkEncoding,
	"tokenizer": checkTokenizer, "template": checkTemplate, "metadata": checkMetadata, "source": checkSource,
}

func TestDamagedWeights(t *testing.T) {
	sound, source := tinyAs(t, "Q8_0"), tinyPlan(t)
	for i, d := range damages {
		if testing.Short() && i%4 != 0 {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			m := sound.clone()
			d.do(t, m)
			s := &Subject{Name: "tiny", Source: m, Reference: source}
			for name, want := range d.fails {
				r := check(t, structural[name], s)
				if r.Status != Fail || !strings.Contains(r.Detail, want) && !containsProblem(r, want) {
					t.Errorf("%s: %s: %s; want fail with %q", name, r.Status, r.Detail, want)
				}
			}
			for _, name := range d.passes {
				if r := check(t, structural[name], s); r.Status != Pass {
					t.Errorf("%s: %s: %s; want pass", name, r.Status, r.Detail)
				}
			}
		})
	}
}

func containsProblem(r Result, want string) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return strings.Contains(p.String(), want) })
}

// Every scheme's sound file passes, and stays well below its types' bounds, which in turn are well below what a wrong expert has.
func TestSoundFilesPass(t *testing.T) {
	source := tinyPlan(t)
	schemes := []string{"F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K"}
	if testing.Short() {
		schemes = []string{"BF16", "Q4_K_M"}
	}
	for _, scheme := range schemes {
		s := &Subject{Name: scheme, Source: tinyAs(t, scheme), Reference: source}
		for name, run := range structural {
			r := check(t, run, s)
			if name == "stored" {
				continue // not a file
			}
			if r.Status != Pass && !(name == "encoding" && r.Status == NotApplicable && !strings.HasPrefix(scheme, "Q")) {
				t.Errorf("%s: %s: %s: %s", scheme, name, r.Status, r.Detail)
			}
			if name == "fidelity" {
				if float64(r.Figure) > float64(r.Threshold)/1.5 {
					t.Errorf("%s: %s: too near to the bound", scheme, r.Detail)
				}
				t.Logf("%s: %s", scheme, r.Detail)
			}
		}
	}
	for ty, b := range tolerances {
		if b.nmse > 0.9 {
			t.Errorf("%v may have %v: a missing expert has 1", ty, b.nmse)
		}
	}
}

// What the source has already is its own affair: reported, not failed.
func TestDefectsOfTheSource(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	clear(m.expert(t, down2, 2))
	copy(m.expert(t, up1, 4), m.expert(t, up1, 1))
	r := check(t, checkScan, &Subject{Source: m, Reference: m})
	if r.Status != Warn || r.Count != 2 || !strings.Contains(r.Detail, "expert 2: all values are zero, as in the source") ||
		!strings.Contains(r.Detail, "expert 4: the same values as expert 1, as in the source") {
		t.Errorf("%s: %s", r.Status, r.Detail)
	}
}

func TestZeroBlocksWarn(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	e := m.expert(t, up1, 3)
	clear(e[:len(e)/2])
	r := check(t, checkScan, &Subject{Source: m})
	if r.Status != Warn || !strings.Contains(r.Detail, "expert 3: 1024 of 2048 quantization blocks are zero") {
		t.Errorf("%s: %s", r.Status, r.Detail)
	}
}

func TestTypesWithoutDecoderWarn(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	i := m.find(t, up1)
	m.tensors[i].Type = gguf.F64
	m.data[i] = make([]byte, m.tensors[i].Bytes())
	for name, want := range map[string]string{"scan": "1 tensors were not looked at: no decoder for F64", "fidelity": "6 tensors or experts were not compared"} {
		r := check(t, structural[name], &Subject{Source: m, Reference: m})
		if r.Status != Warn || !strings.Contains(r.Detail, want) {
			t.Errorf("%s: %s: %s", name, r.Status, r.Detail)
		}
	}
}

func TestWithoutReference(t *testing.T) {
	s := &Subject{Source: tinyAs(t, "Q8_0")}
	if r := check(t, checkFidelity, s); r.Status != NotApplicable {
		t.Errorf("fidelity: %s: %s", r.Status, r.Detail)
	}
	if r := check(t, checkStored, s); r.Status != NotApplicable {
		t.Errorf("stored: %s: %s", r.Status, r.Detail)
	}
	s.Source.Metadata().Set("general.architecture", "unheard-of")
	if r := check(t, checkContract, s); r.Status == Pass {
		t.Errorf("contract: %s: %s", r.Status, r.Detail)
	}
}

func TestStoredBytes(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	if r := check(t, checkStored, &Subject{Source: stored(m)}); r.Status != Pass {
		t.Fatalf("%s: %s", r.Status, r.Detail)
	}
	i := m.find(t, up1)
	for name, c := range map[string]struct {
		do   func(r *ranged)
		want string
	}{
		"short":     {func(r *ranged) { r.n[i] -= 2 << 10 }, fmt.Sprintf("%d bytes are stored, type and shape need %d", m.tensors[i].Bytes()-2<<10, m.tensors[i].Bytes())},
		"unaligned": {func(r *ranged) { r.off[i] += 4 }, "not a multiple of 32"},
		"overlap":   {func(r *ranged) { r.off[i] -= 64 }, "bytes lie between it and \"blk.1.ffn_up_exps.weight\""},
		"truncated": {func(r *ranged) { r.file.Reset(make([]byte, r.file.Len()-1000)) }, "data is not within the file bounds"},
	} {
		r := stored(m)
		c.do(r)
		if got := check(t, checkStored, &Subject{Source: r}); got.Status != Fail || !containsProblem(got, c.want) {
			t.Errorf("%s: %s: %s", name, got.Status, got.Detail)
		}
	}
}

// Files as written, whole and in shards.
func TestStoredFiles(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	for _, o := range []gguf.FileOptions{{}, {SplitMaxSize: 1 << 20}} {
		written, err := gguf.WriteFile(context.Background(), filepath.Join(t.TempDir(), "tiny.gguf"), m, o)
		if err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Open(written[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for name, run := range structural {
			if r := check(t, run, &Subject{Source: f, Reference: m}); r.Status != Pass {
				t.Errorf("%d files: %s: %s: %s", len(written), name, r.Status, r.Detail)
			}
		}
	}
}

func TestScanReadsInSlabs(t *testing.T) {
	m := tinyAs(t, "F32")
	largest := &watched{memory: m}
	if r := check(t, checkScan, &Subject{Source: largest, Workers: 1}); r.Status != Pass {
		t.Fatal(r.Detail)
	}
	if largest.most > slabBytes {
		t.Errorf("one read asked for %d bytes", largest.most)
	}
}

// watched records the largest read.
type watched struct {
	*memory
	most int
}

func (w *watched) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	w.most = max(w.most, len(dst))
	return w.memory.ReadRows(ctx, tensor, row, n, dst)
}

func TestUnreadableSource(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	m.data[m.find(t, up1)] = nil
	broken := &failing{m}
	for _, name := range []string{"scan", "fidelity"} {
		r := check(t, structural[name], &Subject{Source: broken, Reference: tinyPlan(t)})
		if r.Status != Fail || !strings.Contains(r.Detail, `"blk.1.ffn_up_exps.weight", expert 0: read: disk on fire`) {
			t.Errorf("%s: %s: %s", name, r.Status, r.Detail)
		}
	}
}

type failing struct{ *memory }

func (f *failing) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if f.data[tensor] == nil {
		return fmt.Errorf("disk on fire")
	}
	return f.memory.ReadRows(ctx, tensor, row, n, dst)
}
