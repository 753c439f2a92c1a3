package token

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// spFamilies lists the families with a tokenizer.model, with the form and the architecture they are converted to.
var spFamilies = map[string][2]string{
	"mixtral":      {"llama", "llama"},
	"mixtral-8":    {"llama", "llama"},
	"phi-3.5-moe":  {"phi", "phimoe"},
	"ernie4.5-moe": {"ernie", "ernie4_5-moe"},
}

// spModels lists the real tokenizer.model files.
var spModels = []string{"mistral_v1", "mistral_v3", "mistral_v7", "llama2"}

// spGolden is golden/tokens.json or golden.json: with SentencePiece's ids beside those of tokenizers.
type spGolden struct {
	tokensGolden
	Differs map[string][]int `json:"differs_from_reference_at"`
}

// SentencePiece families: the ids of HF tokenizers with special tokens parsed, and where they are not
// (which HF always does) those of the SentencePiece library and of llama.cpp.
func TestSentencePieceFamilies(t *testing.T) {
	text := strings70(t)
	for family, c := range spFamilies {
		if !testdata.Full() && family != "mixtral-8" {
			continue
		}
		var g spGolden
		readJSON(t, testdata.Path("families", family, "golden", "tokens.json"), &g)
		dirs, _ := filepath.Glob(testdata.Path("families", family, "*", "tokenizer.model"))
		if len(dirs) != 1 {
			t.Fatalf("%d checkpoints", len(dirs))
		}
		var config struct {
			VocabSize int `json:"vocab_size"`
		}
		if testdata.Full() { // the copy at hand is the tokenizer alone
			readJSON(t, filepath.Join(filepath.Dir(dirs[0]), "config.json"), &config)
		}
		md := metadata(t, nil, filepath.Dir(dirs[0]), vocab.Options{Forms: []string{c[0]}, VocabSize: config.VocabSize})
		md.Set("general.architecture", c[1])
		tok := newTokenizer(t, md)
		for i, s := range text {
			compareOne(t, tok, family+" with special", s, Options{AddSpecial: true, ParseSpecial: true}, g.IDs["tokenizers"].WithSpecial[i])
			compareOne(t, tok, family+" parsed", s, Options{ParseSpecial: true}, g.IDs["tokenizers"].Plain[i])
			compareOne(t, tok, family+" plain", s, Options{}, g.IDs["llama.cpp"].Plain[i])
		}
		roundTrip(t, tok, slices.DeleteFunc(slices.Clone(text), func(s string) bool {
			return strings.ContainsRune(s, space) || family == "phi-3.5-moe" && s == text[65] // its tokens swallow white space
		}))
	}
}

func compareOne(t *testing.T, tok *Tokenizer, what, s string, opts Options, want []int32) {
	t.Helper()
	got, err := tok.Encode(s, opts)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: %q: %v\n got %v\nwant %v", what, s, err, got, want)
	}
}

// The real vocabularies: the ids of the SentencePiece library.
func TestSentencePieceModels(t *testing.T) {
	names := spModels
	if !testdata.Full() {
		names = names[:1]
	}
	text := strings70(t)
	for _, name := range names {
		var g tokensGolden
		readJSON(t, testdata.Path("tokenizers", name, "golden.json"), &g)
		tok := newTokenizer(t, fullModel(t, name))
		for i, s := range text {
			compareOne(t, tok, name, s, Options{}, g.IDs["sentencepiece"].Plain[i])
			if llama := g.IDs["llama.cpp"]; llama.Plain != nil {
				compareOne(t, tok, name+" as llama.cpp", s, Options{}, llama.Plain[i])
				compareOne(t, tok, name+" with special as llama.cpp", s, Options{AddSpecial: true, ParseSpecial: true}, llama.WithSpecial[i])
			}
		}
		compareLlama(t, tok, name)
		roundTrip(t, tok, slices.DeleteFunc(slices.Clone(text), func(s string) bool { return strings.ContainsRune(s, space) }))
	}
}

// fullModel is one of the real tokenizer.model files below tokenizers/.
func fullModel(t testing.TB, name string) *gguf.Metadata {
	t.Helper()
	return metadata(t, fstest.MapFS{"tokenizer.model": {Data: gunzip(t, testdata.Path("tokenizers", name, "tokenizer.model.gz"))}}, "", vocab.Options{Forms: []string{"sentencepiece"}})
}

func gunzip(t testing.TB, name string) []byte {
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
