package vocab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
)

// spCases is testdata/sentencepiece.json: SentencePiece vocabularies and the metadata that the reference converter makes
// of them (see testdata/gen/sp_forms.py).
type spCases struct {
	Base   map[string]map[string]any
	Models map[string][]byte
	Cases  map[string]spCase
}

type spCase struct {
	Class  string
	Pieces string
	Set    map[string]map[string]any
	Text   map[string]string
	Remove []string
	KV     [][3]any
	Error  string
}

func readSPCases(t testing.TB) spCases {
	t.Helper()
	data, err := os.ReadFile("testdata/sentencepiece.json")
	if err != nil {
		t.Fatal(err)
	}
	var all spCases
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func (all spCases) files(t testing.TB, c spCase) fstest.MapFS {
	v := variants{Base: all.Base}
	files := v.files(t, variant{Set: c.Set, Text: c.Text})
	files["tokenizer.model"] = &fstest.MapFile{Data: all.Models[c.Pieces]}
	for _, name := range c.Remove {
		delete(files, name)
	}
	return files
}

// classForms are the forms that stand for the reference's classes, where their names differ.
var classForms = map[string][]string{"deepseek": {"sentencepiece", "gpt2"}}

// Metadata equals what the reference's classes write: keys, order, types, values.
func TestSentencePieceCases(t *testing.T) {
	all := readSPCases(t)
	if len(all.Cases) < 50 {
		t.Fatalf("%d cases", len(all.Cases))
	}
	for name, c := range all.Cases {
		files := all.files(t, c)
		names := classForms[c.Class]
		if names == nil {
			names = []string{c.Class}
		}
		v, err := Load(files, Options{VocabSize: vocabSize(t, files), Forms: names})
		if (err != nil) != (c.Error != "") {
			t.Errorf("%s: %v, the reference has %q", name, err, c.Error)
		}
		if err != nil {
			continue
		}
		var md gguf.Metadata
		v.AddTo(&md)
		var got, want []string
		for k, value := range md.All() {
			typ, _, _ := gguf.TypeOf(value)
			got = append(got, fmt.Sprintf("%s %v %s", k, typ, shortened(t, k, value)))
		}
		for _, kv := range c.KV {
			want = append(want, fmt.Sprintf("%s %v %s", kv[0], kv[1], compact(t, kv[2])))
		}
		for i := range max(len(got), len(want)) {
			if g, w := at(got, i), at(want, i); g != w {
				t.Errorf("%s: entry %d:\n got %q\nwant %q", name, i, g, w)
			}
		}
	}
}

// shortened writes a value as the goldens do.
func shortened(t *testing.T, key string, value any) string {
	t.Helper()
	var list []any
	switch v := value.(type) {
	case []string:
		list = anys(v)
	case []int32:
		list = anys(v)
	case []uint8:
		list = anys(v)
	case []float32: // Python writes floats of whole numbers with a point
		for _, f := range v {
			text := fmt.Sprint(float64(f))
			if !strings.Contains(text, ".") {
				text += ".0"
			}
			list = append(list, json.Number(text))
		}
	default:
		return string(compact(t, value))
	}
	if len(list) > 1000 {
		return string(compact(t, map[string]any{"len": len(list), "sha256": hash(compact(t, list))}))
	}
	if i := strings.LastIndexByte(key, '.'); slices.Contains([]string{"tokens", "scores", "token_type"}, key[i+1:]) {
		list = slices.Concat(list[:4], list[259:])
	}
	return string(compact(t, list))
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// What differs between a family's files and what is written is said.
func TestSentencePieceWarnings(t *testing.T) {
	all := readSPCases(t)
	for name, want := range map[string]string{
		"llama":                             "",
		"llama, decoder":                    `tokenizer_config.json: token 266 becomes "É" instead of "é"`,
		"llama, decoder too far":            `tokenizer_config.json: token id 300 ("far") is outside of vocab_size 272 and left out`,
		"llama, kinds in added_tokens.json": `added_tokens.json: token id 272 ("far") is outside`,
		"llama, vocab_size too small":       "the pieces from 265 on are outside of vocab_size 265",
		"llama, special id beyond":          "eos token's id 272 is outside of the vocabulary of 272",
		"llama, normalized":                 "text is normalised (characters: false, runs of spaces: true), which loaders do not do\ntokenizer.model: a space goes before texts: false; the metadata says true",
		"llama, unigram":                    "of model type 1, not BPE (2)",
		"hf, added tokens":                  "without tokenizer.model tokens have no scores",
		"hf, vocab_size larger":             "269 tokens for 280 rows",
	} {
		c := all.Cases[name]
		files := all.files(t, c)
		v, err := Load(files, Options{VocabSize: vocabSize(t, files), Forms: []string{c.Class}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(v.Warnings(), "\n"); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: warnings %q, want %q", name, got, want)
		}
	}
}

// FuzzTokenizerModel wants an error or a vocabulary that is consistent, never a panic.
func FuzzTokenizerModel(f *testing.F) {
	all := readSPCases(f)
	for _, name := range slices.Sorted(maps.Keys(all.Models)) {
		f.Add(all.Models[name])
		f.Add(all.Models[name][:len(all.Models[name])/2])
	}
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{0x0b, 0x0a, 0x00, 0x0c})
	f.Fuzz(func(t *testing.T, model []byte) {
		for _, form := range []string{"sentencepiece", "phi", "arctic", "unigram"} {
			v, err := Load(fstest.MapFS{"tokenizer.model": {Data: model}}, Options{Forms: []string{form}})
			if err != nil {
				if !strings.Contains(err.Error(), "tokenizer.model") {
					t.Errorf("%s: %v does not name the file", form, err)
				}
				continue
			}
			var md gguf.Metadata
			v.AddTo(&md)
			if len(v.tokens) != len(v.types) || len(v.tokens) != len(v.scores) || len(v.tokens) == 0 || len(v.tokens) > len(model) {
				t.Errorf("%s: %d tokens, %d types, %d scores of %d bytes", form, len(v.tokens), len(v.types), len(v.scores), len(model))
			}
		}
	})
}
