package probe

import (
	"slices"
	"strings"
	"unicode"

	"github.com/moeconv/moeconv/verify"
)

// EarlyEnd finds answers that end by themselves before they said anything.
type EarlyEnd struct{ MinWords int }

func (EarlyEnd) needsEnd() {}

// Name of the criterion.
func (EarlyEnd) Name() string { return "early end" }

// Judge fails an answer of fewer words.
func (e EarlyEnd) Judge(a Answer) Finding {
	n := len(strings.Fields(a.Text))
	if n < e.MinWords {
		return finding(verify.Fail, float64(n), "%d words, %d at least are needed", n, e.MinWords)
	}
	return finding(verify.Pass, float64(n), "%d words", n)
}

// Bounds of the share of an answer's letters that are of the prompt's script.
const (
	ScriptWarn = 0.90
	ScriptFail = 0.70
)

// scriptLetters is the number of letters from which on shares of scripts tell something.
const scriptLetters = 20

// Script finds answers that drift to another language than the prompt's, as far as the script shows it.
type Script struct{}

// Name of the criterion.
func (Script) Name() string { return "script" }

// Judge fails below ScriptFail and warns below ScriptWarn, of the whole answer or of its last third, whichever is less:
// a drift begins somewhere and stays.
func (Script) Judge(a Answer) Finding {
	want, n := dominant(a.Prompt)
	letters := scripts(a.Text)
	if n < 3 || len(letters) < scriptLetters {
		return plain(verify.NotApplicable, "too few letters to tell")
	}
	s := share(letters, want)
	if last := letters[len(letters)*2/3:]; len(last) >= scriptLetters {
		s = min(s, share(last, want))
	}
	switch {
	case s < ScriptFail:
		return finding(verify.Fail, s, "%.0f%% of the letters are %s as the prompt's are", 100*s, want)
	case s < ScriptWarn:
		return finding(verify.Warn, s, "%.0f%% of the letters are %s as the prompt's are", 100*s, want)
	}
	return finding(verify.Pass, s, "%.0f%% %s", 100*s, want)
}

// dominant is the script of most letters, and how many letters there are.
func dominant(text string) (name string, letters int) {
	count := map[string]int{}
	for _, s := range scripts(text) {
		letters++
		if count[s]++; count[s] > count[name] {
			name = s
		}
	}
	return name, letters
}

// scripts is the script of each letter. Those that Chinese and Japanese mix are one; letters of mathematics, and Greek
// ones, which stand for quantities in any language, are none.
func scripts(text string) []string {
	var out []string
	for _, r := range text {
		if !unicode.IsLetter(r) || unicode.Is(unicode.Common, r) || unicode.Is(unicode.Greek, r) {
			continue
		}
		out = append(out, scriptOf(r))
	}
	return out
}

func scriptOf(r rune) string {
	switch {
	case unicode.Is(unicode.Latin, r):
		return "Latin"
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana):
		return "Han"
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return "unknown"
}

func share(letters []string, want string) float64 {
	n := 0
	for _, s := range letters {
		if s == want {
			n++
		}
	}
	return float64(n) / float64(len(letters))
}

// Verse is the form of a poem.
type Verse struct {
	MinLines int      `yaml:"min_lines"` // that have letters
	Lines    int      `yaml:"lines"`     // exactly so many; 0: any number
	MaxWords int      `yaml:"max_words"` // of a line on average: verse does not fill lines; 0: any number
	Topic    []string `yaml:"topic"`     // one of these words at least must be in it, whatever its case
}

func (v *Verse) check() error {
	if v != nil && (v.MinLines < 0 || v.Lines < 0 || v.MaxWords < 0) {
		return errNegative("verse")
	}
	return nil
}

func (Verse) needsEnd() {}

// Name of the criterion.
func (Verse) Name() string { return "verse" }

// Judge counts lines, their words, and looks for the topic.
func (v Verse) Judge(a Answer) Finding {
	stanzas := stanzasOf(a.Text)
	lines, words := count(slices.Concat(stanzas...))
	if v.Lines > 0 && lines != v.Lines { // words about the poem may stand around it
		var poems [][]string
		for _, s := range stanzas {
			if n, w := count(s); n == v.Lines && (v.MaxWords == 0 || w <= v.MaxWords*n) {
				poems = append(poems, s)
			}
		}
		if len(poems) == 1 {
			lines, words = count(poems[0])
		}
	}
	text := strings.ToLower(a.Text)
	topic := len(v.Topic) == 0
	for _, w := range v.Topic {
		topic = topic || containsWord(text, strings.ToLower(w))
	}
	n := float64(lines)
	switch {
	case lines < v.MinLines:
		return finding(verify.Fail, n, "%d lines, %d at least are needed", lines, v.MinLines)
	case v.Lines > 0 && lines != v.Lines:
		return finding(verify.Fail, n, "%d lines, it must be %d", lines, v.Lines)
	case v.MaxWords > 0 && words > v.MaxWords*lines:
		return finding(verify.Fail, n, "%.1f words a line: prose, not verse", float64(words)/n)
	case !topic:
		return finding(verify.Fail, n, "no word of the topic (%s ...)", strings.Join(v.Topic[:min(3, len(v.Topic))], ", "))
	}
	return finding(verify.Pass, n, "%d lines", lines)
}

func count(lines []string) (n, words int) {
	for _, l := range lines {
		words += len(strings.Fields(l))
	}
	return len(lines), words
}

// stanzasOf are the lines of an answer that have letters, by the empty lines between them. Lines that are a title, a fence
// or announce what comes (they end with a colon) are none; a stroke between blanks parts lines written in one.
func stanzasOf(text string) [][]string {
	var out [][]string
	var stanza []string
	for line := range strings.Lines(text + "\n\n") {
		line = strings.TrimLeft(strings.TrimSpace(line), "> ")
		if line == "" {
			if len(stanza) > 0 {
				out = append(out, stanza)
			}
			stanza = nil
			continue
		}
		fence, _ := fenceOf(line)
		title := strings.HasPrefix(line, "#") || strings.HasPrefix(line, "**") && strings.HasSuffix(line, "**")
		if fence != "" || title || len(out) == 0 && len(stanza) == 0 && strings.HasSuffix(line, ":") {
			continue
		}
		for l := range strings.SplitSeq(line, " / ") {
			if strings.ContainsFunc(l, unicode.IsLetter) {
				stanza = append(stanza, l)
			}
		}
	}
	return out
}

// containsWord reports whether text has the word, not as the beginning, middle or end of another; a word that ends in *
// may be a beginning.
func containsWord(text, word string) bool {
	word, open := strings.CutSuffix(word, "*")
	for at := 0; ; {
		i := strings.Index(text[at:], word)
		if i < 0 || word == "" {
			return false
		}
		from, to := at+i, at+i+len(word)
		if !letterBefore(text[:from]) && (open || !letterAfter(text[to:])) {
			return true
		}
		at = to
	}
}
