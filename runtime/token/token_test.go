package token

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/pretoken"
)

// small is a vocabulary of the byte alphabet, a few merges and then extra tokens of given types.
func small(extra ...any) *gguf.Metadata {
	var tokens []string
	var types []int32
	for b := range 256 {
		tokens = append(tokens, pretoken.Letter(byte(b)))
		types = append(types, int32(normal))
	}
	merges := []string{"h e", "l l", "he ll", "hell o", "Ġ hello"}
	for _, m := range merges {
		tokens = append(tokens, strings.ReplaceAll(m, " ", ""))
		types = append(types, int32(normal))
	}
	for i := 0; i < len(extra); i += 2 {
		tokens = append(tokens, extra[i].(string))
		types = append(types, int32(extra[i+1].(kind)))
	}
	md := &gguf.Metadata{}
	md.Set(keyModel, "gpt2")
	md.Set(keyPre, "gpt-2")
	md.Set(keyTokens, tokens)
	md.Set(keyTypes, types)
	md.Set(keyMerges, merges)
	return md
}

func encode(t testing.TB, tok *Tokenizer, text string, opts Options) []string {
	t.Helper()
	ids, err := tok.Encode(text, opts)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, id := range ids {
		out = append(out, tok.TokenText(id))
	}
	return out
}

func TestSpecialTokens(t *testing.T) {
	md := small("<s>", control, "</s>", control, "<x>", userDefined, "<xy>", userDefined, "<unk>", unknown, "[PAD266]", unused, "<0x41>", byteToken)
	md.Set("tokenizer.ggml.bos_token_id", uint32(261))
	md.Set("tokenizer.ggml.eos_token_id", uint32(262))
	md.Set(keyAddBOS, true)
	md.Set(keyAddEOS, true)
	tok := newTokenizer(t, md)
	for _, c := range []struct {
		text string
		opts Options
		want []string
	}{
		{"", Options{}, []string{}},
		{"", Options{AddSpecial: true, ParseSpecial: true}, []string{"<s>", "</s>"}},
		{"hello hello", Options{}, []string{"hello", "Ġhello"}},
		{"<s>hello", Options{}, []string{"<", "s", ">", "hello"}},
		{"<s>hello</s>", Options{ParseSpecial: true}, []string{"<s>", "hello", "</s>"}},
		{"<s>", Options{AddSpecial: true, ParseSpecial: true}, []string{"<s>", "<s>", "</s>"}},
		{"<x><xy><xyz>", Options{}, []string{"<x>", "<xy>", "<", "x", "y", "z", ">"}},
		{"<unk>", Options{}, []string{"<", "u", "n", "k", ">"}},
		{"<unk>", Options{ParseSpecial: true}, []string{"<unk>"}},
		{"[PAD266]<0x41>", Options{ParseSpecial: true}, []string{"[", "P", "A", "D", "2", "6", "6", "]", "<", "0", "x", "4", "1", ">"}},
	} {
		if got := encode(t, tok, c.text, c.opts); !slices.Equal(got, c.want) {
			t.Errorf("%q %+v: %q, want %q", c.text, c.opts, got, c.want)
		}
	}
	ids := []int32{261, 256, 263, 265, 266, 267, -1, 9999, 262}
	if got, want := tok.Decode(ids, Options{}), "he<x>A"; got != want {
		t.Errorf("decoded without special tokens: %q, want %q", got, want)
	}
	if got, want := tok.Decode(ids, Options{ParseSpecial: true}), "<s>he<x><unk>A</s>"; got != want {
		t.Errorf("decoded with special tokens: %q, want %q", got, want)
	}
	if tok.Piece(-1) != nil || tok.Piece(9999) != nil || tok.TokenText(-1) != "" || tok.TokenText(9999) != "" {
		t.Error("ids outside of the vocabulary have a text")
	}
	if !tok.IsControl(261) || tok.IsControl(263) || tok.IsControl(-1) {
		t.Error("control tokens")
	}
}

