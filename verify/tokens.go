package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/token"
)

// corpus is what both vocabularies cut into tokens: code, digits, scripts, emoji, white space, decomposed characters.
var corpus = []string{
	"The quick brown fox jumps over the lazy dog. Don't they'll we've I'M!",
	"func main() {\n\tfor i := 0; i < 10; i++ {\n\t\tfmt.Printf(\"%d\\n\", i)\n\t}\n}\n",
	"def f(x: int) -> str:\n    return f\"{x!r:>10}\"  # comment\n\n\nclass A(B):\n    pass\n",
	"1234567890 3.14159 1,000,000 0xDEADBEEF 2026-11-30T19:00:00Z +1-555-0100 ½ ²",
	"中文分词测试，今天天气很好。日本語のテキスト、カタカナとひらがな。한국어 문장입니다.",
	"Привет, мир! Ελληνικά עברית العربية हिन्दी ไทย",
	"😀👩‍👩‍👧‍👦🇩🇪👍🏽 ♥ → ∞ ∑ ✓",
	"  two   three    four\t\ttabs\r\nCRLF\n\n\nend   ",
	" ", "\n", "\t", "   ", "a", " a", "",
	"naïve café Ångström e\u0301 a\u030a straße Ĳ ﬁ",
	"https://example.com/a?b=c&d=%20#frag user@example.org C:\\Temp\\x.txt",
	"\\begin{equation} E = mc^2 \\end{equation} <div class=\"x\">&nbsp;</div> {\"a\": [1, null, true]}",
	"AAAAAAAAAAAAAAAAAAAAAAAA aaaaaaaaaaaaaaaaaaaaaaaa ========================",
	"\u00a0nbsp\u200bzero width\ufeffbom \u0000nul",
}

// checkTokenizer asks whether text survives the vocabulary, and whether the vocabulary is the source's: token by token,
// special tokens, and the ids of texts.
func checkTokenizer(_ context.Context, s *Subject) Result {
	tk, err := token.New(s.Source.Metadata())
	var trip Result
	if err != nil {
		trip = cannot(err)
	} else {
		trip = s.roundTrip(tk)
	}
	if s.Reference == nil {
		return trip
	}
	ref, errRef := token.New(s.Reference.Metadata())
	if errRef != nil { // another file of the model, without a vocabulary
		return trip
	}
	c := conformity{Subject: s, mine: s.Source.Metadata(), theirs: s.Reference.Metadata(), tk: tk, ref: ref, r: NewResult(Pass, "")}
	if p, ok := s.Reference.(interface{ Quirks() []convert.Quirk }); ok {
		c.quirks = p.Quirks()
	}
	c.r.Figure = trip.Figure
	c.tokens()
	c.specials()
	c.switches()
	if err != nil {
		c.find(false, "tokenizer", "%v", err)
		c.r.summarize("")
		return c.r
	}
	c.declared()
	n := c.texts()
	if trip.Status == Fail && s.roundTrip(ref).Status != Fail {
		c.find(false, "round-trip", "%s", trip.Detail)
	}
	c.r.summarize(fmt.Sprintf("%s; %d tokens and the ids of %d texts are the source's", trip.Detail, tk.Size(), n))
	for _, note := range c.notes {
		c.r.Detail += "; " + note
	}
	return c.r
}

// conformity holds a file's vocabulary against the source's.
type conformity struct {
	*Subject
	mine, theirs *gguf.Metadata
	tk, ref      *token.Tokenizer
	quirks       []convert.Quirk
	notes        []string // what is worth knowing and no fault of the file
	r            Result
}

func (c *conformity) find(warn bool, damage, format string, args ...any) {
	c.r.Find(Problem{Expert: -1, warn: warn, Damage: damage, Message: fmt.Sprintf(format, args...)})
}

// list is an array of the vocabulary on both sides; ok is false where the source has none.
func list[T any](c *conformity, key string) (mine, theirs []T, ok bool) {
	theirs, err := gguf.Value[[]T](c.theirs, vocabPrefix+key)
	if err != nil {
		return nil, nil, false
	}
	mine, err = gguf.Value[[]T](c.mine, vocabPrefix+key)
	if err != nil {
		c.find(false, key, "%v; the source's tokenizer has it", err)
		return nil, nil, false
	}
	return mine, theirs, true
}

