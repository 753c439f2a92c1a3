package token

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
	"golang.org/x/text/unicode/norm"
)

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// metadata is the vocabulary of a checkpoint's tokenizer files.
func metadata(t testing.TB, fsys fstest.MapFS, dir string, opts vocab.Options) *gguf.Metadata {
	t.Helper()
	var v *vocab.Vocab
	var err error
	if fsys != nil {
		v, err = vocab.Load(fsys, opts)
	} else {
		v, err = vocab.Load(os.DirFS(dir), opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	md := &gguf.Metadata{}
	v.AddTo(md)
	return md
}

func newTokenizer(t testing.TB, md *gguf.Metadata) *Tokenizer {
	t.Helper()
	tok, err := New(md)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// loaded keeps the real vocabularies, which take a while to read.
var loaded sync.Map

// full is one of the real vocabularies below tokenizers/.
func full(t testing.TB, name, pre string) *gguf.Metadata {
	t.Helper()
	if md, ok := loaded.Load(name + " " + pre); ok {
		return md.(*gguf.Metadata)
	}
	data := gunzip(t, testdata.Path("tokenizers", name, "tokenizer.json.gz"))
	md := metadata(t, fstest.MapFS{"tokenizer.json": {Data: data}}, "", fullOptions(name, pre))
	loaded.Store(name+" "+pre, md)
	return md
}

func fullOptions(name, pre string) vocab.Options {
	opts := vocab.Options{Prefer: []string{pre}}
	if name == "gpt4o" {
		opts.VocabSize = 200019 // its ids have holes
	}
	return opts
}

func strings70(t testing.TB) []string {
	t.Helper()
	var out []string
	readJSON(t, testdata.Path("families", "strings.json"), &out)
	return out
}

// tokensGolden is golden/tokens.json of a family or golden.json of a real tokenizer: ids by
// HF tokenizers and by llama.cpp for the strings of families/strings.json.
type tokensGolden struct {
	Pre string `json:"pre"`
	IDs map[string]struct {
		WithSpecial [][]int32 `json:"with_special"`
		Plain       [][]int32 `json:"plain"`
	} `json:"ids"`
	Reference string `json:"reference"`
	// LlamaDiffers are strings where llama.cpp's plain ids are not the model's.
	LlamaDiffers []int `json:"llama_cpp_differs_at"`
}

// compareIDs wants the reference's ids.
func (g *tokensGolden) compareIDs(t *testing.T, tok *Tokenizer, text []string) {
	t.Helper()
	ref, llama := g.IDs[cmp.Or(g.Reference, "tokenizers")], g.IDs["llama.cpp"]
	check := func(what string, i int, opts Options, want []int32) {
		t.Helper()
		got, err := tok.Encode(text[i], opts)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: string %d %q: %v\n got %v\nwant %v", what, i, text[i], err, got, want)
		}
	}
	for i := range text {
		check("with special", i, Options{AddSpecial: true, ParseSpecial: true}, ref.WithSpecial[i])
		check("parsed", i, Options{ParseSpecial: true}, ref.Plain[i])
		if composed := tok.composes() && !norm.NFC.IsNormalString(text[i]); llama.Plain != nil && !slices.Contains(g.LlamaDiffers, i) && !composed {
			check("plain", i, Options{}, llama.Plain[i])
		}
	}
}

// familyForms lists the families with a byte-level tokenizer and the forms of their files.
var familyForms = map[string][]string{
	"bailing-moe": nil, "deepseek-moe": nil, "deepseek-v2-lite": nil, "deepseek-v3": nil, "deepseek-v3-fp8": nil, "dots1": nil, "glm4-moe": {"glm"}, "gpt-oss": nil,
	"gpt-oss-bf16": nil, "granite-moe": {"llama"}, "hunyuan-moe": {"hunyuan"}, "lfm2-moe": nil, "llama4": nil, "minimax-m2": nil, "olmoe": nil, "qwen2-moe": nil, "qwen3-moe": nil,
}

func TestFamilies(t *testing.T) {
	text := strings70(t)
	for family, forms := range familyForms {
		if family == "hunyuan-moe" || !testdata.Full() && family != "deepseek-moe" {
			continue
		}
		t.Run(family, func(t *testing.T) {
			var g tokensGolden
			readJSON(t, testdata.Path("families", family, "golden", "tokens.json"), &g)
			tok := familyTokenizer(t, family, forms)
			g.compareIDs(t, tok, text)
			roundTrip(t, tok, text)
		})
	}
}

// roundTrip wants the text again from its ids, whole and id by id, composed where the tokenizer does so.
func roundTrip(t *testing.T, tok *Tokenizer, text []string) {
	t.Helper()
	for _, opts := range []Options{{}, {ParseSpecial: true}} {
		for _, s := range text {
			ids, err := tok.Encode(s, opts)
			if err != nil {
				t.Errorf("%q: %v", s, err)
				continue
			}
			if tok.composes() {
				s = norm.NFC.String(s)
			}
			if got := tok.Decode(ids, Options{ParseSpecial: true}); got != s {
				t.Errorf("decode(encode(%q)) = %q", s, got)
			}
			d := tok.NewDecoder()
			d.Special = true
			var b strings.Builder
			for _, id := range ids {
				b.WriteString(d.Push(id))
			}
			b.WriteString(d.Flush())
			if b.String() != s {
				t.Errorf("decoding %q id by id gives %q", s, b.String())
			}
		}
	}
}

// The real vocabularies, where the file's own numbering stands.
func TestFullVocabularies(t *testing.T) {
	text := strings70(t)
	for name := range fullVocabularies() {
		t.Run(name, func(t *testing.T) {
			var g tokensGolden
			readJSON(t, testdata.Path("tokenizers", name, "golden.json"), &g)
			tok := newTokenizer(t, full(t, name, g.Pre))
			g.compareIDs(t, tok, text)
			roundTrip(t, tok, text)
			compareLlama(t, tok, name)
		})
	}
}

// compareLlama compares with llama.cpp's own test pairs, where the vocabulary has some.
func compareLlama(t *testing.T, tok *Tokenizer, name string) {
	t.Helper()
	inp, err := os.ReadFile(testdata.Path("tokenizers", name, "ggml-vocab.inp"))
	if os.IsNotExist(err) {
		return
	}
	out, err := os.ReadFile(testdata.Path("tokenizers", name, "ggml-vocab.out"))
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(string(inp), "\n__ggml_vocab_test__\n")
	lines := strings.Split(string(out), "\n")
	n := 0
	for i, s := range texts {
		if i >= len(lines) {
			break
		}
		want := []int32{}
		for _, f := range strings.Fields(lines[i]) {
			id, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, int32(id))
		}
		got, err := tok.Encode(s, Options{ParseSpecial: true})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("pair %d %q:\n got %v %v\nwant %v", i, s, got, err, want)
		}
		n++
	}
	if n < 40 {
		t.Errorf("%d pairs", n)
	}
}

