package chat

import (
	"encoding/json"
	"strings"
)

// apertus is Apertus's list of objects {NAME: arguments}.
var apertus = dialect{
	thinks: []mark{{"<|inner_prefix|>", "<|inner_suffix|>"}},
	calls:  []callMark{{mark: mark{"<|tools_prefix|>", "<|tools_suffix|>"}, read: readApertus}},
}

func readApertus(body string, _ tools) ([]ToolCall, bool) {
	var list []map[string]json.RawMessage
	if json.Unmarshal([]byte(strings.TrimSpace(body)), &list) != nil {
		return nil, false
	}
	var calls []ToolCall
	for _, one := range list {
		if len(one) != 1 {
			return nil, false
		}
		for name, value := range one {
			arguments, ok := object(string(value))
			if !ok {
				return nil, false
			}
			calls = append(calls, ToolCall{Name: name, Arguments: arguments})
		}
	}
	return calls, len(calls) > 0
}
