package token

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/testdata"
)

// TestRandomGoldens compares with HF tokenizers on 1500 random texts (testdata/gen/random_ids.py).
func TestRandomGoldens(t *testing.T) {
	var g struct {
		Texts []string
		CRC   map[string][]uint32
	}
	readJSON(t, "testdata/random.json", &g)
	for name, tok := range map[string]*Tokenizer{
		"tiny":         tiny(t),
		"deepseek-moe": newTokenizer(t, metadata(t, nil, testdata.Path("families", "deepseek-moe", "deepseek-moe-16b-chat"), vocab.Options{})),
		"deepseek_llm": newTokenizer(t, full(t, "deepseek_llm", "deepseek-llm")),
	} {
		if len(g.Texts) < 1000 || len(g.CRC[name]) != len(g.Texts) {
			t.Fatalf("%s: %d texts, %d goldens", name, len(g.Texts), len(g.CRC[name]))
		}
		for i, text := range g.Texts {
			if testing.Short() && i%20 != 0 {
				continue
			}
			ids, err := tok.Encode(text, Options{ParseSpecial: true})
			if err != nil {
				t.Fatal(err)
			}
			raw := make([]byte, 0, 4*len(ids))
			for _, id := range ids {
				raw = binary.LittleEndian.AppendUint32(raw, uint32(id))
			}
			if crc32.ChecksumIEEE(raw) != g.CRC[name][i] {
				t.Errorf("%s: text %d %q: ids %v are not HF's", name, i, text, ids)
			}
			if got := tok.Decode(ids, Options{ParseSpecial: true}); got != text {
				t.Errorf("%s: decode(encode(%q)) = %q", name, text, got)
			}
		}
	}
}
