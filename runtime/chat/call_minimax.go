package chat

import (
	"encoding/json"
	"regexp"
	"strings"
)

// miniMax is MiniMax-M2's <invoke name="NAME"><parameter name="NAME">VALUE</parameter></invoke>.
var miniMax = dialect{
	calls: []callMark{{mark: mark{"<minimax:tool_call>", "</minimax:tool_call>"}, read: readInvoke}},
}

var (
	invokeTag = regexp.MustCompile(`(?s)^<invoke name="([^"]*)">\s*(.*?)\s*</invoke>\s*`)
	namedTag  = regexp.MustCompile(`(?s)^<parameter name="([^"]*)"(?: string="(true|false)")?>(.*?)</parameter>\s*`)
)

// readInvoke reads invocations; DeepSeek's say of each parameter whether it is a text.
func readInvoke(body string, t tools) (calls []ToolCall, ok bool) {
	ok = pieces(strings.TrimSpace(body), invokeTag, func(f []string) bool {
		var a argumentList
		ok := pieces(f[2], namedTag, func(p []string) bool {
			value := t.argument(f[1], p[1], p[3])
			if p[2] == "true" {
				value = quoted(p[3])
			}
			a.add(p[1], value)
			return p[2] != "false" || json.Valid([]byte(p[3]))
		})
		calls = append(calls, ToolCall{Name: f[1], Arguments: a.json()})
		return ok
	})
	return calls, ok
}
