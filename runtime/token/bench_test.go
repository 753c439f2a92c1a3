package token

import (
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// BenchmarkEncode is the speed on ordinary text (Go sources), in bytes.
func BenchmarkEncode(b *testing.B) {
	text := testdata.ValidText()
	for _, c := range []struct {
		name string
		tok  func() *Tokenizer
	}{
		{"vocab=tiny", func() *Tokenizer { return tiny(b) }},
		{"vocab=deepseek-llm", func() *Tokenizer { return newTokenizer(b, full(b, "deepseek_llm", "deepseek-llm")) }},
	} {
		tok := c.tok()
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tok.Encode(text, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/cold", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				e := &encoder{t: tok, cache: map[string][]int32{}}
				if _, err := e.words(text, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
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

// BenchmarkNew loads a vocabulary of 100015 tokens.
func BenchmarkNew(b *testing.B) {
	md := full(b, "deepseek_llm", "deepseek-llm")
	for b.Loop() {
		if _, err := New(md); err != nil {
			b.Fatal(err)
		}
	}
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
