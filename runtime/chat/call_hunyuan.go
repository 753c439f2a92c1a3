package chat

import (
	"regexp"
	"strings"
)

// hunyuan is Hy3's keys and values as GLM's, all of whose tags end in a suffix.
var hunyuan = dialect{
	in:     containsAll("':opensource'", "<tool_calls{}>"),
	thinks: []mark{{"<think:opensource>", "</think:opensource>"}},
	calls:  []callMark{{mark: mark{"<tool_calls:opensource>", "</tool_calls:opensource>"}, read: readHunyuan}},
}

var (
	hunyuanTag = regexp.MustCompile(`(</?(?:tool_call|tool_sep|arg_key|arg_value)):opensource>`)
	jsonBlock  = regexp.MustCompile("(?s)^```json\\s*(.*?)\\s*```$")
)

// readHunyuan reads <tool_call>NAME<tool_sep>, and keys and values or a block of JSON for each call.
func readHunyuan(body string, t tools) ([]ToolCall, bool) {
	body = hunyuanTag.ReplaceAllString(body, "$1>")
	return readEach(body, "<tool_call>", "</tool_call>", func(call string) (ToolCall, bool) {
		name, rest, ok := strings.Cut(call, "<tool_sep>")
		name, rest = strings.TrimSpace(name), strings.TrimSpace(rest)
		if first, block, found := strings.Cut(rest, "\n"); name == "function" && found { // older models say that first
			name, rest = strings.TrimSpace(first), strings.TrimSpace(block)
		}
		if m := jsonBlock.FindStringSubmatch(rest); m != nil {
			arguments, isObject := object(m[1])
			return ToolCall{Name: name, Arguments: arguments}, ok && isObject
		}
		calls, read := readKeys(name+rest, t)
		return calls[0], ok && read
	})
}
