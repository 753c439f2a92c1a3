package token

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// smallSPM is a vocabulary of a few words, and the 256 bytes from id 3 on.
func smallSPM(model string, words ...string) *gguf.Metadata {
	tokens := []string{"<unk>", "<s>", "</s>"}
	types := []int32{int32(unknown), int32(control), int32(control)}
	scores := []float32{0, 0, 0}
	const hex = "0123456789ABCDEF"
	for b := range 256 {
		tokens, types, scores = append(tokens, "<0x"+hex[b>>4:b>>4+1]+hex[b&15:b&15+1]+">"), append(types, int32(byteToken)), append(scores, 0)
	}
	for i, w := range words {
		tokens, types, scores = append(tokens, w), append(types, int32(normal)), append(scores, -float32(i))
	}
	md := &gguf.Metadata{}
	md.Set(keyModel, model)
	md.Set(keyTokens, tokens)
	md.Set(keyTypes, types)
	md.Set(keyScores, scores)
	md.Set("tokenizer.ggml.unknown_token_id", uint32(0))
	return md
}

var smallWords = []string{"▁", "a", "b", "ab", "▁a", "▁ab", "▁▁", "é"}

func TestSmallSPM(t *testing.T) {
	for _, c := range []struct {
		what, text string
		do         func(*gguf.Metadata)
		opts       Options
		want       []string
	}{
		{"plain", "ab a", nil, Options{}, []string{"▁ab", "▁a"}},
		{"no prefix", "ab a", func(md *gguf.Metadata) { md.Set(keySpacePrefix, false) }, Options{}, []string{"ab", "▁a"}},
		{"special by default", "b", nil, Options{AddSpecial: true}, []string{"<s>", "▁", "b"}},
		{"special as asked", "b", func(md *gguf.Metadata) { md.Set(keyAddBOS, false); md.Set(keyAddEOS, true) }, Options{AddSpecial: true}, []string{"▁", "b", "</s>"}},
		{"empty", "", nil, Options{AddSpecial: true}, []string{"<s>"}},
		{"parsed", "a</s>b", nil, Options{ParseSpecial: true}, []string{"▁a", "</s>", "▁", "b"}},
		{"not parsed", "</s>", nil, Options{}, []string{"▁", "<0x3C>", "<0x2F>", "<0x73>", "<0x3E>"}},
		{"spelled", "é日", nil, Options{}, []string{"▁", "é", "<0xE6>", "<0x97>", "<0xA5>"}},
		{"broken", "a\xff\xe6\x97", nil, Options{}, []string{"▁a", "<0xFF>", "<0xE6>", "<0x97>"}},
		{"spaces", "  ", nil, Options{}, []string{"▁▁", "▁"}},
		{"without scores", "ab", func(md *gguf.Metadata) { md.Delete(keyScores) }, Options{}, []string{"▁ab"}},
	} {
		md := smallSPM("llama", smallWords...)
		if c.do != nil {
			c.do(md)
		}
		tok := newTokenizer(t, md)
		if got := encode(t, tok, c.text, c.opts); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestSPMSpecial(t *testing.T) {
	tok := newTokenizer(t, smallSPM("llama", smallWords...))
	b, _ := tok.BOS()
	e, _ := tok.EOS()
	if b != 1 || e != 2 || !tok.AddBOS() || tok.AddEOS() || !tok.IsEOG(2) || tok.IsEOG(1) || !tok.IsControl(0) {
		t.Errorf("BOS %d, EOS %d, added %t %t", b, e, tok.AddBOS(), tok.AddEOS())
	}
}

// White space behind added tokens goes where the architecture is known for it.
func TestStripping(t *testing.T) {
	for arch, want := range map[string][]string{"phimoe": {"<|user|>", "▁a", "<s>", "▁", "▁a"}, "llama": {"<|user|>", "▁", "<0x0A>", "▁a", "<s>", "▁", "▁a"}} {
		md := smallSPM("llama", "▁", "a", "▁a", "<|user|>")
		types, _ := gguf.Value[[]int32](md, keyTypes)
		types = slices.Clone(types)
		types[len(types)-1] = int32(control)
		md.Set(keyTypes, types)
		md.Set("general.architecture", arch)
		if got := encode(t, newTokenizer(t, md), "<|user|>\n a<s> a", Options{ParseSpecial: true}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", arch, got, want)
		}
	}
}

// A decoder that goes on with a text keeps the space before the next word.
func TestDecoderAfter(t *testing.T) {
	tok := newTokenizer(t, smallSPM("llama", smallWords...))
	id := func(text string) int32 { return tok.ids[text] }
	for _, c := range []struct {
		after []int32
		want  string
	}{
		{nil, "ab a"}, {[]int32{1}, "ab a"}, {[]int32{id("a")}, " ab a"}, {[]int32{id("a"), 2}, "ab a"}, {[]int32{-1, 9999}, "ab a"},
	} {
		d := tok.DecoderAfter(c.after)
		if got := d.Push(id("▁ab")) + d.Push(id("▁a")) + d.Flush(); got != c.want {
			t.Errorf("after %v: %q, want %q", c.after, got, c.want)
		}
	}
	if got := tok.Decode([]int32{1, id("▁ab"), 2, id("▁a")}, Options{}); got != "ab a" {
		t.Errorf("without special tokens: %q", got)
	}
	if got := tok.Decode([]int32{1, id("▁ab"), 2, id("▁a")}, Options{ParseSpecial: true}); got != "<s>ab</s>a" {
		t.Errorf("with special tokens: %q", got)
	}
}

func TestBadSPM(t *testing.T) {
	set := func(k string, v any) func(*gguf.Metadata) { return func(md *gguf.Metadata) { md.Set(k, v) } }
	for _, c := range []struct {
		model, want string
		do          func(*gguf.Metadata)
	}{
		{"llama", "267 tokens but 1 in tokenizer.ggml.scores", set(keyScores, []float32{1})},
		{"llama", "tokenizer.ggml.scores is []string", set(keyScores, []string{"x"})},
		{"llama", "add_space_prefix is string", set(keySpacePrefix, "x")},
		{"llama", "tokenizer.ggml.tokens is missing", func(md *gguf.Metadata) { md.Delete(keyTokens) }},
		{"t5", "remove_extra_whitespaces is uint8", set("tokenizer.ggml.remove_extra_whitespaces", uint8(1))},
		{"t5", "precompiled_charsmap is damaged", set("tokenizer.ggml.precompiled_charsmap", []uint8{1, 2})},
		{"t5", "precompiled_charsmap is damaged", set("tokenizer.ggml.precompiled_charsmap", []uint8{4, 0, 0, 0, 0, 0, 0, 0})},
		{"t5", "precompiled_charsmap is []string", set("tokenizer.ggml.precompiled_charsmap", []string{})},
		{"gemma4", "tokenizer.ggml.merges is missing", set(keyScores, []float32(nil))},
		{"gemma4", `merge 0 "a": no space`, set(keyMerges, []string{"a"})},
		{"gemma4", `merge 0 "b a": "ba" is not a token`, set(keyMerges, []string{"b a"})},
	} {
		md := smallSPM(c.model, smallWords...)
		if c.model == "gemma4" {
			md.Delete(keyScores)
		}
		if c.do(md); c.want == "tokenizer.ggml.merges is missing" {
			md.Delete(keyScores)
		}
		if _, err := New(md); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.model, err, c.want)
		}
	}
	md := smallSPM("llama", smallWords...)
	types, _ := gguf.Value[[]int32](md, keyTypes)
	types = slices.Clone(types)
	types[3+'x'] = int32(unused)
	md.Set(keyTypes, types)
	if got := encode(t, newTokenizer(t, md), "xxa", Options{}); !slices.Equal(got, []string{"▁", "<unk>", "a"}) {
		t.Errorf("bytes without a token: %q", got)
	}
}

