package chat

import (
	"regexp"
	"strings"
)

var keyTag = regexp.MustCompile(`(?s)^<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>\s*`)

// readKeys reads GLM's name and <arg_key>NAME</arg_key><arg_value>VALUE</arg_value>.
func readKeys(body string, t tools) ([]ToolCall, bool) {
	name, rest := body, ""
	if i := strings.Index(body, "<arg_key>"); i >= 0 {
		name, rest = body[:i], body[i:]
	}
	name = strings.TrimSpace(name)
	var a argumentList
	ok := pieces(rest, keyTag, func(p []string) bool {
		a.add(p[1], t.argument(name, p[1], p[2]))
		return true
	})
	return []ToolCall{{Name: name, Arguments: a.json()}}, ok && name != ""
}
