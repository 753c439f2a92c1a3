package chat

import "strings"

const (
	kimiCall      = "<|tool_call_begin|>"
	kimiArguments = "<|tool_call_argument_begin|>"
	kimiEnd       = "<|tool_call_end|>"
)

// kimi is Kimi-K2's calls between tokens.
var kimi = dialect{
	calls:  []callMark{{mark: mark{"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"}, read: readKimi}},
	tokens: []string{kimiCall, kimiArguments, kimiEnd},
}

// readKimi reads functions.NAME:INDEX, which is the call's id, and JSON for each call.
func readKimi(body string, _ tools) ([]ToolCall, bool) {
	return readEach(body, kimiCall, kimiEnd, func(call string) (c ToolCall, ok bool) {
		id, rest, ok := strings.Cut(call, kimiArguments)
		c.ID = strings.TrimSpace(id)
		name := strings.TrimPrefix(c.ID, "functions.")
		if i := strings.LastIndexByte(name, ':'); i >= 0 {
			name = name[:i]
		}
		arguments, isObject := object(rest)
		c.Name, c.Arguments = name, arguments
		return c, ok && isObject
	})
}
