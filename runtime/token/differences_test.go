package token

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/testdata"
	"golang.org/x/text/unicode/norm"
)

// shown tells by each difference's name whether a text shows it.
var shown = map[string]func(t *testing.T, tok *Tokenizer, text string, ref []int32) bool{
	"nfc": func(_ *testing.T, _ *Tokenizer, text string, _ []int32) bool {
		return !norm.NFC.IsNormalString(text)
	},
	"special tokens in plain text": func(t *testing.T, tok *Tokenizer, text string, _ []int32) bool {
		return !slices.Equal(idsOf(t, tok, text, Options{}), idsOf(t, tok, text, Options{ParseSpecial: true}))
	},
	"white space behind added tokens": func(_ *testing.T, tok *Tokenizer, text string, _ []int32) bool {
		for id := range tok.strips {
			for _, rest := range strings.Split(text, tok.texts[id])[1:] {
				if strings.TrimLeftFunc(rest, unicode.IsSpace) != rest {
					return true
				}
			}
		}
		return false
	},
	"words like special tokens": func(_ *testing.T, tok *Tokenizer, text string, _ []int32) bool {
		return slices.ContainsFunc(eogTexts, func(eog string) bool {
			id, ok := tok.ids[eog]
			return ok && tok.kinds[id] == normal && strings.Contains(text, eog)
		})
	},
	"no name of a pre-tokenizer": func(t *testing.T, tok *Tokenizer, text string, ref []int32) bool {
		return !slices.Equal(idsOf(t, tok, text, Options{ParseSpecial: true}), ref)
	},
}

func idsOf(t *testing.T, tok *Tokenizer, text string, opts Options) []int32 {
	t.Helper()
	ids, err := tok.Encode(text, opts)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return ids
}

// standIn are strings at which hunyuan-moe's ids are those of its stand-in tokenizer, which cuts digits into
// threes and does not normalise, unlike the model whose name it goes by.
var standIn = []int{20, 26, 44}

// The goldens of llama.cpp differ from those of the models' own tokenizers exactly where the listed differences
// say, and every difference shows somewhere.
func TestDifferences(t *testing.T) {
	text := strings70(t) // the first is empty: whatever else it has for ids is added, which metadata and not the vocabulary decides about
	seen := map[string]bool{}
	for name, subject := range differing(t) {
		g, tok := subject.golden, subject.tok
		ref, llama := g.IDs[cmp.Or(g.Reference, "tokenizers")], g.IDs["llama.cpp"]
		for i, s := range text {
			if name == "hunyuan-moe" && slices.Contains(standIn, i) {
				continue
			}
			for _, parsed := range []bool{false, true} {
				want, got := ref.Plain[i], llama.Plain[i]
				if parsed {
					want, got = ref.WithSpecial[i][len(ref.WithSpecial[0]):], llama.WithSpecial[i][len(llama.WithSpecial[0]):]
				}
				var why []string
				for _, d := range tok.Differences() {
					if (parsed && d.Parsed || !parsed && d.Plain) && shown[d.Name](t, tok, s, ref.Plain[i]) {
						why = append(why, d.Name)
						seen[d.Name] = true
					}
				}
				if differs := !slices.Equal(want, got); differs != (len(why) > 0) {
					t.Errorf("%s: string %d %q, special tokens parsed %t: llama.cpp differs %t, differences %q", name, i, s, parsed, differs, why)
				}
			}
		}
	}
	for _, d := range Differences() {
		if !seen[d.Name] && testdata.Full() {
			t.Errorf("no golden shows the difference %q", d.Name)
		}
		if shown[d.Name] == nil || d.What == "" || d.Why == "" || d.Example == "" {
			t.Errorf("%+v", d)
		}
	}
}

type subject struct {
	golden tokensGolden
	tok    *Tokenizer
}

