package vocab

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// The malformed tokenizers of fixtures/bad, which are Mixtral's, get a message that names the cause.
func TestBadFixtures(t *testing.T) {
	if !testdata.Full() {
		return // TestDamaged and TestDamagedModel do the same kinds of damage to the tokenizers at hand
	}
	for name, want := range map[string]string{
		"tokenizer-01-json-broken":         "tokenizer.json: not valid JSON at byte 3000",
		"tokenizer-02-none":                "no tokenizer found (tokenizer.json or tokenizer.model)",
		"tokenizer-03-model-truncated":     "tokenizer.model: truncated: field 1 at byte 2561 has 15 bytes and 3 are left",
		"tokenizer-04-merge-unknown-token": `tokenizer.json: merge 20 "zzq qq" refers to token "zzq" that is not in the vocabulary`,
		"tokenizer-05-id-beyond-vocab":     `tokenizer.json: token id 99999 ("zz") is outside of vocab_size 300`,
		"tokenizer-06-unknown-model":       `tokenizer.json: model type "Foo" is not supported`,
		"tokenizer-07-duplicate-id":        "tokenizer.json: id 270 is used twice",
		"tokenizer-08-config-broken":       "tokenizer_config.json: not valid JSON at byte",
	} {
		v, err := Load(os.DirFS(testdata.Path("bad", name)), Options{VocabSize: 300, Forms: []string{"llama"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if v != nil {
			t.Errorf("%s: a vocabulary beside the error", name)
		}
	}
	v, err := Load(os.DirFS(testdata.Path("bad", "tokenizer-09-bad-chat-template")), Options{VocabSize: 300, Forms: []string{"llama"}})
	if err != nil || !strings.Contains(strings.Join(v.Warnings(), "\n"), "chat template does not parse") {
		t.Errorf("bad chat template: %v", err)
	}
}

// damage changes one file of the base.
type damage struct {
	what string
	do   func(f fstest.MapFS, doc map[string]any)
	want string
	size int
}

func text(name, content string) func(fstest.MapFS, map[string]any) {
	return func(f fstest.MapFS, _ map[string]any) { f[name] = &fstest.MapFile{Data: []byte(content)} }
}

func inModel(key string, v any) func(fstest.MapFS, map[string]any) {
	return func(_ fstest.MapFS, doc map[string]any) { doc["model"].(map[string]any)[key] = v }
}

func inVocab(tok string, id any) func(fstest.MapFS, map[string]any) {
	return func(_ fstest.MapFS, doc map[string]any) {
		doc["model"].(map[string]any)["vocab"].(map[string]any)[tok] = id
	}
}

func top(key string, v any) func(fstest.MapFS, map[string]any) {
	return func(_ fstest.MapFS, doc map[string]any) { doc[key] = v }
}

func addedID(tok string, id int) map[string]any {
	return map[string]any{"id": id, "content": tok, "special": true, "normalized": false}
}

var damages = []damage{
	{"cut", func(f fstest.MapFS, _ map[string]any) {
		f["tokenizer.json"] = &fstest.MapFile{Data: []byte(`{"model": {"type": "BP`)}
	},
		"tokenizer.json: not valid JSON at byte 22", 0},
	{"empty", text("tokenizer.json", ""), "tokenizer.json: not valid JSON at byte 0", 0},
	{"a list", text("tokenizer.json", "[]"), "tokenizer.json: array at byte", 0},
	{"null", text("tokenizer.json", "null"), "there is no model", 0},
	{"Latin-1", text("tokenizer.json", "{\"a\": \"\xe9\"}"), "tokenizer.json: not UTF-8 at byte 7", 0},
	{"config cut", text("tokenizer_config.json", `{"bos_token": `), "tokenizer_config.json: not valid JSON at byte", 0},
	{"config not UTF-8", text("tokenizer_config.json", "\xff"), "tokenizer_config.json: not UTF-8 at byte 0", 0},
	{"config a list", text("tokenizer_config.json", "[1]"), "tokenizer_config.json: array at byte", 0},
	{"special map cut", text("special_tokens_map.json", `{`), "special_tokens_map.json: not valid JSON", 0},
	{"template file not UTF-8", text("chat_template.jinja", "\xc3"), "chat_template.jinja: not UTF-8 at byte 0", 0},
	{"other model", inModel("type", "Unigram"), `model type "Unigram" is not supported`, 0},
	{"vocabulary a list", inModel("vocab", []any{[]any{"a", 1}}), "model.vocab: array", 0},
	{"vocabulary empty", inModel("vocab", map[string]any{}), "model.vocab is empty", 0},
	{"no vocabulary", inModel("vocab", nil), "model.vocab is empty", 0},
	{"id a string", inVocab("zz", "7"), "model.vocab: string at byte 655 where an integer is expected", 0},
	{"id a fraction", inVocab("zz", 7.5), "model.vocab: number 7.5", 0},
	{"id huge", inVocab("zz", json.Number("99999999999999999999")), "model.vocab: number 99999999999999999999", 0},
	{"id used twice", inVocab("zz", 70), `tokenizer.json: id 70 is used twice: "g" and "zz"`, 0},
	{"id beyond", inVocab("zz", 99999), `token id 99999 ("zz") is outside of vocab_size 272`, 272},
	{"id negative", inVocab("zz", -1), `token id -1 ("zz") is outside of vocab_size 272`, 272},
	{"vocab_size too small", nil, "is outside of vocab_size 10", 10},
	{"vocab_size absurd", nil, "vocab_size 1099511627776 is not between 1 and", 1 << 40},
	{"vocab_size negative", nil, "vocab_size -5 is not between 1 and", -5},
	{"merge of unknown tokens", inModel("merges", []any{[]any{"zzq", "qq"}}), `merge 0 "zzq qq" refers to token "zzq" that is not in the vocabulary`, 0},
	{"merge to an unknown token", inModel("merges", []any{[]any{"q", "q"}}), `merge 0 "q q" refers to token "qq" that is not`, 0},
	{"merge of three", inModel("merges", []any{[]any{"a", "b", "c"}}), "merge 0: [\"a\",\"b\",\"c\"] is not a pair", 0},
	{"merge without a space", inModel("merges", []any{"he"}), `merge 0: "he" is not two tokens`, 0},
	{"merge with two spaces", inModel("merges", []any{"h e x"}), `merge 0: "h e x" is not two tokens`, 0},
	{"merges of two kinds", inModel("merges", []any{"h e", []any{"h", "e"}}), "merge 1: [\"h\",\"e\"] is not a string", 0},
	{"merge a number", inModel("merges", []any{3}), "merge 0: 3 is not a string", 0},
	{"no merges", inModel("merges", []any{}), "there are no merges", 0},
	{"added token a string", top("added_tokens", []any{"x"}), "tokenizer.json: string at byte", 0},
	{"added token empty", top("added_tokens", []any{addedID("", 261)}), "added token 261 is empty", 0},
	{"added token with a gap", top("added_tokens", []any{addedID("<x>", 270)}), `added token "<x>" has id 270, but 261 is the next free one`, 0},
	{"decoder not an object", text("tokenizer_config.json", `{"added_tokens_decoder": []}`), "tokenizer_config.json: added_tokens_decoder is not an object", 0},
	{"decoder entry without content", text("tokenizer_config.json", `{"added_tokens_decoder": {"5": {}}}`), `entry "5" is not a token`, 0},
	{"negative special id", text("config.json", `{"bos_token_id": 3, "pad_token_id": -1}`), "config.json: invalid id -1 for the pad token", 0},
	{"huge special id", text("config.json", `{"pad_token_id": 4294967296}`), "config.json: invalid id 4294967296 for the pad token", 0},
	{"config.json cut", text("config.json", `{"pad_token_id": `), "config.json: not valid JSON", 0},
}

func TestDamaged(t *testing.T) {
	all := readVariants(t)
	for _, d := range damages {
		files, err := all.damaged(t, d)
		v, loadErr := Load(files, Options{VocabSize: d.size})
		if err != nil || loadErr == nil || !strings.Contains(loadErr.Error(), d.want) {
			t.Errorf("%s: %v %v, want %q", d.what, err, loadErr, d.want)
		}
		if v != nil {
			t.Errorf("%s: a vocabulary beside the error", d.what)
		}
	}
}

func (v variants) damaged(t testing.TB, d damage) (fstest.MapFS, error) {
	files := v.files(t, variant{})
	if d.do == nil {
		return files, nil
	}
	var doc map[string]any
	before := files["tokenizer.json"]
	if err := json.Unmarshal(before.Data, &doc); err != nil {
		return nil, err
	}
	d.do(files, doc)
	if files["tokenizer.json"] != before { // replaced as a whole
		return files, nil
	}
	data, err := json.Marshal(doc)
	files["tokenizer.json"] = &fstest.MapFile{Data: data}
	return files, err
}

// What is not supported is refused as such, by name.
func TestUnsupported(t *testing.T) {
	all := readVariants(t)
	metaspace := map[string]any{"type": "Metaspace", "replacement": "▁"}
	for _, d := range []damage{
		{"byte fallback", inModel("byte_fallback", true), "SentencePiece-style BPE (byte_fallback)", 0},
		{"prefix", inModel("continuing_subword_prefix", "##"), `continuing_subword_prefix "##"`, 0},
		{"suffix", inModel("end_of_word_suffix", "</w>"), `end_of_word_suffix "</w>"`, 0},
		{"WordPiece", inModel("type", "WordPiece"), `model type "WordPiece"`, 0},
		{"Metaspace", top("pre_tokenizer", metaspace), "Metaspace is not supported", 0},
		{"no pre-tokenizer", top("pre_tokenizer", nil), "no ByteLevel", 0},
		{"Lowercase", top("normalizer", map[string]any{"type": "Lowercase"}), "normalizer Lowercase", 0},
	} {
		files, err := all.damaged(t, d)
		_, loadErr := Load(files, Options{})
		var unsupported *gguf.UnsupportedError
		if err != nil || !errors.As(loadErr, &unsupported) || !strings.Contains(loadErr.Error(), d.want) {
			t.Errorf("%s: %v %v, want an UnsupportedError with %q", d.what, err, loadErr, d.want)
		}
	}
	for name, want := range map[string]string{
		"tokenizer.model": "tokenizer.model: SentencePiece", "tekken.json": "tekken.json: Tekken", "hy.tiktoken": "hy.tiktoken: tiktoken", "vocab.json": "vocab.json",
	} {
		_, err := Load(fstest.MapFS{name: {Data: []byte("x")}}, Options{})
		if !errors.As(err, new(*gguf.UnsupportedError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("only %s: %v", name, err)
		}
	}
}

// A name given stands, whatever the structure; an unknown one is refused.
func TestPreOverride(t *testing.T) {
	all := readVariants(t)
	files := all.files(t, variant{Set: map[string]map[string]any{"tokenizer.json": {"pre_tokenizer": map[string]any{"type": "Whitespace"}}}})
	if _, err := Load(files, Options{}); !errors.As(err, new(*gguf.UnsupportedError)) || !strings.Contains(err.Error(), "--pre") {
		t.Errorf("without a name: %v", err)
	}
	v, err := Load(files, Options{Pre: "qwen2"})
	if err != nil || v.Pre() != "qwen2" {
		t.Errorf("with a name: %v", err)
	}
	if _, err := Load(files, Options{Pre: "qwen9"}); !errors.As(err, new(*gguf.UnsupportedError)) || !strings.Contains(err.Error(), `"qwen9" is not known`) {
		t.Errorf("with an unknown name: %v", err)
	}
}

func TestTemplateWarnings(t *testing.T) {
	for _, good := range []string{
		"", "text", "{{ x }}", "{{ {'a': {'b': 1}} }}", "{% if x %}{% elif y %}{% else %}{% endif %}", "{%- for a in b if c -%}{% endfor %}",
		`{{ "%}" + '}}' }}`, "{# {% if #}", "{% set x = 1 %}{% set y %}z{% endset %}", "{", "a { b } {", "{%- macro f(a, b={}) -%}{%- endmacro %}", "{% generation %}{% endgeneration %}",
	} {
		if err := checkJinja(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"{{ x", "{% if x %}", "{% endif %}", "{% if %}a{% endif %}", "{% for m in %}{{", "{# x", "{% for x in y %}{% endif %}", "{% %}", `{{ "}} `} {
		if err := checkJinja(bad); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
	all := readVariants(t)
	change := variant{Set: map[string]map[string]any{"tokenizer_config.json": {"chat_template": "{% for m in %}{{"}}}
	v, err := Load(all.files(t, change), Options{})
	if err != nil || !strings.Contains(strings.Join(v.Warnings(), "\n"), "chat template does not parse") {
		t.Errorf("%v", err)
	}
}

// The 70 templates of real models parse.
func TestRealTemplates(t *testing.T) {
	if !testdata.Full() {
		return // they are not among the fixtures at hand; TestTemplateWarnings has all their statements
	}
	names, err := filepath.Glob(testdata.Path("templates", "*.jinja"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d templates, %v", len(names), err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkJinja(string(data)); err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
}

// FuzzTokenizerJSON wants an error or a vocabulary that is consistent, never a panic.
func FuzzTokenizerJSON(f *testing.F) {
	all := readVariants(f)
	small := maps.Clone(all.Base["tokenizer.json"])
	small["model"] = map[string]any{"type": "BPE", "vocab": map[string]any{"a": 0, "b": 1, "ab": 2}, "merges": []any{"a b"}}
	small["added_tokens"] = []any{addedID("<s>", 3)}
	for name, change := range all.Variants {
		doc := maps.Clone(small)
		for k, v := range change.Set["tokenizer.json"] {
			if k != "model" {
				doc[k] = v
			}
		}
		tokenizer, err1 := json.Marshal(doc)
		config, err2 := json.Marshal(change.Set["tokenizer_config.json"])
		if err1 != nil || err2 != nil {
			f.Fatal(name, err1, err2)
		}
		f.Add(tokenizer, config)
	}
	f.Fuzz(func(t *testing.T, tokenizer, config []byte) {
		files := fstest.MapFS{"tokenizer.json": {Data: tokenizer}, "tokenizer_config.json": {Data: config}, "config.json": {Data: []byte("{}")}}
		v, err := Load(files, Options{})
		if err != nil {
			return
		}
		var md gguf.Metadata
		v.AddTo(&md)
		if len(v.tokens) != len(v.types) || len(v.tokens) != v.Size() {
			t.Errorf("%d tokens, %d types", len(v.tokens), len(v.types))
		}
	})
}