// tokens compares the tables.
func (c *conformity) tokens() {
	for _, key := range []string{"model", "pre"} {
		mine, _ := gguf.Value[string](c.mine, vocabPrefix+key)
		if theirs, err := gguf.Value[string](c.theirs, vocabPrefix+key); err == nil && mine != theirs {
			c.find(key == "pre", key, "%s%s is %q, the source's is %q", vocabPrefix, key, mine, theirs)
		}
	}
	if mine, theirs, ok := list[string](c, "tokens"); ok {
		c.compareTokens(mine, theirs)
	}
	if mine, theirs, ok := list[string](c, "merges"); ok {
		if at, n := differ(mine, theirs); n > 0 {
			c.find(false, "merges", "%d of %d merges are not the source's, the first is %d: %.40q", n, len(theirs), at, element(mine, at))
		}
	}
	if mine, theirs, ok := list[float32](c, "scores"); ok {
		if at, n := differ(mine, theirs); n > 0 {
			c.find(false, "scores", "%d of %d scores are not the source's, the first is token %d's: %v for %v", n, len(theirs), at, element(mine, at), element(theirs, at))
		}
	}
	if mine, theirs, ok := list[int32](c, "token_type"); ok {
		if at, n := differ(mine, theirs); n > 0 {
			c.find(false, "token-types", "%d tokens have another type than in the source, the first is %d: %v for %v", n, at, element(mine, at), element(theirs, at))
		}
	}
}

// element is the element of a list that may be too short.
func element[T any](list []T, i int) T {
	var zero T
	if i < len(list) {
		return list[i]
	}
	return zero
}

// differ is the first place where two lists differ, and how many there are.
func differ[T comparable](a, b []T) (first, n int) {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	return first, n
}

// compareTokens names tokens that are not the source's, and those that changed places.
func (c *conformity) compareTokens(mine, theirs []string) {
	if len(mine) != len(theirs) {
		c.find(false, "tokens", "the vocabulary has %d tokens, the source's %d", len(mine), len(theirs))
	}
	var wrong []int
	for i := range min(len(mine), len(theirs)) {
		if mine[i] != theirs[i] {
			wrong = append(wrong, i)
		}
	}
	if len(wrong) == 0 {
		return
	}
	at := map[string]int{}
	for i, t := range theirs {
		at[t] = i
	}
	swapped, moved := 0, 0
	for _, i := range wrong {
		j, ok := at[mine[i]]
		if ok {
			moved++
		}
		if ok && j < len(mine) && i < j && mine[j] == theirs[i] {
			if swapped++; swapped <= 3 {
				c.find(false, "tokens-swapped", "tokens %d and %d are swapped: %d is %.40q, the source's is %.40q", i, j, i, mine[i], theirs[i])
			}
		}
	}
	switch {
	case 2*swapped == len(wrong) && swapped <= 3:
	case moved == len(wrong):
		c.find(false, "tokens-swapped", "%d tokens have changed places, the first is %d: %.40q, the source's is %.40q", len(wrong), wrong[0], mine[wrong[0]], theirs[wrong[0]])
	default:
		c.find(false, "tokens", "%d tokens are not the source's, the first is %d: %.40q, the source's is %.40q", len(wrong), wrong[0], mine[wrong[0]], theirs[wrong[0]])
	}
}

// texts compares the ids of the corpus, of the subject's text and of the special tokens, parsed and as text.
func (c *conformity) texts() int {
	ref := c.ref
	texts := slices.Clone(corpus)
	if c.Text != "" {
		texts = append(texts, strings.ToValidUTF8(c.Text[:min(len(c.Text), 64<<10)], ""))
	}
	texts = append(texts, specialText(ref))
	bad := 0
	for _, text := range texts {
		for _, o := range []token.Options{{}, {ParseSpecial: true}} {
			want, err := ref.Encode(text, o)
			got, err2 := c.tk.Encode(text, o)
			if err != nil || slices.Equal(got, want) && err2 == nil {
				continue // a byte that the source's own vocabulary lacks
			}
			if bad++; bad == 1 {
				at := 0
				for at < len(got) && at < len(want) && got[at] == want[at] {
					at++
				}
				c.find(false, "ids", "%.60q becomes other ids than in the source: they part at token %d, %d %.30q for %d %.30q", text, at,
					element(got, at), c.tk.TokenText(element(got, at)), element(want, at), ref.TokenText(element(want, at)))
			}
		}
	}
	return len(texts)
}

// specialText is a text with all kinds of special tokens written out.
func specialText(tk *token.Tokenizer) string {
	var b strings.Builder
	n := 0
	for id := range int32(tk.Size()) {
		if tk.IsControl(id) && n < 64 {
			n++
			fmt.Fprintf(&b, "text %s", tk.TokenText(id))
		}
	}
	return b.String() + " end"
}
