package chat

import (
	"regexp"
	"strings"
)

// muse is Muse Glimmer's: messages with a recipient, which is the model itself, the user, or a tool that is invoked.
var muse = dialect{
	in:       containsAll("<atem:function_calls>", harmonyMessage),
	tokens:   []string{harmonyStart, harmonyMessage, "<|eom|>", "<|eot|>"},
	messages: func() messageReader { return &harmony{headers: &museHeaders} },
}

var museRecipient = regexp.MustCompile(`(?:^|\s)to=([^\s<]+)`)

var museHeaders = headers{
	ends: []string{"<|eom|>", "<|eot|>", harmonyStart},
	of: func(header string) (reasoning bool, tool string) {
		if m := museRecipient.FindStringSubmatch(header); m != nil && m[1] != "user" && m[1] != "self" {
			return false, m[1]
		} else if m != nil {
			return m[1] == "self", ""
		}
		return false, ""
	},
	read: func(_, body string, t tools) ([]ToolCall, bool) {
		body, begun := strings.CutPrefix(strings.TrimSpace(body), "<atem:function_calls>")
		body, ended := strings.CutSuffix(body, "</atem:function_calls>")
		calls, ok := readInvoke(museTag.ReplaceAllString(body, "<$1"), t)
		return calls, begun && ended && ok
	},
}

var museTag = regexp.MustCompile(`<(/?)atem:`)
