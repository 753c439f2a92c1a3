package pretoken

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var dump = flag.String("dump", "", "write the regexes that testdata/gen/splits.py wants to this file, - for stdout")

// splitGolden is testdata/splits.json, cut by HF tokenizers.
type splitGolden struct {
	Texts  []string
	Splits map[string]struct {
		Regexes []string
		Lengths [][]int // per text: characters of each piece
	}
}

func readGolden(t testing.TB) splitGolden {
	t.Helper()
	data, err := os.ReadFile("testdata/splits.json")
	if err != nil {
		t.Fatal(err)
	}
	var g splitGolden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// wanted is the first name of every scheme whose regexes are regexes.
func wanted() map[string][]string {
	out := map[string][]string{}
	for _, s := range schemes {
		if s.loader[0] != rightGroups {
			out[s.names[0]] = s.steps()
		}
	}
	return out
}

func TestSplitGoldens(t *testing.T) {
	if *dump != "" {
		data, err := json.Marshal(wanted())
		if err == nil {
			err = os.WriteFile(strings.Replace(*dump, "-", "/dev/stdout", 1), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	g := readGolden(t)
	for name, regexes := range wanted() {
		golden := g.Splits[name]
		if !slices.Equal(golden.Regexes, regexes) {
			t.Errorf("%s: the golden has regexes %q, the table %q", name, golden.Regexes, regexes)
			continue
		}
		s, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range g.Texts {
			words, err := s.Words(text)
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, w := range words {
				got = append(got, utf8.RuneCountInString(w))
			}
			if !slices.Equal(got, golden.Lengths[i]) {
				t.Errorf("%s: %q: pieces of %v characters, want %v", name, text, got, golden.Lengths[i])
			}
		}
	}
}

// texts are the goldens' with noise: every kind of character, bytes that are not UTF-8.
func texts(t testing.TB) []string {
	out := readGolden(t).Texts
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, r.IntN(60))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		out = append(out, string(b))
	}
	for range 200 {
		var b strings.Builder
		for range r.IntN(30) {
			b.WriteRune([]rune{r.Int32N(0x80), r.Int32N(0x3100), r.Int32N(0x20000), ' ', '\n'}[r.IntN(5)])
		}
		out = append(out, b.String())
	}
	if testing.Short() {
		for i := range len(out) / 8 {
			out[i] = out[8*i]
		}
		out = out[:len(out)/8]
	}
	return out
}

// Words make the text again, for every pre-tokenizer and any bytes.
func TestSplitKeepsText(t *testing.T) {
	all := texts(t)
	for i := range schemes {
		name := schemes[i].names[0]
		s, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range all {
			words, err := s.Words(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(words, ""); got != text {
				t.Fatalf("%s: words of %q make %q", name, text, got)
			}
			if slices.Contains(words, "") {
				t.Fatalf("%s: %q has an empty word", name, text)
			}
		}
	}
}

func TestDigitGroups(t *testing.T) {
	s, err := compile([]string{rightGroups}, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Words("a1 12x123,1234 1234567")
	if want := []string{"a", "1", " ", "12", "x", "123", ",", "1", "234", " ", "1", "234", "567"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v, want %q", got, err, want)
	}
}

// Long runs take linear time and do not overflow the backtracking stack.
func TestLongRuns(t *testing.T) {
	n := 50_000
	if testing.Short() {
		n = 5_000
	}
	for _, name := range []string{"deepseek-llm", "deepseek-v3", "llama-bpe", "qwen2", "gpt-4o", "gpt-2", "default"} {
		s, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, unit := range []string{" ", "a", "7", "-", "漢", "\n", "A\u0301"} {
			text := strings.Repeat(unit, n) + "x"
			start := time.Now()
			words, err := s.Words(text)
			if err != nil || strings.Join(words, "") != text {
				t.Errorf("%s: %d times %q: %v", name, n, unit, err)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("%s: %d times %q takes %v", name, n, unit, d)
			}
		}
	}
}

func TestCompile(t *testing.T) {
	s, err := Compile([]string{`[\p{L}\p{N}&&[^\p{Han}]]+`})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Words("ab1漢字c")
	if want := []string{"ab1", "漢字", "c"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("intersection: %q %v, want %q", got, err, want)
	}
	if s, err = Compile([]string{`[a-z&&[^x][y]]`}); err == nil {
		t.Errorf("two classes after &&: %v, want an error", s)
	}
	for _, bad := range []string{`[a[bc]]`, `(`, `[a`, `\p{Nonesuch}`, `[[:alpha:]]`} {
		if _, err := Compile([]string{bad}); err == nil || !strings.Contains(err.Error(), "regex") {
			t.Errorf("%s: %v, want an error naming the regex", bad, err)
		}
	}
}

// A regex that came with a model cannot hang the program.
func TestTimeout(t *testing.T) {
	s, err := compile([]string{`(x+x+)+y`}, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Words(strings.Repeat("x", 40)); err == nil || !strings.Contains(err.Error(), "(x+x+)+y") {
		t.Errorf("%v, want an error naming the regex", err)
	}
}

func TestUnknownName(t *testing.T) {
	_, err := New("qwen9")
	if err == nil || !strings.Contains(err.Error(), `"qwen9" is not known`) {
		t.Errorf("%v", err)
	}
	_, err = New("deepseek-v9")
	if err == nil || !strings.Contains(err.Error(), "deepseek-v3") {
		t.Errorf("%v, want similar names", err)
	}
}

func FuzzSplit(f *testing.F) {
	names := Names()
	for i, text := range texts(f) {
		f.Add(text, uint8(i))
	}
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		s, err := New(names[int(which)%len(names)])
		if err != nil {
			t.Fatal(err)
		}
		words, err := s.Words(text)
		if err == nil && strings.Join(words, "") != text {
			t.Errorf("words of %q make %q", text, words)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	text := strings.Repeat("func (c *run) cut(r []rune, off int) { return addRest(ends, prev, 1234) } // it's\n", 500)
	for _, name := range []string{"deepseek-llm", "deepseek-v3", "llama-bpe", "qwen2", "gpt-4o", "gpt-2"} {
		s, err := New(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("pre="+name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := s.Split(text, func(string) bool { return true }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
