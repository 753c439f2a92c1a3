package chat

import (
	"regexp"
	"strings"
)

var (
	functionTag  = regexp.MustCompile(`(?s)^<function=([^>\s]+)>\s*(.*?)\s*</function>\s*`)
	parameterTag = regexp.MustCompile(`(?s)^<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>\s*`)
)

// readFunctions reads Qwen3-Coder's <function=NAME><parameter=NAME>VALUE</parameter></function>.
func readFunctions(body string, t tools) (calls []ToolCall, ok bool) {
	ok = pieces(strings.TrimSpace(body), functionTag, func(f []string) bool {
		var a argumentList
		ok := pieces(f[2], parameterTag, func(p []string) bool {
			a.add(p[1], t.argument(f[1], p[1], p[2]))
			return true
		})
		calls = append(calls, ToolCall{Name: f[1], Arguments: a.json()})
		return ok
	})
	return calls, ok
}
