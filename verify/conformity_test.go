package verify

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// with is a source with one key changed; nil removes it.
func withKey(src gguf.Source, key string, v any) gguf.Source {
	md := src.Metadata().Clone()
	md.Delete(key)
	if v != nil {
		md.Set(key, v)
	}
	return gguf.WithMetadata(src, md)
}

// Real templates are their own equal, and each change of one is seen: a text that is always written, an answer that is not
// begun, a role that is spelled otherwise.
func TestChangedTemplates(t *testing.T) {
	files, err := filepath.Glob(testdata.Path("templates", "*.jinja"))
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		files = files[:5]
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		judge := func(mine string) Result {
			c := &templates{ctx: t.Context(), mineBOS: bosEOS{"<s>", "</s>"}, theirBOS: bosEOS{"<s>", "</s>"}, r: NewResult(Pass, "")}
			c.compare("", mine, text)
			return c.r
		}
		if r := judge(text); r.Status != Pass {
			t.Errorf("%s: %s: %v", filepath.Base(name), r.Status, r.Problems)
		}
		for what, mine := range map[string]string{"more": text + "!", "role": strings.ReplaceAll(text, "user", "usr"), "assistant": strings.ReplaceAll(text, "assistant", "asistant"), "cut": text[:len(text)/2]} {
			if r := judge(mine); mine != text && (r.Status != Fail || r.Problems[0].Damage != "template") {
				t.Errorf("%s, %s: %s: %v", filepath.Base(name), what, r.Status, r.Problems)
			}
		}
		if r := judge(text + "{# a remark #}"); r.Status != Warn {
			t.Errorf("%s, with a remark: %s: %v", filepath.Base(name), r.Status, r.Problems)
		}
	}
}

func TestTemplatesOfFiles(t *testing.T) {
	p := tinyPlan(t)
	for _, c := range []struct {
		name   string
		file   gguf.Source
		source gguf.Source
		want   Status
		words  string
	}{
		{"same", p, p, Pass, "14 renderings are the source's"},
		{"missing", withKey(p, keyTemplate, nil), p, Fail, "chat template is missing"},
		{"added", p, withKey(p, keyTemplate, nil), Warn, "is not the source's, which has none"},
		{"neither", withKey(p, keyTemplate, nil), withKey(p, keyTemplate, nil), NotApplicable, "neither"},
		{"alone", p, nil, Pass, "no source to compare with"},
		{"broken, alone", withKey(p, keyTemplate, "{% if %}"), nil, Warn, "a plain conversation"},
		{"other bos", withKey(withKey(p, "tokenizer.ggml.bos_token_id", uint32(9)), keyTemplate, "{{ bos_token }}"), withKey(p, keyTemplate, "{{ bos_token }}"), Fail, "changed: chat template renders"},
		{"named one changed", withKey(p, keyTemplate+".tool_use", "a"), withKey(p, keyTemplate+".tool_use", "b"), Fail, "chat template tool_use renders"},
	} {
		r := check(t, checkTemplate, &Subject{Source: c.file, Reference: c.source})
		if r.Status != c.want || !strings.Contains(r.Detail, c.words) {
			t.Errorf("%s: %s: %s", c.name, r.Status, r.Detail)
		}
	}
}

func TestVocabularyOfTheSource(t *testing.T) {
	p := tinyPlan(t)
	types, err := gguf.Value[[]int32](p.Metadata(), "tokenizer.ggml.token_type")
	if err != nil {
		t.Fatal(err)
	}
	types = slices.Clone(types)
	types[len(types)-1] = 1
	files := &Checkpoint{Files: testdata.Tiny()}
	for _, c := range []struct {
		name   string
		file   gguf.Source
		want   Status
		damage string
	}{
		{"sound", p, Pass, ""},
		{"no bos", withKey(p, "tokenizer.ggml.bos_token_id", nil), Fail, "bos"},
		{"another eot", withKey(p, "tokenizer.ggml.eot_token_id", uint32(5)), Warn, "eot"},
		{"another padding", withKey(p, "tokenizer.ggml.padding_token_id", uint32(5)), Warn, "padding"},
		{"add_bos", withKey(p, "tokenizer.ggml.add_bos_token", false), Fail, "add_bos_token"},
		{"token types", withKey(p, "tokenizer.ggml.token_type", types), Fail, "token-types"},
		{"pre", withKey(p, "tokenizer.ggml.pre", "gpt-2"), Warn, "pre"},
		{"no merges", withKey(p, "tokenizer.ggml.merges", []string{"a b"}), Fail, "merges"},
	} {
		r := check(t, checkTokenizer, &Subject{Source: c.file, Reference: p, Checkpoint: files})
		named := c.damage == "" || slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Damage == c.damage })
		if c.name == "pre" && r.Status == Fail && slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Damage == "ids" }) {
			continue // the pre-tokenizer shows in the ids, too
		}
		if r.Status != c.want || !named {
			t.Errorf("%s: %s: %s", c.name, r.Status, r.Detail)
		}
	}
}

