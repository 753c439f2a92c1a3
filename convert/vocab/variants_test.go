package vocab

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
)

// variants is testdata/variants.json: small tokenizers and the metadata that the reference
// converter's own code makes of them (see testdata/gen).
type variants struct {
	Base     map[string]map[string]any
	Variants map[string]variant
}

type variant struct {
	Set    map[string]map[string]any
	Text   map[string]string
	Remove []string
	KV     [][3]any
}

func readVariants(t testing.TB) variants {
	t.Helper()
	data, err := os.ReadFile("testdata/variants.json")
	if err != nil {
		t.Fatal(err)
	}
	var v variants
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// files are the files of the base with a variant's changes.
func (v variants) files(t testing.TB, change variant) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for name, base := range v.Base {
		doc := maps.Clone(base)
		for k, value := range change.Set[name] {
			switch value {
			case nil:
				delete(doc, k)
			case "@null":
				doc[k] = nil
			default:
				doc[k] = value
			}
		}
		data, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = &fstest.MapFile{Data: data}
	}
	for name, text := range change.Text {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for _, name := range change.Remove {
		delete(out, name)
	}
	return out
}

// vocabSize is config.json's vocab_size, 0 where it has none.
func vocabSize(t testing.TB, files fstest.MapFS) int {
	t.Helper()
	var config struct {
		VocabSize int `json:"vocab_size"`
	}
	if err := json.Unmarshal(files["config.json"].Data, &config); err != nil {
		t.Fatal(err)
	}
	return config.VocabSize
}

func TestVariants(t *testing.T) {
	all := readVariants(t)
	if len(all.Variants) < 40 {
		t.Fatalf("%d variants", len(all.Variants))
	}
	for name, change := range all.Variants {
		t.Run(name, func(t *testing.T) {
			if len(change.KV) == 0 {
				t.Fatal("no golden")
			}
			files := all.files(t, change)
			v, err := Load(files, Options{VocabSize: vocabSize(t, files)})
			if err != nil {
				t.Fatal(err)
			}
			var md gguf.Metadata
			v.AddTo(&md)
			var got, want []string
			for k, value := range md.All() {
				typ, _, _ := gguf.TypeOf(value)
				got = append(got, fmt.Sprintf("%s %v %s", k, typ, plain(value, k)))
			}
			for _, kv := range change.KV {
				want = append(want, fmt.Sprintf("%s %v %s", kv[0], kv[1], plain(kv[2], kv[0].(string))))
			}
			for i := range max(len(got), len(want)) {
				if g, w := at(got, i), at(want, i); g != w {
					t.Errorf("entry %d:\n got %q\nwant %q", i, g, w)
				}
			}
		})
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// plain writes a value as JSON; of tokens and their types those behind the byte alphabet.
func plain(v any, key string) string {
	if key == "tokenizer.ggml.tokens" || key == "tokenizer.ggml.token_type" {
		tail := map[string]any{}
		switch list := v.(type) {
		case []string:
			for i, s := range list[256:] {
				tail[strconv.Itoa(i+256)] = s
			}
			v = tail
		case []int32:
			for i, n := range list[256:] {
				tail[strconv.Itoa(i+256)] = n
			}
			v = tail
		}
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// The reference's defect is named where it shows, and only there.
func TestQuirks(t *testing.T) {
	all := readVariants(t)
	quirky := map[string]string{
		"bytelevel":             "tokenizer.ggml.add_bos_token",
		"bytelevel, eos wanted": "tokenizer.ggml.add_eos_token",
	}
	for name, change := range all.Variants {
		files := all.files(t, change)
		v, err := Load(files, Options{VocabSize: vocabSize(t, files)})
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, q := range v.Quirks() {
			keys = append(keys, q.Key)
		}
		var want []string
		if k := quirky[name]; k != "" {
			want = []string{k}
		}
		if !slices.Equal(keys, want) {
			t.Errorf("%s: quirks %q, want %q", name, keys, want)
		}
	}
}
