package chat

import "strings"

// lfm2 is LFM2's list of Python calls: [NAME(NAME=VALUE, ...), ...]. Some of its templates only list the tools.
var lfm2 = dialect{
	in: func(source string) bool {
		return containsAll("<|tool_list_start|>")(source) || containsAll("List of tools: [", "<|im_start|>")(source)
	},
	calls: []callMark{{mark: mark{"<|tool_call_start|>", "<|tool_call_end|>"}, read: readLFM2}},
}

func readLFM2(body string, _ tools) ([]ToolCall, bool) {
	l := literals{rest: strings.TrimSpace(body)}
	if !l.take("[") {
		return nil, false
	}
	var calls []ToolCall
	for {
		c, ok := l.call()
		if !ok {
			return nil, false
		}
		calls = append(calls, c)
		if l.take(",") {
			continue
		}
		return calls, l.take("]") && l.rest == ""
	}
}
