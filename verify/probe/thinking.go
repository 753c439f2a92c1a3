package probe

import (
	"strings"

	"github.com/moeconv/moeconv/verify"
)

// Marks that part thinking from the answer in harmony (gpt-oss); verify.ThinkingMarks are those of other formats.
const (
	harmonyAny   = "<|channel|>"
	harmonyFinal = "<|channel|>final<|message|>"
)

// afterThinking is the part of an answer that follows the end of thinking. ended is false where the thinking goes on
// to the answer's end. opened says that the prompt ends within an open thought, as some templates write it.
func afterThinking(text string, opened bool) (answer string, ended bool) {
	if i := strings.LastIndex(text, harmonyFinal); i >= 0 {
		return text[i+len(harmonyFinal):], true
	}
	if strings.Contains(text, harmonyAny) {
		return "", false
	}
	for _, m := range verify.ThinkingMarks {
		if i := strings.LastIndex(text, m.Close); i >= 0 {
			return text[i+len(m.Close):], true
		}
		opened = opened || strings.HasPrefix(strings.TrimSpace(text), m.Open)
	}
	if opened {
		return "", false
	}
	return text, true
}

// opensThinking reports whether a prompt ends within an open thought.
func opensThinking(prompt string) bool {
	for _, m := range verify.ThinkingMarks {
		if strings.LastIndex(prompt, m.Open) > strings.LastIndex(prompt, m.Close) {
			return true
		}
	}
	return false
}
