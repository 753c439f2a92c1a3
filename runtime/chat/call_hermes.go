package chat

import "strings"

// hermes is what most models write: <tool_call> with JSON (Hermes, Qwen, Granite 4, Ernie), functions (Qwen3-Coder,
// Nemotron 3) or keys and values (GLM, Ling). MiniMax-M3 has tags of that name, too, with a mark before each.
var hermes = dialect{
	in: func(source string) bool {
		return strings.Contains(source, "<tool_call>") && !miniMax3.spoken(source)
	},
	calls: []callMark{{mark: mark{"<tool_call>", "</tool_call>"}, read: readTagged}},
}

// seed is Seed-OSS's, with functions as Qwen3-Coder's.
var seed = dialect{
	thinks: []mark{{"<seed:think>", "</seed:think>"}},
	calls:  []callMark{{mark: mark{"<seed:tool_call>", "</seed:tool_call>"}, read: readTagged}},
}

// readTagged reads what stands in <tool_call>.
func readTagged(body string, t tools) ([]ToolCall, bool) {
	switch body = strings.TrimSpace(body); {
	case strings.HasPrefix(body, "{") || strings.HasPrefix(body, "["):
		return readObjects(body, t)
	case strings.HasPrefix(body, "<function="):
		return readFunctions(body, t)
	}
	return readKeys(body, t)
}
