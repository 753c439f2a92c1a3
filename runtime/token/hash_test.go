package token

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// The converter's check of real vocabularies: a hash of the ids of a text, which tells the pre-tokenizer by a
// table. Structure alone gives the same name.
func TestCheckHashes(t *testing.T) {
	if !testdata.Full() {
		return // the table is not at hand
	}
	var g struct {
		Text       string `json:"chktxt"`
		Tokenizers map[string]map[string]struct {
			SHA string `json:"sha256"`
			Pre string `json:"pre"`
		} `json:"tokenizers"`
	}
	readJSON(t, testdata.Path("tokenizers", "chkhsh.json"), &g)
	for name := range fullVocabularies() {
		md := full(t, name, "")
		ids, err := newTokenizer(t, md).Encode(g.Text, Options{ParseSpecial: true})
		if err != nil {
			t.Fatal(err)
		}
		list := strings.ReplaceAll(fmt.Sprint(ids), " ", ", ") // as Python writes it
		if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(list))); sum != g.Tokenizers[name]["plain"].SHA {
			t.Errorf("%s: hash %s, want %s", name, sum, g.Tokenizers[name]["plain"].SHA)
		}
		pre, err := gguf.Value[string](md, keyPre)
		if want := g.Tokenizers[name]; err != nil || pre != cmp.Or(want["with_bos"].Pre, want["plain"].Pre) {
			t.Errorf("%s: pre-tokenizer %s %v, want %+v", name, pre, err, want)
		}
	}
}