func TestEndOfGeneration(t *testing.T) {
	for _, c := range []struct {
		what  string
		extra []any
		keys  map[string]uint32
		want  []string
		eot   string
	}{
		{"none", nil, nil, nil, ""},
		{"eos by id", []any{"<e>", control}, map[string]uint32{"eos": 261}, []string{"<e>"}, ""},
		{"eot and eom by id", []any{"<t>", control, "<m>", control}, map[string]uint32{"eot": 261, "eom": 262}, []string{"<t>", "<m>"}, "<t>"},
		{"by text", []any{"<|im_end|>", control, "<|endoftext|>", control, "<|im_start|>", control}, nil, []string{"<|im_end|>", "<|endoftext|>"}, "<|im_end|>"},
		{"a user-defined one", []any{"<|eot_id|>", userDefined}, nil, []string{"<|eot_id|>"}, "<|eot_id|>"},
		{"deepseek", []any{"<｜end▁of▁sentence｜>", control}, nil, []string{"<｜end▁of▁sentence｜>"}, "<｜end▁of▁sentence｜>"},
		{"fim", []any{"<|fim_pad|>", control, "<|repo_name|>", control, "<|file_sep|>", control, "<|fim_prefix|>", control}, nil,
			[]string{"<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}, ""},
		{"harmony", []any{"<|end|>", control, "<|return|>", control, "<|call|>", control}, nil, []string{"<|return|>", "<|call|>"}, "<|end|>"},
		{"solar", []any{"<|end|>", control, "<|flush|>", control, "<|calls|>", control}, nil, []string{"<|flush|>", "<|calls|>"}, "<|end|>"},
		{"phi", []any{"<|end|>", control}, nil, []string{"<|end|>"}, "<|end|>"},
		{"gemma", []any{"</s>", normal, "<|tool_response>", control}, nil, []string{"<|tool_response>"}, ""},
		{"id beyond", []any{"<e>", control}, map[string]uint32{"eos": 9999}, nil, ""},
	} {
		md := small(c.extra...)
		for k, id := range c.keys {
			md.Set("tokenizer.ggml."+k+"_token_id", id)
		}
		tok := newTokenizer(t, md)
		var got []string
		for id := range int32(tok.Size()) {
			if tok.IsEOG(id) {
				got = append(got, tok.TokenText(id))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q end a generation, want %q", c.what, got, c.want)
		}
		id, ok := tok.EOT()
		if ok != (c.eot != "") || ok && tok.TokenText(id) != c.eot {
			t.Errorf("%s: EOT %d %t, want %q", c.what, id, ok, c.eot)
		}
	}
}

// Harmony's channel tokens belong to the text: they are written out and found without being asked for.
func TestHarmonyTokensAreVisible(t *testing.T) {
	tok := newTokenizer(t, small("<|channel|>", control, "<|im_end|>", userDefined, "</s>", normal))
	if got := encode(t, tok, "<|channel|>", Options{}); !slices.Equal(got, []string{"<|channel|>"}) {
		t.Errorf("%q", got)
	}
	if got := encode(t, tok, "<|im_end|>", Options{}); len(got) < 5 {
		t.Errorf("an end of turn was found in plain text: %q", got)
	}
	if got := encode(t, tok, "</s>", Options{ParseSpecial: true}); !slices.Equal(got, []string{"<", "/", "s", ">"}) {
		t.Errorf("an ordinary word was taken for a special token: %q", got)
	}
}

func TestAddBOS(t *testing.T) {
	for _, c := range []struct {
		pre  string
		key  any
		id   bool
		want bool
	}{
		{"gpt-2", nil, true, false}, {"gpt-2", true, true, true}, {"llama-bpe", nil, true, true}, {"llama-bpe", false, true, false}, {"llama-bpe", nil, false, false},
	} {
		md := small("<s>", control)
		md.Set(keyPre, c.pre)
		if c.key != nil {
			md.Set(keyAddBOS, c.key)
		}
		if c.id {
			md.Set("tokenizer.ggml.bos_token_id", uint32(261))
		}
		if tok := newTokenizer(t, md); tok.AddBOS() != c.want {
			t.Errorf("%+v: add BOS is %t", c, tok.AddBOS())
		}
	}
}

// A word that is a token is not taken apart where the pre-tokenizer says so.
func TestIgnoreMerges(t *testing.T) {
	for pre, want := range map[string][]string{"gpt-2": {"o", "d", "d"}, "llama-bpe": {"odd"}} {
		md := small("odd", normal)
		md.Set(keyPre, pre)
		if got := encode(t, newTokenizer(t, md), "odd", Options{}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", pre, got, want)
		}
	}
}

func TestBadMetadata(t *testing.T) {
	set := func(k string, v any) func(*gguf.Metadata) { return func(md *gguf.Metadata) { md.Set(k, v) } }
	drop := func(k string) func(*gguf.Metadata) { return func(md *gguf.Metadata) { md.Delete(k) } }
	for _, c := range []struct {
		what        string
		do          func(*gguf.Metadata)
		want        string
		unsupported bool
	}{
		{"no model", drop(keyModel), "tokenizer.ggml.model is missing", false},
		{"WordPiece", set(keyModel, "bert"), `tokenizer model "bert" is not supported`, true},
		{"model a number", set(keyModel, uint32(1)), "tokenizer.ggml.model is uint32", false},
		{"unknown pre", set(keyPre, "qwen9"), `pre-tokenizer "qwen9" is not supported`, true},
		{"raw UTF-8", set(keyPre, "gemma4"), `pre-tokenizer "gemma4" is not supported`, true},
		{"no tokens", drop(keyTokens), "tokenizer.ggml.tokens is missing", false},
		{"empty tokens", set(keyTokens, []string{}), "tokenizer.ggml.tokens is empty", false},
		{"types too short", set(keyTypes, []int32{1}), "261 tokens but 1 in tokenizer.ggml.token_type", false},
		{"types of another kind", set(keyTypes, []string{"x"}), "tokenizer.ggml.token_type is []string", false},
		{"no merges", drop(keyMerges), "tokenizer.ggml.merges is missing", false},
		{"merge of unknown tokens", set(keyMerges, []string{"zz y"}), `merge 0 "zz y": "zz" is not a token`, false},
		{"merge without a result", set(keyMerges, []string{"z y"}), `"zy" is not a token`, false},
		{"merge of one", set(keyMerges, []string{"z"}), `merge 0 "z": no space`, false},
		{"empty merge", set(keyMerges, []string{""}), `merge 0 "": no space`, false},
		{"the same token twice", set(keyTokens, slices.Repeat([]string{"a"}, 261)), `tokens 0 and 1 are both "a"`, false},
		{"BOS a string", set("tokenizer.ggml.bos_token_id", "x"), "tokenizer.ggml.bos_token_id is string", false},
		{"add BOS without one", set(keyAddBOS, true), "add_bos_token is true but there is no tokenizer.ggml.bos_token_id", false},
		{"add EOS without one", set(keyAddEOS, true), "add_eos_token is true but there is no tokenizer.ggml.eos_token_id", false},
		{"add BOS a number", set(keyAddBOS, uint8(1)), "add_bos_token is uint8", false},
	} {
		md := small()
		c.do(md)
		_, err := New(md)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, new(*gguf.UnsupportedError)) != c.unsupported {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	md := small()
	md.Delete(keyPre)
	md.Delete(keyTypes)
	if _, err := New(md); err != nil {
		t.Errorf("without pre-tokenizer and types: %v", err)
	}
}
