package chat

import "strings"

// solar is Solar Open's calls between tokens, in a message of its own.
var solar = dialect{
	in:     containsAll("<|tool_calls|>", "<|tool_call:begin|>"),
	thinks: []mark{{"<|think|>", "<|end|>"}},
	calls:  []callMark{{mark: mark{"<|tool_calls|>", "<|calls|>"}, read: readSolar}},
	drops:  []string{"<|end|>", "<|begin|>assistant", "<|content|>"},
	tokens: []string{"<|begin|>", "<|tool_call:begin|>", "<|tool_call:name|>", "<|tool_call:args|>", "<|tool_call:end|>"},
}

// readSolar reads an id, a name and JSON for each call.
func readSolar(body string, _ tools) ([]ToolCall, bool) {
	return readEach(body, "<|tool_call:begin|>", "<|tool_call:end|>", func(call string) (c ToolCall, ok bool) {
		id, rest, named := strings.Cut(call, "<|tool_call:name|>")
		name, text, found := strings.Cut(rest, "<|tool_call:args|>")
		arguments, isObject := object(text)
		return ToolCall{strings.TrimSpace(id), strings.TrimSpace(name), arguments}, named && found && isObject
	})
}
