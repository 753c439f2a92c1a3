package token

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// randomText is valid UTF-8 of every length of character.
func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(40) {
		for {
			c := []rune{r.Int32N(0x80), r.Int32N(0x800), r.Int32N(0x10000), r.Int32N(0x110000), ' ', 'a'}[r.IntN(6)]
			if utf8.ValidRune(c) {
				b.WriteRune(c)
				break
			}
		}
	}
	return b.String()
}

func randomBytes(r *rand.Rand) string {
	b := make([]byte, r.IntN(40))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// Any text comes back from its ids; with a token for every byte, any bytes do.
func TestRandomRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	n := 3000
	if testing.Short() {
		n = 300
	}
	tok := tiny(t)
	var text []string
	for range n {
		text = append(text, randomText(r))
	}
	roundTrip(t, tok, text)
	for range n {
		s := randomBytes(r)
		ids, err := tok.Encode(s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Decode(ids, Options{}); got != s {
			t.Fatalf("decode(encode(%q)) = %q", s, got)
		}
	}
}

// Bytes without a token (deepseek's vocabulary has none for those that UTF-8 never uses) become U+FFFD.
func TestInvalidBytes(t *testing.T) {
	tok := newTokenizer(t, metadata(t, nil, testdata.Path("families", "deepseek-moe", "deepseek-moe-16b-chat"), vocab.Options{}))
	for in, want := range map[string]string{"a\xffb": "a\ufffdb", "\xc0\xc1": "\ufffd\ufffd", "a\x80\xe2\x82": "a\x80\xe2\x82", "ÿ\xff": "ÿ\ufffd"} {
		ids, err := tok.Encode(in, Options{})
		if err != nil || tok.Decode(ids, Options{}) != want {
			t.Errorf("%q: %v %v decodes to %q, want %q", in, ids, err, tok.Decode(ids, Options{}), want)
		}
	}
	md := small()
	tokens, _ := gguf.Value[[]string](md, keyTokens)
	tokens = slices.Clone(tokens)
	tokens[0xef], tokens[0xfe], tokens['q'] = "not a byte", "neither", "nor this"
	md.Set(keyTokens, tokens)
	tok = newTokenizer(t, md)
	for _, in := range []string{"q", "\xfe", "\uf8ff"} {
		if ids, err := tok.Encode(in, Options{}); err == nil || !strings.Contains(err.Error(), "no token for byte 0x") {
			t.Errorf("%q: %v %v, want an error", in, ids, err)
		}
	}
}

// The heap and the search over all pairs agree, and long words take no quadratic time.
func TestMergeLong(t *testing.T) {
	tok := tiny(t)
	e := newEncoder(tok)
	r := rand.New(rand.NewPCG(7, 8))
	rounds, long := 2000, 1<<15
	if testing.Short() {
		rounds, long = 200, 1<<12
	}
	for range rounds {
		ids := make([]int32, 1+r.IntN(smallWord))
		for i := range ids {
			ids[i] = tok.bytes["etaoinsr(fc.u"[r.IntN(13)]]
		}
		want := e.mergeWord(slices.Clone(ids))
		if got := e.mergeLong(slices.Clone(ids)); !slices.Equal(got, want) {
			t.Fatalf("%v: %v by heap, %v by search", ids, got, want)
		}
	}
	word := strings.Repeat("return", long)
	start := time.Now()
	ids, err := tok.Encode(word, Options{})
	if err != nil || tok.Decode(ids, Options{}) != word {
		t.Error(err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%d bytes in %v", len(word), d)
	}
}

func TestDecoder(t *testing.T) {
	tok := newTokenizer(t, small("<s>", control, "日", userDefined))
	push := func(d *Decoder, text string) []string {
		var out []string
		for i := range len(text) {
			out = append(out, d.Push(tok.bytes[text[i]]))
		}
		return append(out, d.Flush())
	}
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"aé", []string{"a", "", "é", ""}},
		{"🚀x", []string{"", "", "", "🚀", "x", ""}},
		{"\xf0\x9f", []string{"", "", "\ufffd"}},
		{"\xf0\x9fa", []string{"", "", "\ufffda", ""}},
		{"\x80a", []string{"\ufffd", "a", ""}},
		{"\xffé", []string{"\ufffd", "", "é", ""}},
		{"\xe2\x82\xe2\x82\xac", []string{"", "", "\ufffd", "", "€", ""}},
		{"\xed\xa0\x80", []string{"", "\ufffd", "\ufffd", ""}},
	} {
		if got := push(tok.NewDecoder(), c.in); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	d := tok.NewDecoder()
	if got := d.Push(261) + d.Push(-1) + d.Push(262); got != "日" {
		t.Errorf("%q", got)
	}
	d.Special = true
	if got := d.Push(261); got != "<s>" {
		t.Errorf("%q", got)
	}
}

// A tokenizer may be used by many at once.
func TestConcurrent(t *testing.T) {
	tok := tiny(t)
	text := testdata.ValidText()[:2000]
	want, err := tok.Encode(text, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if got, err := tok.Encode(text, Options{}); err != nil || !slices.Equal(got, want) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
}

// A vocabulary of 100015 tokens loads within a second.
func TestLoadTime(t *testing.T) {
	md := full(t, "deepseek_llm", "deepseek-llm")
	start := time.Now()
	tok := newTokenizer(t, md)
	if d := time.Since(start); d > 5*time.Second { // a loaded machine takes longer than the second aimed at
		t.Errorf("%v", d)
	}
	if tok.Size() != 100015 {
		t.Errorf("%d tokens", tok.Size())
	}
}

func FuzzEncodeDecode(f *testing.F) {
	tok := tiny(f)
	for _, s := range strings70(f) {
		f.Add(s)
	}
	f.Add("\xff\xfe\xf0\x9f")
	f.Fuzz(func(t *testing.T, text string) {
		for _, opts := range []Options{{}, {AddSpecial: true}, {ParseSpecial: true}} {
			ids, err := tok.Encode(text, opts)
			if err != nil {
				t.Fatal(err)
			}
			if opts.AddSpecial {
				ids = ids[1:]
			}
			if got := tok.Decode(ids, Options{ParseSpecial: true}); got != text {
				t.Errorf("%+v: decode(encode(%q)) = %q", opts, text, got)
			}
			d := tok.NewDecoder()
			d.Special = true
			var b strings.Builder
			for _, id := range ids {
				b.WriteString(d.Push(id))
			}
			b.WriteString(d.Flush())
			if !utf8.ValidString(b.String()) || utf8.ValidString(text) && b.String() != text {
				t.Errorf("%q id by id: %q", text, b.String())
			}
		}
	})
}
