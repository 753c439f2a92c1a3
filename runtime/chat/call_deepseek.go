package chat

import "strings"

const (
	deepSeekCalls = "<｜tool▁calls▁begin｜>"
	deepSeekCall  = "<｜tool▁call▁begin｜>"
	deepSeekEnd   = "<｜tool▁call▁end｜>"
	deepSeekSep   = "<｜tool▁sep｜>"
	dsml          = "｜DSML｜"
)

// deepSeek is R1's and V3's calls between tokens, and from V3.2 on invocations whose tags begin with DSML. A template may
// keep that prefix in a variable.
var deepSeek = dialect{
	in: func(source string) bool {
		return strings.Contains(source, deepSeekCalls) || strings.Contains(source, dsml)
	},
	calls: []callMark{
		{mark: mark{deepSeekCalls, "<｜tool▁calls▁end｜>"}, read: readDeepSeek},
		{mark: mark{"<" + dsml + "function_calls>", "</" + dsml + "function_calls>"}, read: readDSML},
		{mark: mark{"<" + dsml + "tool_calls>", "</" + dsml + "tool_calls>"}, read: readDSML},
	},
	tokens: []string{deepSeekCall, deepSeekEnd, deepSeekSep, dsml},
}

// readDeepSeek reads "function", a name and a block of JSON for each call, or V3.1's name and JSON.
func readDeepSeek(body string, _ tools) ([]ToolCall, bool) {
	return readEach(body, deepSeekCall, deepSeekEnd, func(call string) (c ToolCall, ok bool) {
		head, rest, ok := strings.Cut(call, deepSeekSep)
		if name, block, found := strings.Cut(rest, "```json"); ok && found {
			head, rest = name, strings.TrimSuffix(strings.TrimSpace(block), "```")
		}
		c.Name = strings.TrimSpace(head)
		arguments, isObject := object(rest)
		c.Arguments = arguments
		return c, ok && isObject
	})
}

func readDSML(body string, t tools) ([]ToolCall, bool) {
	return readInvoke(strings.ReplaceAll(body, dsml, ""), t)
}
