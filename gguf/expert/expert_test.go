package expert_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/testdata"
)

// model is a Source with shapes only.
type model struct {
	md gguf.Metadata
	ts []gguf.TensorInfo
}

func (m *model) Metadata() *gguf.Metadata   { return &m.md }
func (m *model) Tensors() []gguf.TensorInfo { return m.ts }
func (m *model) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	return gguf.CheckRows(m.ts, tensor, row, n, dst)
}

func (m *model) add(name string, shape ...int64) {
	m.ts = append(m.ts, gguf.TensorInfo{Name: name, Type: gguf.F16, Shape: shape})
}

func (m *model) drop(name string) {
	i := gguf.Find(m.ts, name)
	m.ts = append(m.ts[:i:i], m.ts[i+1:]...)
}

func (m *model) shape(name string, shape ...int64) { m.ts[gguf.Find(m.ts, name)].Shape = shape }

// deepseek has a dense block and two with 6 experts, two of them used, and a shared one.
func deepseek() *model {
	m := &model{}
	m.md.Set("general.architecture", "deepseek")
	m.md.Set("deepseek.expert_count", uint32(6))
	m.md.Set("deepseek.expert_used_count", uint32(2))
	m.add("token_embd.weight", 8, 100)
	m.add("blk.0.ffn_up.weight", 8, 16)
	for b := 1; b < 3; b++ {
		blk := fmt.Sprintf("blk.%d.", b)
		m.add(blk+"ffn_gate_inp.weight", 8, 6)
		m.add(blk+"ffn_gate_exps.weight", 8, 4, 6)
		m.add(blk+"ffn_up_exps.weight", 8, 4, 6)
		m.add(blk+"ffn_down_exps.weight", 4, 8, 6)
		m.add(blk+"ffn_up_shexp.weight", 8, 4)
		m.add(blk+"ffn_down_shexp.weight", 4, 8)
	}
	return m
}

