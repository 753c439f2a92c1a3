package chat

import (
	"regexp"
	"strings"
)

// miniCPM is MiniCPM5's <function name="NAME"><param name="NAME">VALUE</param></function>.
var miniCPM = dialect{
	in:    containsAll(`<function name="`, `<param name="`),
	calls: []callMark{{mark: mark{`<function name="`, "</function>"}, read: readMiniCPM, whole: true}},
}

var (
	namedFunction = regexp.MustCompile(`(?s)^\s*<function name="([^"]*)">(.*)$`)
	paramTag      = regexp.MustCompile(`(?s)^\s*<param name="([^"]*)">(?:<!\[CDATA\[(.*?)\]\]>|(.*?))</param>\s*`)
)

// readMiniCPM reads one call; a value may stand in CDATA.
func readMiniCPM(body string, t tools) ([]ToolCall, bool) {
	f := namedFunction.FindStringSubmatch(body)
	if f == nil {
		return nil, false
	}
	var a argumentList
	ok := pieces(strings.TrimSpace(f[2]), paramTag, func(p []string) bool {
		a.add(p[1], t.argument(f[1], p[1], p[2]+p[3]))
		return true
	})
	return []ToolCall{{Name: f[1], Arguments: a.json()}}, ok
}
