package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

var deepseekDir = testdata.Path("families/deepseek-moe/deepseek-moe-16b-chat")

// stricter are metadata files that the reference takes and we refuse: it would make a list of a text's letters.
var stricter = []string{`{"general.tags": "x"}`, `{"general.languages": "de"}`}

// TestMetadataOverride holds general.* keys against the reference converter's for many metadata files.
func TestMetadataOverride(t *testing.T) {
	text, err := os.ReadFile("testdata/override.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Metadata, Error string
			KV              [][3]any
		}
	}
	if err := json.Unmarshal(text, &golden); err != nil || len(golden.Cases) < 30 {
		t.Fatal(len(golden.Cases), err)
	}
	for _, c := range golden.Cases {
		p, err := OpenDir(deepseekDir, Options{OutType: "f16", VocabOnly: true, Metadata: []byte(c.Metadata)})
		if c.Error != "" {
			if err == nil {
				p.Close()
				t.Errorf("%s: no error, the reference has %s", c.Metadata, c.Error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Metadata, err)
			continue
		}
		var got, want []string
		for _, kv := range gguf.Describe(p.Metadata()) {
			if strings.HasPrefix(kv.Key, "general.") {
				got = append(got, fmt.Sprint(kv.Key, " ", kv.Type, " ", kv.Value))
			}
		}
		for _, kv := range c.KV {
			want = append(want, fmt.Sprint(kv[0], " ", kv[1], " ", kv[2]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.Metadata, got, want)
		}
		p.Close()
	}
	for _, s := range stricter {
		if p, err := OpenDir(deepseekDir, Options{VocabOnly: true, Metadata: []byte(s)}); err == nil || !strings.Contains(err.Error(), "not a list") {
			p.Close()
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestIgnoredMetadata(t *testing.T) {
	p, err := OpenDir(deepseekDir, Options{VocabOnly: true, Metadata: []byte(`{"general.license": "mit", "x": 1, "general.name": "y"}`)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, key := range []string{"general.license", "x"} {
		if !slices.ContainsFunc(p.Warnings(), func(w string) bool { return strings.Contains(w, "key "+key+" is not one") }) {
			t.Errorf("no warning of %s: %q", key, p.Warnings())
		}
	}
	if len(p.Tensors()) != 0 {
		t.Errorf("a vocabulary has %d tensors", len(p.Tensors()))
	}
}

// What the reference writes only once it looks at weights is not in a vocabulary: MXFP4 for file type, Phi's attention factor.
func TestVocabularyKeys(t *testing.T) {
	for family, want := range map[string]map[string]any{
		"gpt-oss":     {"general.file_type": uint32(1)},
		"phi-3.5-moe": {"general.file_type": uint32(1), "phimoe.rope.scaling.attn_factor": nil, "phimoe.rope.scaling.original_context_length": uint32(4096)},
	} {
		p, err := NewPlan(microFiles(t, family, nil), Options{Name: "m", OutType: "f16", VocabOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range want {
			if got, ok := p.Metadata().Get(key); ok != (value != nil) || got != value {
				t.Errorf("%s: %s is %v, want %v", family, key, got, value)
			}
		}
		p.Close()
	}
}

func TestParseOverride(t *testing.T) {
	for s, want := range map[string]Override{
		"a.b=str:x:y=z": {"a.b", "x:y=z"}, "a=u32:7": {"a", uint32(7)}, "a=bool:true": {"a", true}, "a=str:": {"a", ""},
	} {
		if got, err := ParseOverride(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "a", "a=", "a=7", "a=u32", "=u32:7", "a=u32:x", "a=u8:256", "a=str:\xff", "a=q4:1"} {
		if got, err := ParseOverride(s); err == nil {
			t.Errorf("%q is %+v", s, got)
		}
	}
}

func TestOverrides(t *testing.T) {
	for _, c := range []struct {
		key  string
		v    any
		want string // of the error; empty: none
	}{
		{"general.author", "me", ""},
		{"deepseek.context_length", uint32(1), ""},
		{"my.own", []uint32{1, 2}, ""},
		{"deepseek.context_length", int32(1), "UINT32"},
		{"general.architecture", "llama", "cannot be set"},
		{"split.count", uint16(2), "cannot be set"},
		{"deepseek.block_count", uint32(9), "would not load"},
		{"my.own", struct{}{}, "no value"},
	} {
		p, err := OpenDir(deepseekDir, Options{Overrides: []Override{{c.key, c.v}}})
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s = %v: %v", c.key, c.v, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s = %v: %v", c.key, c.v, err)
			continue
		}
		if got, _ := p.Metadata().Get(c.key); fmt.Sprint(got) != fmt.Sprint(c.v) {
			t.Errorf("%s is %v", c.key, got)
		}
		p.Close()
	}
}

func TestFileNames(t *testing.T) {
	p, err := OpenDir(deepseekDir, Options{OutType: "f16"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got := p.FileName("F16"); got != "deepseek-moe-6x1.9M-16b-chat-F16.gguf" {
		t.Error(got)
	}
	for name, want := range map[string]string{"m.gguf": "m.gguf", "m-{ftype}.gguf": "m-q8_0.gguf", "{FTYPE}-{outtype}{OUTTYPE}{}": "Q8_0-q8_0Q8_0q8_0"} {
		if got, err := FillTemplate(name, "Q8_0"); err != nil || got != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	for _, name := range []string{"{type}", "{", "a}b"} {
		if got, err := FillTemplate(name, "F16"); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestPreview: a preview has the types and the size of a plan for that outtype.
func TestPreview(t *testing.T) {
	auto, err := OpenDir(deepseekDir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer auto.Close()
	for _, name := range OutTypes {
		p, err := OpenDir(deepseekDir, Options{OutType: name})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		v, err := auto.Preview(name)
		if err != nil {
			t.Fatal(err)
		}
		layout, err := gguf.Layout(v.Metadata(), v.Tensors())
		if err != nil || layout.Size != p.Size() {
			t.Errorf("%s: %d bytes, want %d, %v", name, layout.Size, p.Size(), err)
		}
		for i, x := range v.Tensors() {
			if y := p.Tensors()[i]; x.Name != y.Name || x.Type != y.Type {
				t.Errorf("%s: %s is %v, want %v", name, x.Name, x.Type, y.Type)
			}
		}
		if err := v.ReadRows(t.Context(), 0, 0, 1, make([]byte, v.Tensors()[0].RowBytes())); err == nil {
			t.Error("a preview has rows")
		}
	}
	if _, err := auto.Preview("q4"); err == nil {
		t.Error("q4 is a type to convert to")
	}
}

// TestSources: every source tensor goes somewhere, and an expert stack comes from all experts.
func TestSources(t *testing.T) {
	p, err := OpenDir(deepseekDir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	seen := map[string]bool{}
	for i, info := range p.Tensors() {
		from := p.Sources(i)
		if stacked := strings.Contains(info.Name, "_exps"); stacked != (len(from) == 6) || !stacked && len(from) != 1 {
			t.Errorf("%s comes from %q", info.Name, from)
		}
		for _, name := range from {
			seen[name] = true
		}
	}
	c, err := safetensors.Open(os.DirFS(deepseekDir))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, x := range c.Tensors() {
		if !seen[x.Name] {
			t.Errorf("%s goes nowhere", x.Name)
		}
	}
}

// TestSomeWeightFiles: what is missing, and what was not given, is named.
func TestSomeWeightFiles(t *testing.T) {
	dir := deepseekDir + "/"
	_, err := OpenFiles([]string{dir + "model-00001-of-00002.safetensors"}, Options{})
	var partial *PartialError
	var expert *MissingExpertError
	if !errors.As(err, &partial) || !errors.As(err, &expert) || !slices.Equal(partial.Other, []string{"model-00002-of-00002.safetensors"}) || partial.Given != 1 {
		t.Errorf("%v", err)
	}
	for _, files := range [][]string{nil, {dir + "x.safetensors"}, {dir + "model-00001-of-00002.safetensors", "x.safetensors"}} {
		if p, err := OpenFiles(files, Options{}); err == nil {
			p.Close()
			t.Errorf("%q opens", files)
		}
	}
	_, err = NewPlan(fstest.MapFS{"config.json": {Data: []byte(`{"architectures":["DeepseekForCausalLM"]}`)}}, Options{Shards: []string{"a.safetensors"}})
	if err == nil || !strings.Contains(err.Error(), "a.safetensors") {
		t.Errorf("%v", err)
	}
}
