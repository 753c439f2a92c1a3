package token

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/testdata"
)

// trained is one of the small models that testdata/gen/spm_ids.py trains.
func trained(t testing.TB, name, form string) *Tokenizer {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".model")
	if err != nil {
		t.Fatal(err)
	}
	return newTokenizer(t, metadata(t, fstest.MapFS{"tokenizer.model": {Data: data}}, "", vocab.Options{Forms: []string{form}}))
}

// The ids of the SentencePiece library and of HF tokenizers on 2300 texts (testdata/gen/spm_ids.py).
func TestRandomSentencePiece(t *testing.T) {
	var random, g struct {
		Texts []string
		CRC   map[string][]uint32
	}
	readJSON(t, "testdata/random.json", &random)
	readJSON(t, "testdata/spm.json", &g)
	texts := append(random.Texts, g.Texts...)
	mixtral := newTokenizer(t, metadata(t, nil, testdata.Path("families", "mixtral-8", "Mixtral-8x7B-Instruct-v0.1"), vocab.Options{Forms: []string{"llama"}}))
	for _, c := range []struct {
		name   string
		tok    *Tokenizer
		parsed bool
	}{
		{"mistral_v1 plain", newTokenizer(t, fullModel(t, "mistral_v1")), false},
		{"mixtral-8 plain", mixtral, false},
		{"mixtral-8 parsed", mixtral, true},
		{"gemma4 parsed", newTokenizer(t, metadata(t, nil, testdata.Path("families", "mixtral-8", "Mixtral-8x7B-Instruct-v0.1"), vocab.Options{Forms: []string{"gemma4"}})), true},
		{"unigram plain", trained(t, "unigram", "unigram"), false},
		{"unused plain", trained(t, "unused", "sentencepiece"), false},
		{"bpe plain", trained(t, "bpe", "sentencepiece"), false},
	} {
		want := g.CRC[c.name]
		if len(texts) < 2000 || len(want) != len(texts) {
			t.Fatalf("%s: %d texts, %d goldens", c.name, len(texts), len(want))
		}
		for i, text := range texts {
			if testing.Short() && i%10 != 0 {
				continue
			}
			ids, err := c.tok.Encode(text, Options{ParseSpecial: c.parsed})
			if err != nil {
				t.Fatal(err)
			}
			raw := make([]byte, 0, 4*len(ids))
			for _, id := range ids {
				raw = binary.LittleEndian.AppendUint32(raw, uint32(id))
			}
			if crc32.ChecksumIEEE(raw) != want[i] {
				t.Errorf("%s: text %d %q: ids %v are not the library's", c.name, i, text, ids)
			}
		}
	}
}
