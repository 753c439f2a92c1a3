package vocab

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// formCases is testdata/forms.json: vocabularies in the forms of certain model families, and the
// metadata that the reference's classes make of them (see testdata/gen/forms.py).
type formCases struct {
	Cases map[string]formCase
	Full  json.RawMessage
}

type formCase struct {
	Form  string
	Files map[string]string
	KV    json.RawMessage
}

func (c formCase) fs() fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range c.Files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func readFormCases(t testing.TB) formCases {
	t.Helper()
	data, err := os.ReadFile("testdata/forms.json")
	if err != nil {
		t.Fatal(err)
	}
	var c formCases
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// compareAll wants v's metadata to be the golden's, in order.
func compareAll(t *testing.T, v *Vocab, golden json.RawMessage) {
	t.Helper()
	var order object
	want := map[string]kv{}
	if err := errors.Join(order.UnmarshalJSON(golden), json.Unmarshal(golden, &want)); err != nil {
		t.Fatal(err)
	}
	var md gguf.Metadata
	md.Set("general.architecture", "arch")
	v.AddTo(&md)
	md.Delete("general.architecture")
	var keys []string
	for k, value := range md.All() {
		keys = append(keys, k)
		if w, ok := want[k]; ok {
			compareKV(t, k, value, w)
		}
	}
	if !slices.Equal(keys, order.keys) {
		t.Errorf("keys\n%q, want\n%q", keys, order.keys)
	}
}

func TestForms(t *testing.T) {
	all := readFormCases(t)
	if len(all.Cases) < 16 {
		t.Fatalf("%d cases", len(all.Cases))
	}
	for name, c := range all.Cases {
		t.Run(name, func(t *testing.T) {
			files := c.fs()
			v, err := Load(files, Options{VocabSize: vocabSize(t, files), Forms: []string{c.Form}, Prefer: []string{"glm4", "solar-open", "gpt-2"}, Pre: forcedPre[c.Form]})
			if err != nil {
				t.Fatal(err)
			}
			compareAll(t, v, c.KV)
		})
	}
}

// forcedPre are the names the oracle was told, where the small tokenizer is not cut as the model's.
var forcedPre = map[string]string{"glm": "glm4", "glm-edge": "glm4", "solar-open": "solar-open"}

// The whole tekken.json of Mistral's models.
func TestTekkenFull(t *testing.T) {
	if !testdata.Full() {
		return // TestForms has its first ranks
	}
	v, err := Load(fstest.MapFS{"tekken.json": {Data: unzip(t, testdata.Path("tokenizers", "tekken_240911", "tekken.json.gz"))}}, Options{Forms: []string{"tekken"}, VocabSize: 131072})
	if err != nil {
		t.Fatal(err)
	}
	compareAll(t, v, readFormCases(t).Full)
}

func unzip(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is wrong in these forms is named with its file and place.
func TestFormsDamaged(t *testing.T) {
	all := readFormCases(t)
	tekken, hy, kimi := all.Cases["tekken v3"], all.Cases["hunyuan"], all.Cases["kimi"]
	first := "AA==" // the token of rank 0
	for _, d := range []struct {
		what      string
		c         formCase
		file      string
		old, with string
		want      string
	}{
		{"cut", tekken, "tekken.json", `"rank": 200`, "", "tekken.json: not valid JSON at byte"},
		{"other version", tekken, "tekken.json", `"v3"`, `"v4"`, `tekken.json: version "v4" is not supported`},
		{"no special tokens", tekken, "tekken.json", `"v3"`, `"v11"`, "version v11 has to list its special tokens"},
		{"other pattern", tekken, "tekken.json", `\\p{Lu}`, `\\p{Lt}`, "config.pattern"},
		{"rank missing", tekken, "tekken.json", `"rank": 300`, `"rank": 301`, "tekken.json: vocab 300: rank 301 follows 299"},
		{"rank a string", tekken, "tekken.json", `"rank": 300`, `"rank": "300"`, "tekken.json: vocab 300: string at byte"},
		{"not base64", tekken, "tekken.json", `"` + first + `"`, `"?"`, `tekken.json: vocab 0: token_bytes "?" is not base64`},
		{"twice", tekken, "tekken.json", `"` + first + `"`, `"AQ=="`, `vocab 1: ranks 0 and 1 are both "\x01"`},
		{"not a byte", tekken, "tekken.json", `"` + first + `"`, `"ICA="`, `vocab 0: "  " is not a byte`},
		{"empty", tekken, "tekken.json", `"` + first + `"`, `""`, "vocab 0: \"\" is not a byte"},
		{"too many", tekken, "tekken.json", `"default_vocab_size": 340`, `"default_vocab_size": 34000`, "do not make default_vocab_size 34000"},
		{"negative", tekken, "tekken.json", `"default_vocab_size": 340`, `"default_vocab_size": -1`, "do not make default_vocab_size -1"},
		{"huge number of special tokens", tekken, "tekken.json", `"default_num_special_tokens": 30`, `"default_num_special_tokens": 1000000000`, "do not make default_vocab_size"},
		{"other vocab_size", tekken, "config.json", "340", "341", "tekken.json: 340 tokens, but config.json's vocab_size is 341"},
		{"not base64", hy, "hy.tiktoken", first, "?", `hy.tiktoken: line 1: "?" is not base64`},
		{"one field", hy, "hy.tiktoken", first + " 0", first, "hy.tiktoken: line 1: \"AA==\" is not a token in base64 and its rank"},
		{"rank a word", hy, "hy.tiktoken", first + " 0", first + " x", `hy.tiktoken: line 1: rank "x" is not a number`},
		{"byte missing", hy, "hy.tiktoken", first, "AAAA", "hy.tiktoken: byte 0x00 is not a token"},
		{"ids of others", hy, "config.json", `"pad_token_id": 324`, `"pad_token_id": 325`, "do not agree with those HYTokenizer gives them"},
		{"vocab_size too small", hy, "config.json", `"vocab_size": 530`, `"vocab_size": 529`, "do not agree"},
		{"rank missing", kimi, "tiktoken.model", first + " 0", first + " 1", "tiktoken.model: line 1: rank 1 follows -1"},
		{"twice", kimi, "tiktoken.model", first, "AQ==", `tiktoken.model: line 2: ranks 0 and 1 are both "\x01"`},
		{"vocab_size too small", kimi, "config.json", `"vocab_size": 576`, `"vocab_size": 300`, "tiktoken.model: 320 tokens and 0 special ones do not fit into vocab_size 300"},
		{"a name twice", kimi, "tokenizer_config.json", "[EOS]", "[BOS]", `tokens 320 and 321 are both "[BOS]"`},
	} {
		files := d.c.fs()
		text := string(files[d.file].Data)
		if !strings.Contains(text, d.old) {
			t.Fatalf("%s: %q is not in %s", d.what, d.old, d.file)
		}
		if d.with == "" {
			text, _, _ = strings.Cut(text, d.old)
		}
		files[d.file] = &fstest.MapFile{Data: []byte(strings.Replace(text, d.old, d.with, 1))}
		v, err := Load(files, Options{VocabSize: vocabSize(t, files), Forms: []string{d.c.Form}})
		if err == nil || !strings.Contains(err.Error(), d.want) || v != nil {
			t.Errorf("%s: %v, want %q", d.what, err, d.want)
		}
	}
	glm := all.Cases["glm"].fs()
	glm["tokenizer.json"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(string(glm["tokenizer.json"].Data), "[gMASK]", "[hMASK]"))}
	if _, err := Load(glm, Options{Forms: []string{"glm"}, Pre: "glm4"}); err == nil || !strings.Contains(err.Error(), `no added token "[gMASK]", which this model family uses as bos`) {
		t.Errorf("glm without [gMASK]: %v", err)
	}
}

// The id the reference writes for Hunyuan is named as its defect.
func TestHunyuanQuirk(t *testing.T) {
	files := readFormCases(t).Cases["hunyuan"].fs()
	v, err := Load(files, Options{VocabSize: 530, Forms: []string{"hunyuan"}})
	if err != nil || len(v.Quirks()) != 1 || v.Quirks()[0].Key != "tokenizer.ggml.bos_token_id" || v.Quirks()[0].Right != uint32(1) {
		t.Errorf("%+v %v", v.Quirks(), err)
	}
}

func fuzzForm(f *testing.F, form, file string, names ...string) {
	all := readFormCases(f)
	for _, name := range names {
		data := []byte(all.Cases[name].Files[file])
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Load(fstest.MapFS{file: {Data: data}}, Options{Forms: []string{form}})
		if err != nil {
			return
		}
		if len(v.tokens) != len(v.types) || v.scores != nil && len(v.scores) != len(v.tokens) {
			t.Errorf("%d tokens, %d types, %d scores", len(v.tokens), len(v.types), len(v.scores))
		}
	})
}

