package token

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// benchTexts are code, sentences in many languages, and what random ids of the vocabulary decode to: words of
// all languages in no order, which the cache of words does not help with.
func benchTexts(b *testing.B, tok *Tokenizer) map[string]string {
	r := rand.New(rand.NewPCG(1, 1))
	var words strings.Builder
	for words.Len() < 1<<18 {
		id := r.Int32N(int32(tok.Size()))
		if piece := string(tok.Piece(id)); !tok.IsControl(id) && utf8.ValidString(piece) && len(piece) < 64 {
			words.WriteString(piece)
		}
	}
	return map[string]string{"code": testdata.ValidText(), "languages": strings.Repeat(strings.Join(strings70(b), "\n"), 20), "words": words.String()}
}

// BenchmarkEncode is the speed in bytes of text; cold is without any words remembered.
func BenchmarkEncode(b *testing.B) {
	toks := map[string]func() *Tokenizer{"tiny": func() *Tokenizer { return tiny(b) }}
	for name, pre := range fullVocabularies() {
		toks[name] = func() *Tokenizer { return newTokenizer(b, full(b, name, pre)) }
	}
	if testdata.Full() {
		toks["tekken_240911"] = func() *Tokenizer { return tekken(b) }
	}
	for _, name := range slices.Sorted(maps.Keys(toks)) {
		tok := toks[name]()
		for what, text := range benchTexts(b, tok) {
			b.Run("vocab="+name+"/text="+what, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tok.Encode(text, Options{}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("vocab="+name+"/text="+what+"/cold", func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					e := newEncoder(tok)
					if _, err := e.words(text, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// fullVocabularies are the real byte-level tokenizer.json files at hand, with their pre-tokenizers.
func fullVocabularies() map[string]string {
	if !testdata.Full() {
		return map[string]string{"deepseek_llm": "deepseek-llm"}
	}
	return map[string]string{"deepseek_llm": "deepseek-llm", "deepseek_v3": "deepseek-v3", "deepseek_pypi": "deepseek-v3", "llama3": "llama-bpe", "qwen2_5": "qwen2",
		"qwen3": "qwen2", "gpt_neox": "olmo", "starcoder": "starcoder", "gpt4o": "gpt-4o"}
}

// BenchmarkLongWord is a word that no pre-tokenizer cuts.
func BenchmarkLongWord(b *testing.B) {
	tok := tiny(b)
	word := make([]byte, 1<<16)
	for i := range word {
		word[i] = "abcdefghij"[i*i%97%10]
	}
	b.SetBytes(int64(len(word)))
	for b.Loop() {
		if _, err := tok.Encode(string(word), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad reads the real tokenizer files, and builds the tokenizers from their metadata.
func BenchmarkLoad(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(fullVocabularies())) {
		pre := fullVocabularies()[name]
		file := fstest.MapFS{"tokenizer.json": {Data: gunzip(b, testdata.Path("tokenizers", name, "tokenizer.json.gz"))}}
		benchLoad(b, name, file, fullOptions(name, pre))
	}
	if testdata.Full() {
		file := fstest.MapFS{"tekken.json": {Data: gunzip(b, testdata.Path("tokenizers", "tekken_240911", "tekken.json.gz"))}}
		benchLoad(b, "tekken_240911", file, vocab.Options{Forms: []string{"tekken"}})
	}
}

func benchLoad(b *testing.B, name string, file fstest.MapFS, opts vocab.Options) {
	var md gguf.Metadata
	b.Run("vocab="+name+"/files", func(b *testing.B) {
		for b.Loop() {
			v, err := vocab.Load(file, opts)
			if err != nil {
				b.Fatal(err)
			}
			v.AddTo(&md)
		}
	})
	b.Run("vocab="+name+"/metadata", func(b *testing.B) {
		for b.Loop() {
			if _, err := New(&md); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	tok := tiny(b)
	ids, err := tok.Encode(testdata.ValidText(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(testdata.ValidText())))
	for b.Loop() {
		tok.Decode(ids, Options{})
	}
}

// BenchmarkSentencePiece encodes ordinary text with real SentencePiece vocabularies.
func BenchmarkSentencePiece(b *testing.B) {
	text := testdata.ValidText()
	names := spModels
	if !testdata.Full() {
		names = names[:1]
	}
	for _, name := range names {
		md := fullModel(b, name)
		tok := newTokenizer(b, md)
		b.Run("vocab="+name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tok.Encode(text, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("vocab="+name+"/cold", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				e := &spmEncoder{c: tok.coder.(*spm), cache: map[string][]int32{}}
				if _, err := e.text(" "+text, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("vocab="+name+"/new", func(b *testing.B) {
			for b.Loop() {
				if _, err := New(md); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