// differing is the vocabularies with goldens of llama.cpp.
func differing(t *testing.T) map[string]subject {
	out := map[string]subject{}
	add := func(name, golden string, tok *Tokenizer) {
		s := subject{tok: tok}
		readJSON(t, golden, &s.golden)
		out[name] = s
	}
	for family, forms := range familyForms {
		if !testdata.Full() && family != "deepseek-moe" {
			continue
		}
		add(family, testdata.Path("families", family, "golden", "tokens.json"), familyTokenizer(t, family, forms))
	}
	names := []string{"deepseek_llm"}
	if testdata.Full() {
		names = append(names, "llama3", "qwen2_5", "starcoder")
		md := full(t, "gpt_neox", "olmo").Clone()
		md.Set(keyPre, "default") // the oracle's file names none
		add("gpt_neox", testdata.Path("tokenizers", "gpt_neox", "golden.json"), newTokenizer(t, md))
		for family, c := range spFamilies {
			dirs, _ := filepath.Glob(testdata.Path("families", family, "*", "config.json"))
			var config struct {
				VocabSize int `json:"vocab_size"`
			}
			readJSON(t, dirs[0], &config)
			md := metadata(t, nil, filepath.Dir(dirs[0]), vocab.Options{Forms: []string{c[0]}, VocabSize: config.VocabSize})
			md.Set("general.architecture", c[1])
			add(family, testdata.Path("families", family, "golden", "tokens.json"), newTokenizer(t, md))
		}
	}
	for _, name := range names {
		s := subject{}
		golden := testdata.Path("tokenizers", name, "golden.json")
		readJSON(t, golden, &s.golden)
		add(name, golden, newTokenizer(t, full(t, name, s.golden.Pre)))
	}
	return out
}

// familyTokenizer is the tokenizer of a family's checkpoint.
func familyTokenizer(t *testing.T, family string, forms []string) *Tokenizer {
	t.Helper()
	var sheet struct {
		Pre string `json:"pre"`
	}
	readJSON(t, testdata.Path("families", family, "fixture.json"), &sheet)
	configs, _ := filepath.Glob(testdata.Path("families", family, "*", "config.json"))
	if len(configs) != 1 {
		t.Fatalf("%s: %d checkpoints", family, len(configs))
	}
	var config struct {
		VocabSize int `json:"vocab_size"`
	}
	readJSON(t, configs[0], &config)
	return newTokenizer(t, metadata(t, nil, filepath.Dir(configs[0]), vocab.Options{Prefer: []string{sheet.Pre}, Forms: forms, VocabSize: config.VocabSize}))
}

// Hunyuan's ids are those of HF tokenizers but where its stand-in is not cut as the model is; there they are llama.cpp's.
func TestHunyuan(t *testing.T) {
	if !testdata.Full() {
		return // the fixture is not at hand; the forms of package vocab are tested there
	}
	var g tokensGolden
	readJSON(t, testdata.Path("families", "hunyuan-moe", "golden", "tokens.json"), &g)
	tok := familyTokenizer(t, "hunyuan-moe", familyForms["hunyuan-moe"])
	for i, s := range strings70(t) {
		want := g.IDs["tokenizers"].Plain[i]
		if slices.Contains(standIn, i) {
			want = g.IDs["llama.cpp"].Plain[i]
		}
		if got := idsOf(t, tok, s, Options{ParseSpecial: true}); !slices.Equal(got, want) {
			t.Errorf("string %d %q: %v, want %v", i, s, got, want)
		}
	}
}

// Tekken's ids are mistral-common's, which never parses special tokens.
func TestTekken(t *testing.T) {
	if !testdata.Full() {
		return // the vocabulary is not at hand
	}
	var g tokensGolden
	readJSON(t, testdata.Path("tokenizers", "tekken_240911", "golden.json"), &g)
	tok := tekken(t)
	ref := g.IDs["mistral_common"]
	text := strings70(t)
	for i, s := range text {
		if got := idsOf(t, tok, s, Options{AddSpecial: true}); !slices.Equal(got, ref.WithSpecial[i]) {
			t.Errorf("with special: string %d %q: %v, want %v", i, s, got, ref.WithSpecial[i])
		}
		if got := idsOf(t, tok, s, Options{}); ref.Plain != nil && !slices.Equal(got, ref.Plain[i]) {
			t.Errorf("plain: string %d %q: %v, want %v", i, s, got, ref.Plain[i])
		}
	}
	roundTrip(t, tok, text)
}

func tekken(t testing.TB) *Tokenizer {
	t.Helper()
	data := gunzip(t, testdata.Path("tokenizers", "tekken_240911", "tekken.json.gz"))
	return newTokenizer(t, metadata(t, fstest.MapFS{"tekken.json": {Data: data}}, "", vocab.Options{Forms: []string{"tekken"}}))
}
