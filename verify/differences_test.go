package verify

import (
	"context"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// The tokenizer check says where llama.cpp's ids are not the model's: for a vocabulary of Qwen's kind, that text is not normalised.
func TestTokenizerDifferences(t *testing.T) {
	p, err := convert.NewPlan(testdata.Tiny(), convert.Options{Name: testdata.TinyName})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for pre, nfc := range map[string]bool{"deepseek-llm": false, "qwen2": true} {
		md := p.Metadata().Clone()
		md.Set("tokenizer.ggml.pre", pre)
		r := checkTokenizer(context.Background(), &Subject{Source: gguf.WithMetadata(p, md)})
		if r.Status != Pass || strings.Contains(r.Detail, "NFC") != nfc || !strings.Contains(r.Detail, "special tokens") {
			t.Errorf("%s: %s: %s", pre, r.Status, r.Detail)
		}
	}
}
