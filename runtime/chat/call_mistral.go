package chat

import "strings"

// mistral is [TOOL_CALLS] and a list of objects, or from 2025 on a name and arguments for each.
var mistral = dialect{
	calls:  []callMark{{mark: mark{"[TOOL_CALLS]", ""}, read: readMistral}},
	tokens: []string{"[ARGS]", "[CALL_ID]"},
}

func readMistral(body string, t tools) ([]ToolCall, bool) {
	if body = strings.TrimSpace(body); strings.HasPrefix(body, "[") {
		return readObjects(body, t)
	}
	var calls []ToolCall
	for part := range strings.SplitSeq(body, "[TOOL_CALLS]") {
		name, text, found := strings.Cut(part, "[ARGS]")
		name, id, _ := strings.Cut(name, "[CALL_ID]")
		arguments, ok := object(text)
		if !found || !ok {
			return nil, false
		}
		calls = append(calls, ToolCall{strings.TrimSpace(id), strings.TrimSpace(name), arguments})
	}
	return calls, true
}