// FuzzScored wants no panic from any vocabulary with scores, and the text again where every byte has a token.
func FuzzScored(f *testing.F) {
	f.Add("▁ a b ab ▁a ▁ab", "ab  a\xff</s>é", []byte{1, 2, 3})
	f.Add("x xy xyx yx", "xyxyxxy", []byte{8, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 'x', 0})
	f.Fuzz(func(t *testing.T, words, text string, raw []byte) {
		list := strings.Fields(words)
		slices.Sort(list)
		md := smallSPM("llama", slices.Compact(list)...)
		types, _ := gguf.Value[[]int32](md, keyTypes)
		scores, _ := gguf.Value[[]float32](md, keyScores)
		for i, b := range raw {
			if at := 259 + i; at < len(types) {
				types[at], scores[at] = int32(b%7), float32(binary.LittleEndian.Uint16([]byte{b, b}))
			}
		}
		tok, err := New(md)
		if err != nil {
			return
		}
		ids, err := tok.Encode(text, Options{})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		spelled := tok.ids[string(space)] > 0 && !strings.Contains(text, string(space)) // else spaces come back as bytes
		if got := tok.Decode(ids, Options{ParseSpecial: true}); spelled && len(raw) == 0 && got != text {
			t.Errorf("decode(encode(%q)) = %q", text, got)
		}
		md.Set(keyModel, "t5")
		md.Set("tokenizer.ggml.precompiled_charsmap", raw)
		if tok, err = New(md); err == nil {
			tok.Encode(text, Options{}) // a damaged map shows only in the text that meets it
		}
	})
}
