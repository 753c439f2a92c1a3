package probe

import "strings"

// Marks that part thinking from the answer, in the formats of DeepSeek-R1, Qwen and others, and of harmony (gpt-oss).
const (
	thinkOpen    = "<think>"
	thinkClose   = "</think>"
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
	if i := strings.LastIndex(text, thinkClose); i >= 0 {
		return text[i+len(thinkClose):], true
	}
	if opened || strings.HasPrefix(strings.TrimSpace(text), thinkOpen) {
		return "", false
	}
	return text, true
}

// opensThinking reports whether a prompt ends within an open thought.
func opensThinking(prompt string) bool {
	return strings.LastIndex(prompt, thinkOpen) > strings.LastIndex(prompt, thinkClose)
}
