package chat

import (
	"regexp"
	"strings"
)

// kimi3 is Kimi-K3's tags between tokens.
var kimi3 = dialect{
	in:     containsAll("'<|open|>' + tag"),
	thinks: []mark{{"<|open|>think<|sep|>", "<|close|>think<|sep|>"}},
	calls:  []callMark{{mark: mark{"<|open|>tools<|sep|>", "<|close|>tools<|sep|>"}, read: readKimi3}},
	drops:  []string{"<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"},
	tokens: []string{"<|open|>", "<|close|>", "<|sep|>"},
}

var (
	kimi3Call     = regexp.MustCompile(`(?s)^\s*<\|open\|>call tool="([^"]*)"[^<]*<\|sep\|>(.*?)<\|close\|>call<\|sep\|>\s*`)
	kimi3Argument = regexp.MustCompile(`(?s)^\s*<\|open\|>argument key="([^"]*)" type="([^"]*)"<\|sep\|>(.*?)<\|close\|>argument<\|sep\|>\s*`)
	kimi3Quotes   = strings.NewReplacer("&quot;", `"`, "&amp;", "&")
)

// readKimi3 reads calls whose arguments say their type.
func readKimi3(body string, t tools) (calls []ToolCall, ok bool) {
	ok = pieces(body, kimi3Call, func(c []string) bool {
		var a argumentList
		ok := pieces(c[2], kimi3Argument, func(p []string) bool {
			value := quoted(p[3])
			if p[2] != "string" {
				value = (*schema)(nil).value(p[3])
			}
			a.add(kimi3Quotes.Replace(p[1]), value)
			return p[2] == "string" || value[0] != '"' || strings.HasPrefix(p[3], `"`)
		})
		calls = append(calls, ToolCall{Name: kimi3Quotes.Replace(c[1]), Arguments: a.json()})
		return ok
	})
	return calls, ok
}
