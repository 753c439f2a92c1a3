package probe

import (
	"strings"

	"github.com/moeconv/moeconv/verify"
)

// Bounds of the repetition score: sound text stays below the first, degenerate text is above the second.
const (
	RepetitionWarn = 0.10
	RepetitionFail = 0.30
)

// RepetitionScore is the share of a text's 3-grams of words that repeat earlier ones:
// the sum of count-1 over all 3-grams, by the number of 3-grams. 0 for texts of less than three words.
func RepetitionScore(text string) float64 {
	words := strings.Fields(text)
	if len(words) < 3 {
		return 0
	}
	total := len(words) - 2
	seen := make(map[[3]string]bool, total)
	repeats := 0
	for i := range total {
		gram := [3]string(words[i : i+3])
		if seen[gram] {
			repeats++
		}
		seen[gram] = true
	}
	return float64(repeats) / float64(total)
}

// Repetition bounds the repetition score.
type Repetition struct{}

// Name of the criterion.
func (Repetition) Name() string { return "repetition" }

// Judge warns above RepetitionWarn and fails above RepetitionFail.
func (Repetition) Judge(a Answer) Finding {
	text := a.Text
	if a.thinking {
		text = a.Whole // a thought that goes round in circles never comes to an answer
	}
	score := RepetitionScore(text)
	switch {
	case score > RepetitionFail:
		return finding(verify.Fail, score, "score %.3f, above %.2f the text is degenerate", score, RepetitionFail)
	case score > RepetitionWarn:
		return finding(verify.Warn, score, "score %.3f, above %.2f", score, RepetitionWarn)
	}
	return finding(verify.Pass, score, "score %.3f", score)
}

// Bounds of the echo score.
const (
	EchoWarn = 0.50
	EchoFail = 0.80
)

// echoGram is the number of words in a row that count as copied.
const echoGram = 5

// EchoScore is the share of the answer's words that stand within five words in a row copied from the prompt
// (fewer where the prompt is shorter). Case does not count. 0 where prompt or answer is too short to tell.
func EchoScore(prompt, answer string) float64 {
	p, a := strings.Fields(strings.ToLower(prompt)), strings.Fields(strings.ToLower(answer))
	n := min(echoGram, len(p))
	if n < 2 || len(a) < n {
		return 0
	}
	grams := map[string]bool{}
	for i := 0; i+n <= len(p); i++ {
		grams[strings.Join(p[i:i+n], " ")] = true
	}
	copied, end := 0, 0 // end: of the words counted
	for i := 0; i+n <= len(a); i++ {
		if grams[strings.Join(a[i:i+n], " ")] {
			copied += i + n - max(i, end)
			end = i + n
		}
	}
	return float64(copied) / float64(len(a))
}

// Echo finds answers that say the prompt again.
type Echo struct{}

// Name of the criterion.
func (Echo) Name() string { return "echo" }

// Judge warns above EchoWarn and fails above EchoFail.
func (Echo) Judge(a Answer) Finding {
	score := EchoScore(a.Prompt, a.Text)
	switch {
	case score > EchoFail:
		return finding(verify.Fail, score, "%.0f%% of the answer is the prompt again", 100*score)
	case score > EchoWarn:
		return finding(verify.Warn, score, "%.0f%% of the answer is the prompt again", 100*score)
	}
	return finding(verify.Pass, score, "%.0f%%", 100*score)
}