// The trained tiny model's ids by HF tokenizers.
func TestTiny(t *testing.T) {
	tok := tiny(t)
	var g struct {
		Tokenize []struct {
			Text string
			IDs  []int32
		}
	}
	readJSON(t, testdata.Path("tiny", "golden", "torch.json"), &g)
	if len(g.Tokenize) == 0 {
		t.Fatal("no golden")
	}
	for _, c := range g.Tokenize {
		got, err := tok.Encode(c.Text, Options{})
		if err != nil || !slices.Equal(got, c.IDs) {
			t.Errorf("%q: %v %v, want %v", c.Text, got, err, c.IDs)
		}
	}
	roundTrip(t, tok, append(strings70(t), testdata.ValidText()))
	if bos, ok := tok.BOS(); !ok || !tok.AddBOS() {
		t.Errorf("BOS %d %t, add %t", bos, ok, tok.AddBOS())
	}
	eos, _ := tok.EOS()
	if !tok.IsEOG(eos) || tok.AddEOS() {
		t.Errorf("EOS %d: end of generation %t, added %t", eos, tok.IsEOG(eos), tok.AddEOS())
	}
}

func tiny(t testing.TB) *Tokenizer {
	return newTokenizer(t, metadata(t, nil, testdata.Path("tiny", "tiny-moe-go"), vocab.Options{}))
}
