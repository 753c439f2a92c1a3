package verify

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/testdata"
)

func header(t *testing.T, src gguf.Source) map[string]Result {
	t.Helper()
	out := map[string]Result{}
	for _, c := range Header() {
		out[c.Name] = c.Run(context.Background(), &Subject{Source: src})
	}
	return out
}

func tinyCheckpoint(t *testing.T) *convert.Plan {
	t.Helper()
	p, err := convert.OpenDir(testdata.Path("tiny", "tiny-moe-go"), convert.Options{OutType: "bf16"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// A sound file passes all header checks, its marks too once it is tagged.
func TestHeader(t *testing.T) {
	tagged, _, err := expert.Tag(tinyCheckpoint(t))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.gguf")
	if _, err := gguf.WriteFile(context.Background(), name, tagged, gguf.FileOptions{SplitMaxTensors: 9}); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(filepath.Join(filepath.Dir(name), "x-00002-of-00005.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, r := range header(t, f) {
		if r.Status != Pass {
			t.Errorf("%s: %s: %s", name, r.Status, r.Detail)
		}
	}
}

// Damages of headers, and what must be said of them.
func TestHeaderDamage(t *testing.T) {
	plan := tinyCheckpoint(t)
	tokens := func(m *memory) []string {
		v, _ := m.md.Get("tokenizer.ggml.tokens")
		return append([]string(nil), v.([]string)...)
	}
	for _, c := range []struct {
		name   string
		do     func(m *memory)
		check  string
		status Status
		want   string
	}{
		{"a token less", func(m *memory) { v := tokens(m); m.md.Set("tokenizer.ggml.tokens", v[:len(v)-1]) }, "vocabulary", Fail, `"token_embd.weight": has rows for`},
		{"a token twice", func(m *memory) { v := tokens(m); v[7] = v[6]; m.md.Set("tokenizer.ggml.tokens", v) }, "vocabulary", Fail, "tokens 6 and 7 are both"},
		{"an empty token", func(m *memory) { v := tokens(m); v[7] = ""; m.md.Set("tokenizer.ggml.tokens", v) }, "vocabulary", Warn, "token 7 is empty"},
		{"tokens of another type", func(m *memory) { m.md.Set("tokenizer.ggml.tokens", []int32{1}) }, "vocabulary", Fail, "tokenizer.ggml.tokens is []int32"},
		{"no tokens", func(m *memory) { m.md.Delete("tokenizer.ggml.tokens") }, "vocabulary", Fail, "tokenizer.ggml.tokens is missing"},
		{"no vocabulary", func(m *memory) { m.md.Delete("tokenizer.ggml.tokens"); m.md.Delete("tokenizer.ggml.model") }, "vocabulary", NotApplicable, "no vocabulary"},
		{"no model", func(m *memory) { m.md.Delete("tokenizer.ggml.model") }, "vocabulary", Fail, "tokenizer.ggml.model is missing"},
		{"types of too few", func(m *memory) { m.md.Set("tokenizer.ggml.token_type", []int32{1, 1}) }, "vocabulary", Fail, "has 2 elements for"},
		{"types of another type", func(m *memory) { m.md.Set("tokenizer.ggml.token_type", []uint32{1, 1}) }, "vocabulary", Fail, "no array of INT32"},
		{"a type that does not exist", func(m *memory) {
			v := make([]int32, len(tokens(m)))
			for i := range v {
				v[i] = 1
			}
			v[3] = 9
			m.md.Set("tokenizer.ggml.token_type", v)
		}, "vocabulary", Warn, "token 3 has type 9"},
		{"scores of too few", func(m *memory) { m.md.Set("tokenizer.ggml.scores", []float32{1}) }, "vocabulary", Fail, "scores has 1 elements"},
		{"an id beyond", func(m *memory) { m.md.Set("tokenizer.ggml.eot_token_id", uint32(1<<31)) }, "vocabulary", Fail, "eot_token_id is 2147483648"},
		{"an id just beyond", func(m *memory) { m.md.Set("tokenizer.ggml.eos_token_id", uint32(len(tokens(m)))) }, "vocabulary", Fail, "eos_token_id is"},
		{"a negative id", func(m *memory) { m.md.Set("tokenizer.ggml.padding_token_id", int32(-1)) }, "vocabulary", Fail, "padding_token_id is -1"},
		{"an id that is no number", func(m *memory) { m.md.Set("tokenizer.ggml.bos_token_id", "1") }, "vocabulary", Fail, "bos_token_id is string"},
		{"a switch that is a number", func(m *memory) { m.md.Set("tokenizer.ggml.add_bos_token", uint32(1)) }, "vocabulary", Fail, "add_bos_token is uint32"},
		{"a template that is none", func(m *memory) { m.md.Set("tokenizer.chat_template", []string{"x"}) }, "vocabulary", Fail, "chat_template is []string"},
		{"no merges", func(m *memory) { m.md.Delete("tokenizer.ggml.merges") }, "vocabulary", Fail, "tokenizer.ggml.merges is missing"},
		{"a merge of one part", func(m *memory) { m.md.Set("tokenizer.ggml.merges", []string{"a b", " ab"}) }, "vocabulary", Fail, "merge 1 is"},
		{"no pre-tokenizer", func(m *memory) { m.md.Delete("tokenizer.ggml.pre") }, "vocabulary", Warn, "names no pre-tokenizer"},
		{"false marks", func(m *memory) { m.md.Set(expert.KeyCount, uint32(3)) }, "marks", Fail, "moeconv.expert.count is 3"},
		{"marks in part", func(m *memory) { m.md.Delete(expert.KeyNames) }, "marks", Fail, "moeconv.expert.names is missing"},
		{"no marks", func(m *memory) { m.md = expert.Untagged(m.md) }, "marks", NotApplicable, "not tagged"},
		{"a name twice", func(m *memory) { m.tensors[3].Name = m.tensors[2].Name }, "structure", Fail, "given twice"},
		{"a tensor less", func(m *memory) {
			i := gguf.Find(m.tensors, "blk.1.attn_k.weight")
			m.tensors = append(m.tensors[:i:i], m.tensors[i+1:]...)
		}, "contract", Fail, `"blk.1.attn_k.weight" is missing`},
	} {
		tagged, _, err := expert.Tag(plan)
		if err != nil {
			t.Fatal(err)
		}
		m := &memory{md: tagged.Metadata().Clone(), tensors: append([]gguf.TensorInfo(nil), tagged.Tensors()...)}
		c.do(m)
		r := header(t, m)[c.check]
		if r.Status != c.status || !strings.Contains(r.Detail, c.want) {
			t.Errorf("%s: %s: %s, want %s: %s", c.name, r.Status, r.Detail, c.status, c.want)
		}
	}
}

// An architecture that nobody knows has no contract; the rest is looked at.
func TestHeaderUnknown(t *testing.T) {
	plan := tinyCheckpoint(t)
	md := plan.Metadata().Clone()
	md.Set("general.architecture", "xyz")
	m := &memory{md: md, tensors: plan.Tensors()}
	got := header(t, m)
	if got["contract"].Status != NotApplicable || got["vocabulary"].Status != Pass {
		t.Errorf("contract %v, vocabulary %v", got["contract"], got["vocabulary"])
	}
}
