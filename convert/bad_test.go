package convert

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// badMessages says what the message of each malformed checkpoint must name (bad/NOTES.md).
// Those that begin with safetensors or index are package safetensors' in detail.
var badMessages = map[string][]string{
	"safetensors-01-truncated-data":          {"model.safetensors", "data section"},
	"safetensors-02-header-longer-than-file": {"model.safetensors", "header length"},
	"safetensors-03-header-length-huge":      {"model.safetensors", "4611686018427387904"},
	"safetensors-04-overlapping-offsets":     {"model.norm.weight", "overlap"},
	"safetensors-05-unknown-dtype":           {"experts.0.w1.weight", "F12_WEIRD"},
	"safetensors-06-shape-size-mismatch":     {"experts.0.w1.weight", "2112", "2048"},
	"safetensors-07-header-not-json":         {"model.safetensors", "JSON"},
	"safetensors-08-empty-file":              {"model.safetensors", "too short"},
	"safetensors-09-negative-shape":          {"experts.0.w1.weight", "-32"},
	"safetensors-10-shape-overflow":          {"experts.0.w1.weight", "overflow"},
	"safetensors-11-offsets-reversed":        {"experts.0.w1.weight", "end before they begin"},
	"safetensors-12-git-lfs-pointer":         {"model.safetensors", "git-lfs"},
	"index-01-missing-shard":                 {"missing shard model-00002-of-00002.safetensors"},
	"index-02-names-missing-tensor":          {"model.layers.0.extra.weight", "in no shard"},
	"index-03-unlisted-tensor":               {"lm_head.weight", "not in"},
	"index-04-no-weight-map":                 {"no weight_map"},
	"index-05-path-traversal":                {"../_good/model.safetensors", "leaves the model directory"},
	"index-06-not-json":                      {"model.safetensors.index.json", "JSON"},
	"index-07-duplicate-tensor":              {"model.norm.weight", "in two shards"},
	"weights-01-nan":                         {"model.layers.0.block_sparse_moe.experts.0.w1.weight", "NaN"},
	"weights-02-inf":                         {"lm_head.weight", "Inf"},
	"weights-03-nan-norm":                    {"model.norm.weight", "NaN"},
	"weights-04-f16-overflow":                {"lm_head.weight", "3", "overflows F16"},
	"weights-05-missing-expert":              {"layer 0: expert 1 has no w2.weight (5 of 6 expert tensors)"},
	"weights-06-expert-shape":                {"layer 0", "experts.1.w1.weight", "[16 32]", "expected [32 32]"},
	"weights-07-unknown-tensor":              {"cannot map tensor", "model.layers.0.mystery.weight"},
	"weights-08-missing-embedding":           {"model.embed_tokens.weight", "missing"},
	"weights-09-extra-layer":                 {"model.layers.1.input_layernorm.weight", "layer 1 is beyond num_hidden_layers 1"},
	"config-01-not-json":                     {"config.json", "JSON"},
	"config-02-no-architectures":             {"config.json", "no architectures"},
	"config-03-unknown-architecture":         {"FooMoeForCausalLM", "not supported"},
	"config-04-missing-layers":               {"num_hidden_layers is missing"},
	"config-05-missing-experts":              {"num_local_experts is missing"},
	"config-06-absurd-hidden":                {"hidden_size 1099511627776"},
	"config-07-negative-heads":               {"num_attention_heads must be positive"},
	"config-08-heads-do-not-divide":          {"hidden_size 32 is not divisible by num_attention_heads 5"},
	"config-09-topk-above-experts":           {"num_experts_per_tok 9 exceeds the 2 experts"},
	"config-10-huge-layers":                  {"num_hidden_layers is 1000000000"},
	"config-11-wrong-types":                  {`config.json: hidden_size must be an integer, got "32"`},
	"config-12-vocab-too-small":              {"vocab_size 10", "model.embed_tokens.weight", "[300 32]"},
}

type badCase struct {
	Path string
	Kind string
}

func badCases(t *testing.T) []badCase {
	t.Helper()
	b, err := os.ReadFile(testdata.Path("bad", "MANIFEST.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []badCase
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestBadCheckpoints(t *testing.T) {
	seen := 0
	for _, c := range badCases(t) {
		switch c.Kind {
		case "safetensors", "index", "weights", "config":
		default:
			continue
		}
		seen++
		t.Run(c.Path, func(t *testing.T) {
			want := badMessages[c.Path]
			if want == nil {
				t.Fatal("no message is known for this case")
			}
			opts := Options{}
			if c.Path == "weights-04-f16-overflow" {
				opts.OutType = "f16"
			}
			err := convertAll(testdata.Path("bad", c.Path), opts)
			checkMessage(t, err, want)
			var unsupported *gguf.UnsupportedError
			if got, want := errors.As(err, &unsupported), c.Path == "config-03-unknown-architecture"; got != want {
				t.Errorf("is an UnsupportedError: %v, want %v: %v", got, want, err)
			}
		})
	}
	if seen != len(badMessages) {
		t.Errorf("%d cases, want %d", seen, len(badMessages))
	}
}

func checkMessage(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that names %q", want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the message does not name %q: %v", w, err)
		}
	}
}

// convertAll plans a checkpoint and reads all there is to write.
func convertAll(dir string, opts Options) error {
	p, err := OpenDir(dir, opts)
	if err != nil {
		return err
	}
	defer p.Close()
	return gguf.Write(context.Background(), io.Discard, p, gguf.WriteOptions{Workers: 1})
}

// The controls convert, whichever tokenizer files they have.
func TestGoodCheckpoints(t *testing.T) {
	for _, name := range []string{"_good", "valid-01-plain", "valid-02-tokenizer-json-only", "valid-03-tokenizer-model-only", "valid-04-padded-header", "valid-05-two-shards"} {
		if err := convertAll(testdata.Path("bad", name), Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOverflowIsOnlyF16 converts the same weights with the other types: the value fits them.
func TestOverflowIsOnlyF16(t *testing.T) {
	for _, ot := range []string{"bf16", "f32"} {
		if err := convertAll(testdata.Path("bad", "weights-04-f16-overflow"), Options{OutType: ot}); err != nil {
			t.Errorf("%s: %v", ot, err)
		}
	}
	err := convertAll(testdata.Path("bad", "weights-04-f16-overflow"), Options{OutType: "f16"})
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "--outtype bf16") {
		t.Errorf("no hint at bf16: %v", err)
	}
}