func FuzzTekken(f *testing.F) {
	fuzzForm(f, "tekken", "tekken.json", "tekken v3", "tekken v7 with special tokens")
}

func FuzzTiktoken(f *testing.F) { fuzzForm(f, "kimi", "tiktoken.model", "kimi") }

// What is read without reflection is what encoding/json reads.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a": 1, "b":2}`, `{"\"\\": -7 , "\u0120x":0}`, ` { } `, `{"a":1.5}`, `{"a":null}`, `{"a":1,"a":2}`, `[["a","b c"], "x y" ,3,{"k":["]"]}]`, `[]`, `{"rank": 1, "token_bytes": "AA==", "token_str": null}`, `{"token_bytes":"","rank":-2,"x":{"rank":5}}`, `["\\", "\"", ["\\\"", "]"]]`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || !utf8.Valid(data) { // as the callers have made sure
			return
		}
		if got, ok := scanIDs(data); ok {
			want := map[string]int64{}
			if err := json.Unmarshal(data, &want); err != nil || !maps.Equal(got, want) {
				t.Errorf("ids of %s: %v, want %v %v", data, got, want, err)
			}
		}
		if got, err := parseTekken(data); err == nil {
			var want tekkenToken
			if err := json.Unmarshal(data, &want); err != nil || got != want {
				t.Errorf("token %s: %v, want %v %v", data, got, want, err)
			}
		}
		list, err := elements(data)
		var want []json.RawMessage
		if wantErr := json.Unmarshal(data, &want); (err == nil) != (wantErr == nil && want != nil) || len(list) != len(want) {
			t.Errorf("elements of %s: %q %v, want %q %v", data, list, err, want, wantErr)
			return
		}
		for i, e := range list {
			if string(e) != string(want[i]) {
				t.Errorf("element %d of %s: %q, want %q", i, data, e, want[i])
			}
			var text string
			got, _, err := cutString(e)
			if wantErr := json.Unmarshal(e, &text); e[0] == '"' && (err != nil || wantErr != nil || got != text) {
				t.Errorf("string %s: %q %v, want %q %v", e, got, err, text, wantErr)
			}
		}
	})
}