func TestFind(t *testing.T) {
	m := deepseek()
	got, err := expert.Find(&m.md, m.ts)
	if err != nil {
		t.Fatal(err)
	}
	want := expert.Summary{
		Count: 6, Used: 2, Tensors: 6, Layers: []int{1, 2},
		Names: []string{"blk.1.ffn_gate_exps.weight", "blk.1.ffn_up_exps.weight", "blk.1.ffn_down_exps.weight",
			"blk.2.ffn_gate_exps.weight", "blk.2.ffn_up_exps.weight", "blk.2.ffn_down_exps.weight"},
		Bytes:       2 * 3 * 8 * 4 * 6 * 2,
		Shared:      []string{"blk.1.ffn_up_shexp.weight", "blk.1.ffn_down_shexp.weight", "blk.2.ffn_up_shexp.weight", "blk.2.ffn_down_shexp.weight"},
		SharedBytes: 4 * 8 * 4 * 2,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := expert.Check(&m.md, m.ts); err != nil {
		t.Errorf("without marks: %v", err)
	}
}

// A file of a real converter: tiny Mixtral, two experts in its only layer.
func TestFindInFile(t *testing.T) {
	f, err := gguf.Open(testdata.Path("bad/_good.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := expert.Find(f.Metadata(), f.Tensors())
	if err != nil {
		t.Fatal(err)
	}
	if s.Count != 2 || s.Used != 1 || len(s.Names) != 3 || !reflect.DeepEqual(s.Layers, []int{0}) || s.Bytes != 3*2*32*32*2 || s.Shared != nil {
		t.Errorf("%+v", s)
	}
}

// The forms of expert sets that are whole.
func TestFindForms(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*model)
		check  func(expert.Summary) bool
	}{
		{"no counts in the metadata", func(m *model) {
			m.md.Delete("deepseek.expert_count")
			m.md.Delete("deepseek.expert_used_count")
		}, func(s expert.Summary) bool { return s.Count == 6 && s.Used == 0 }},
		{"an architecture that nobody knows, keys under the old name", func(m *model) {
			m.md.Set("general.architecture", "xyz")
			m.md.Set("deepseek.block_count", uint32(3))
		}, func(s expert.Summary) bool { return s.Count == 6 && s.Used == 2 }},
		{"fused gate and up", func(m *model) {
			m.drop("blk.1.ffn_gate_exps.weight")
			m.drop("blk.1.ffn_up_exps.weight")
			m.add("blk.1.ffn_gate_up_exps.weight", 8, 8, 6)
		}, func(s expert.Summary) bool { return len(s.Names) == 5 }},
		{"no gates at all", func(m *model) {
			m.drop("blk.1.ffn_gate_exps.weight")
			m.drop("blk.2.ffn_gate_exps.weight")
		}, func(s expert.Summary) bool { return len(s.Names) == 4 }},
		{"biases and scales", func(m *model) {
			m.add("blk.1.ffn_up_exps.bias", 4, 6)
			m.add("blk.1.ffn_up_exps.scale", 6)
		}, func(s expert.Summary) bool { return len(s.Names) == 8 }},
		{"groups of experts", func(m *model) {
			m.add("blk.1.ffn_up_chexps.weight", 8, 4, 3)
		}, func(s expert.Summary) bool { return len(s.Names) == 7 && s.Count == 6 }},
		{"dense", func(m *model) {
			m.ts = m.ts[:2]
			m.md.Delete("deepseek.expert_count")
		}, func(s expert.Summary) bool { return reflect.DeepEqual(s, expert.Summary{}) }},
	} {
		m := deepseek()
		c.change(m)
		s, err := expert.Find(&m.md, m.ts)
		if err != nil || !c.check(s) {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
	}
}

func TestFindRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*model)
		want   string
	}{
		{"no down", func(m *model) { m.drop("blk.2.ffn_down_exps.weight") }, `layer 2: tensor "blk.2.ffn_down_exps.weight" is missing`},
		{"no up", func(m *model) { m.drop("blk.1.ffn_up_exps.weight") }, `layer 1: tensor "blk.1.ffn_up_exps.weight" is missing`},
		{"a gate in one layer only", func(m *model) { m.drop("blk.2.ffn_gate_exps.weight") }, `layer 2: tensor "blk.2.ffn_gate_exps.weight" is missing`},
		{"bias only", func(m *model) {
			m.add("blk.0.ffn_up_exps.bias", 4, 6)
			m.add("blk.0.ffn_gate_inp.weight", 8, 6)
		}, "layer 0"},
		{"router only", func(m *model) { m.add("blk.0.ffn_gate_inp.weight", 8, 6) }, "layer 0: tensor \"blk.0.ffn_up_exps.weight\" is missing (the layer has a router only)"},
		{"count differs", func(m *model) { m.md.Set("deepseek.expert_count", uint32(8)) }, `deepseek.expert_count is 8 but tensor "blk.1.ffn_gate_exps.weight" stacks 6 experts`},
		{"layers differ", func(m *model) { m.shape("blk.2.ffn_up_exps.weight", 8, 4, 5) }, `"blk.2.ffn_up_exps.weight" of shape {8, 4, 5} stacks 5 experts`},
		{"not stacked", func(m *model) { m.shape("blk.1.ffn_up_exps.weight", 8, 4) }, `stacks 1 experts`},
		{"bias of others", func(m *model) { m.add("blk.1.ffn_up_exps.bias", 4, 5) }, `"blk.1.ffn_up_exps.bias"`},
		{"used more than there are", func(m *model) { m.md.Set("deepseek.expert_used_count", uint32(7)) }, "deepseek.expert_used_count is 7 of 6"},
		{"count without tensors", func(m *model) { m.ts = m.ts[:2] }, "deepseek.expert_count is 6 but no tensor holds routed experts"},
		{"count of another type", func(m *model) { m.md.Set("deepseek.expert_count", "six") }, "deepseek.expert_count is string"},
		{"no layer", func(m *model) { m.add("ffn_up_exps.weight", 8, 4, 6) }, `"ffn_up_exps.weight" holds experts of no layer`},
		{"groups alone", func(m *model) {
			m.ts = nil
			m.add("blk.1.ffn_up_chexps.weight", 8, 4, 6)
			m.md.Delete("deepseek.expert_count")
		}, `"blk.1.ffn_up_chexps.weight"`},
		{"one tensor an expert", func(m *model) { m.add("blk.0.ffn_gate.3.weight", 8, 4) }, `tensor "blk.0.ffn_gate.3.weight" holds a single expert`},
		{"one tensor an expert, older", func(m *model) { m.add("ffn_gate.0.weight", 8, 4) }, "convert the checkpoint again"},
	} {
		m := deepseek()
		c.change(m)
		_, err := expert.Find(&m.md, m.ts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if _, _, terr := expert.Tag(m); terr == nil || terr.Error() != err.Error() {
			t.Errorf("%s: Tag: %v, Find: %v", c.name, terr, err)
		}
	}
}

