package vocab

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// kv is one metadata entry of a golden: golden/gguf-f32.json, what the reference converter wrote.
type kv struct {
	Type  string          `json:"type"`
	Elem  string          `json:"elem"`
	Value json.RawMessage `json:"value"`
	Len   int             `json:"len"`
	SHA   string          `json:"sha256"`
}

// readGolden returns the keys of a golden in file order.
func readGolden(t *testing.T, name string) ([]string, map[string]kv) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ KV json.RawMessage }
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var o object
	if err := o.UnmarshalJSON(doc.KV); err != nil {
		t.Fatal(err)
	}
	values := map[string]kv{}
	if err := json.Unmarshal(doc.KV, &values); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(o.keys, func(k string) bool { return !strings.HasPrefix(k, "tokenizer.") }), values
}

// compact is the JSON the goldens hash: Python's with ensure_ascii off and no spaces.
func compact(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	out := bytes.TrimSpace(b.Bytes())
	out = bytes.ReplaceAll(out, []byte(`\u2028`), []byte("\u2028")) // encoding/json escapes these two
	return bytes.ReplaceAll(out, []byte(`\u2029`), []byte("\u2029"))
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// compareKV checks one value against its golden.
func compareKV(t *testing.T, key string, got any, want kv) {
	t.Helper()
	typ, elem, _ := gguf.TypeOf(got)
	if typ.String() != want.Type || want.Elem != "" && elem.String() != want.Elem {
		t.Errorf("%s: type %v of %v, want %s of %s", key, typ, elem, want.Type, want.Elem)
		return
	}
	data := compact(t, got)
	switch {
	case want.Value != nil:
		var w bytes.Buffer
		if err := json.Compact(&w, want.Value); err != nil {
			t.Fatal(err)
		}
		var a, b any
		json.Unmarshal(data, &a)
		json.Unmarshal(w.Bytes(), &b)
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s: %s, want %s", key, data, w.Bytes())
		}
	case typ == gguf.String:
		if h := hash([]byte(got.(string))); h != want.SHA {
			t.Errorf("%s: sha256 %s, want %s", key, h, want.SHA)
		}
	default:
		if h := hash(data); h != want.SHA {
			t.Errorf("%s: sha256 %s, want %s; begins %.200s", key, h, want.SHA, data)
		}
	}
}

// fixture is what a family's data sheet and config.json say.
type fixture struct {
	dir       string // the checkpoint
	pre       string
	vocabSize int
}

func openFixture(t *testing.T, family string) fixture {
	t.Helper()
	var sheet struct {
		Pre string `json:"pre"`
	}
	readJSON(t, testdata.Path("families", family, "fixture.json"), &sheet)
	configs, err := filepath.Glob(testdata.Path("families", family, "*", "config.json"))
	if err != nil || len(configs) != 1 {
		t.Fatalf("%s: %d checkpoints, %v", family, len(configs), err)
	}
	var config struct {
		VocabSize int `json:"vocab_size"`
	}
	readJSON(t, configs[0], &config)
	return fixture{filepath.Dir(configs[0]), sheet.Pre, config.VocabSize}
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// byteLevel lists the families with a byte-level tokenizer: the forms of its files, and the pre-tokenizer's
// name that their structure alone gives ("" where the family has to say which of several it is).
var byteLevel = map[string]struct {
	forms []string
	pre   string
}{
	"deepseek-moe":      {[]string{"sentencepiece", "gpt2"}, "deepseek-llm"},
	"deepseek-v2-lite":  {[]string{"kimi"}, "deepseek-llm"},
	"deepseek-v3":       {[]string{"kimi"}, "deepseek-v3"},
	"deepseek-v3-fp8":   {[]string{"kimi"}, "deepseek-v3"},
	"bailing-moe":       {nil, "bailingmoe"},
	"dots1":             {[]string{"sentencepiece", "gpt2"}, "qwen2"},
	"qwen2-moe":         {[]string{"sentencepiece", "gpt2"}, "qwen2"},
	"qwen3-moe":         {[]string{"sentencepiece", "gpt2"}, "qwen2"},
	"gpt-oss":           {nil, "gpt-4o"},
	"gpt-oss-bf16":      {nil, "gpt-4o"},
	"gpt-oss-splitpair": {nil, "gpt-4o"},
	"olmoe":             {nil, "olmo"},
	"granite-moe":       {[]string{"llama"}, ""},
	"glm4-moe":          {[]string{"glm"}, ""},
	"hunyuan-moe":       {[]string{"hunyuan"}, "hunyuan"},
	"lfm2-moe":          {nil, ""},
	"llama4":            {nil, ""},
	"minimax-m2":        {nil, ""},
}

func families(t *testing.T) []string {
	t.Helper()
	if !testdata.Full() {
		return []string{"deepseek-moe"}
	}
	return slices.Sorted(maps.Keys(byteLevel))
}

// Metadata equals what convert_hf_to_gguf.py wrote: keys, order, types, values.
func TestGoldens(t *testing.T) {
	for _, family := range families(t) {
		t.Run(family, func(t *testing.T) {
			fx := openFixture(t, family)
			v, err := Load(os.DirFS(fx.dir), Options{VocabSize: fx.vocabSize, Forms: byteLevel[family].forms, Prefer: []string{fx.pre}})
			if err != nil {
				t.Fatal(err)
			}
			var md gguf.Metadata
			v.AddTo(&md)
			keys, want := readGolden(t, testdata.Path("families", family, "golden", "gguf-f32.json"))
			var got []string
			for k, value := range md.All() {
				got = append(got, k)
				if w, ok := want[k]; ok {
					compareKV(t, k, value, w)
				}
			}
			if !slices.Equal(got, keys) {
				t.Errorf("keys\n%q, want\n%q", got, keys)
			}
		})
	}
}

// The structure of tokenizer.json alone gives the name, where only one family of names fits.
func TestPreFromStructure(t *testing.T) {
	for _, family := range families(t) {
		fx := openFixture(t, family)
		v, err := Load(os.DirFS(fx.dir), Options{VocabSize: fx.vocabSize, Forms: byteLevel[family].forms})
		if err != nil {
			t.Errorf("%s: %v", family, err)
			continue
		}
		if want := byteLevel[family].pre; want != "" && v.Pre() != want {
			t.Errorf("%s: pre-tokenizer %s, want %s", family, v.Pre(), want)
		}
		if byteLevel[family].pre == "" && !strings.Contains(strings.Join(v.Warnings(), "\n"), fx.pre) {
			t.Errorf("%s: pre-tokenizer %s without naming %s: %q", family, v.Pre(), fx.pre, v.Warnings())
		}
	}
}