// A defect that the reference writes into every file of a model is a warning; a file that mends it is sound.
func TestDefectsOfTheReference(t *testing.T) {
	dir := testdata.Path("families/deepseek-moe/deepseek-moe-16b-chat")
	p, err := convert.OpenDir(dir, convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &Subject{Source: p, Reference: p, Checkpoint: &Checkpoint{Files: os.DirFS(dir)}}
	if r := check(t, checkTokenizer, s); r.Status != Warn || r.Problems[0].Damage != "reference-defect" || !strings.Contains(r.Detail, "true would be right") {
		t.Errorf("%s: %s", r.Status, r.Detail)
	}
	s.Source = withKey(p, "tokenizer.ggml.add_bos_token", true)
	if r := check(t, checkTokenizer, s); r.Status != Pass {
		t.Errorf("mended: %s: %s", r.Status, r.Detail)
	}
}

// What the settings of a checkpoint say of its ends is held against the file.
func TestDeclaredEnds(t *testing.T) {
	p := tinyPlan(t)
	dir := copyTiny(t)
	s := &Subject{Source: p, Reference: p, Checkpoint: &Checkpoint{Files: os.DirFS(dir)}}
	write(t, filepath.Join(dir, "generation_config.json"), `{"eos_token_id": [1399, 17]}`)
	if r := check(t, checkTokenizer, s); r.Status != Pass || !strings.Contains(r.Detail, "generation_config.json ends texts at token 17") {
		t.Errorf("another end: %s: %s", r.Status, r.Detail)
	}
	for _, name := range []string{"config.json", "generation_config.json"} {
		write(t, filepath.Join(dir, name), `{"eos_token_id": 17}`)
	}
	write(t, filepath.Join(dir, "tokenizer_config.json"), `{"eos_token": {"content": "<other>"}}`)
	if r := check(t, checkTokenizer, s); r.Status != Warn || !strings.Contains(r.Detail, "config.json says 17") {
		t.Errorf("no agreement: %s: %s", r.Status, r.Detail)
	}
}

// A generation must end at the token with which the template ends an answer.
func TestStop(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	const done = "<|done|>" // no name that ends a generation by itself
	renamed := func(md *gguf.Metadata) *gguf.Metadata {
		md = md.Clone()
		tokens, err := gguf.Value[[]string](md, "tokenizer.ggml.tokens")
		if err != nil {
			t.Fatal(err)
		}
		tokens = slices.Clone(tokens)
		id, err := md.Int("tokenizer.ggml.eos_token_id")
		if err != nil {
			t.Fatal(err)
		}
		tokens[id] = done
		md.Set("tokenizer.ggml.tokens", tokens)
		return md
	}
	source := gguf.WithMetadata(m, renamed(m.md))
	bos, err := m.md.Int("tokenizer.ggml.bos_token_id")
	if err != nil {
		t.Fatal(err)
	}
	endless := withKey(withKey(source, "tokenizer.ggml.eos_token_id", uint32(bos)), keyTemplate, "{{ messages[-1].content }}"+done)
	for _, c := range []struct {
		name string
		file gguf.Source
		src  gguf.Source
		want Status
		word string
	}{
		{"sound", source, source, Pass, `a generation ends at`},
		{"another eos", withKey(source, "tokenizer.ggml.eos_token_id", uint32(bos)), source, Fail, "it would run on"},
		{"another eos in the source, too", endless, endless, Warn, "it would run on"},
		{"no template", withKey(source, keyTemplate, nil), nil, NotApplicable, "no chat template"},
		{"a template that refuses", withKey(source, keyTemplate, "{{ raise_exception('no') }}"), nil, NotApplicable, "refuses"},
		{"a template that swallows", withKey(source, keyTemplate, "{{ 'x' }}"), nil, NotApplicable, "does not write the answer"},
		{"no end", withKey(source, keyTemplate, "{{ messages[-1].content }}"), nil, NotApplicable, "no special token"},
	} {
		s := &Subject{Name: c.name, Source: c.file, Reference: c.src}
		r := check(t, checkStop, s)
		s.close()
		if r.Status != c.want || !strings.Contains(r.Detail, c.word) {
			t.Errorf("%s: %s: %s", c.name, r.Status, r.Detail)
		}
	}
}

// A tensor of another type than the scheme's is named, unless all of its kind have that type.
func TestMixture(t *testing.T) {
	q4, q8, plan := tinyAs(t, "Q4_K_M"), tinyAs(t, "Q8_0"), tinyPlan(t)
	put := func(m *memory, name string) {
		i, j := m.find(t, name), q8.find(t, name)
		m.tensors[i], m.data[i] = q8.tensors[j], q8.data[j]
	}
	one, all := q4.clone(), q4.clone()
	put(one, "blk.1.attn_q.weight")
	for _, b := range []string{"0", "1", "2"} {
		put(all, "blk."+b+".attn_q.weight")
	}
	for _, c := range []struct {
		name string
		file *memory
		want Status
		word string
	}{
		{"sound", q4, Pass, "every tensor has the type that Q4_K_M"},
		{"one", one, Warn, `tensor "blk.1.attn_q.weight": is Q8_0, Q4_K_M (mix llama) makes it Q4_K`},
		{"all of a kind", all, Pass, "3 tensors have a type that rules by role give"},
	} {
		r := check(t, checkMixture, &Subject{Scheme: "Q4_K_M", Source: c.file, Reference: plan})
		if r.Status != c.want || !strings.Contains(r.Detail, c.word) {
			t.Errorf("%s: %s: %s", c.name, r.Status, r.Detail)
		}
	}
	if r := check(t, checkMixture, &Subject{Scheme: "BF16", Source: q4, Reference: plan}); r.Status != NotApplicable {
		t.Errorf("BF16: %s: %s", r.Status, r.Detail)
	}
}