func TestLegacyIsUnsupported(t *testing.T) {
	m := deepseek()
	m.add("blk.0.ffn_down.0.weight", 8, 4)
	var unsupported *gguf.UnsupportedError
	if _, _, err := expert.Tag(m); !errors.As(err, &unsupported) {
		t.Errorf("%v", err)
	}
}

func TestTag(t *testing.T) {
	m := deepseek()
	keys := m.md.Len()
	tagged, s, err := expert.Tag(m)
	if err != nil {
		t.Fatal(err)
	}
	if m.md.Len() != keys {
		t.Error("Tag changed the source's metadata")
	}
	if !reflect.DeepEqual(tagged.Tensors(), m.ts) {
		t.Error("Tag changed the tensors")
	}
	md := tagged.Metadata()
	if md.Len() != keys+8 {
		t.Errorf("%d keys added, want 8", md.Len()-keys)
	}
	if v, _ := md.Get("moeconv.expert.names"); !reflect.DeepEqual(v, s.Names) {
		t.Errorf("names: %v", v)
	}
	if v, _ := md.Get("moeconv.expert.layers"); !reflect.DeepEqual(v, []uint32{1, 2}) {
		t.Errorf("layers: %v", v)
	}
	got, ok, err := expert.Read(md)
	if err != nil || !ok || !reflect.DeepEqual(got, s) {
		t.Errorf("read back %+v, %v, %v\nwant %+v", got, ok, err, s)
	}
	if err := expert.Check(md, m.ts); err != nil {
		t.Error(err)
	}
	if expert.Untagged(md).Len() != keys {
		t.Error("Untagged left marks")
	}

	// Another type, as after quantization: the marks are false until tagged again.
	quantized := deepseek()
	quantized.md = *md.Clone()
	for i := range quantized.ts {
		quantized.ts[i].Type = gguf.F32
	}
	if err := expert.Check(&quantized.md, quantized.ts); err == nil || !strings.Contains(err.Error(), "moeconv.expert.bytes is 2304, want 4608") {
		t.Errorf("stale bytes: %v", err)
	}
	again, _, err := expert.Tag(quantized)
	if err != nil {
		t.Fatal(err)
	}
	if err := expert.Check(again.Metadata(), again.Tensors()); err != nil || again.Metadata().Len() != md.Len() {
		t.Errorf("tagged again: %v, %d keys", err, again.Metadata().Len())
	}
}

func TestTagDense(t *testing.T) {
	m := deepseek()
	m.ts = m.ts[:2]
	m.md.Delete("deepseek.expert_count")
	if _, _, err := expert.Tag(m); !errors.Is(err, expert.ErrNone) {
		t.Errorf("%v", err)
	}
}

// Every mark that is missing or wrong is noticed by name.
func TestCheckMarks(t *testing.T) {
	for key, bad := range map[string]any{
		"moeconv.expert.names":        []string{"blk.1.ffn_up_exps.weight"},
		"moeconv.expert.layers":       []uint32{1},
		"moeconv.expert.count":        uint32(5),
		"moeconv.expert.used_count":   uint32(1),
		"moeconv.expert.tensor_count": uint32(7),
		"moeconv.expert.bytes":        uint64(1),
		"moeconv.expert.shared.names": []string{"x"},
		"moeconv.expert.shared.bytes": uint64(1),
	} {
		tagged, _, err := expert.Tag(deepseek())
		if err != nil {
			t.Fatal(err)
		}
		md := tagged.Metadata()
		md.Set(key, bad)
		if err := expert.Check(md, tagged.Tensors()); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s wrong: %v", key, err)
		}
		md.Set(key, "text")
		if err := expert.Check(md, tagged.Tensors()); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s of another type: %v", key, err)
		}
		md.Delete(key)
		if err := expert.Check(md, tagged.Tensors()); err == nil {
			t.Errorf("%s missing: not noticed", key)
		}
	}
}
