package chat

import (
	"strings"
	"testing"
)

// TestAPIMessages: messages of OpenAI's API reach a template as text, and arguments of tool calls as objects, or as
// they are where a template adds them to a text.
func TestAPIMessages(t *testing.T) {
	const messages = `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
		{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"y\": 1, \"x\": [2]}"}}]}]`
	for _, c := range []struct{ template, want string }{
		{"{{ messages[0].content }}", "a\nb"},
		{"{{ messages[1].tool_calls[0].function.arguments.y }} {{ messages[1].tool_calls[0].function | tojson }}",
			`1 {"name": "f", "arguments": {"y": 1, "x": [2]}}`},
		{"{{ 'with ' + messages[1].tool_calls[0].function.arguments }}", `with {"y": 1, "x": [2]}`},
	} {
		tmpl, err := Parse(c.template)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Render(t.Context(), Input{Messages: []byte(messages), API: true})
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.template, got, err, c.want)
		}
	}
	tmpl, err := Parse("{{ messages }}")
	if err != nil {
		t.Fatal(err)
	}
	for messages, want := range map[string]string{
		`[1]`:                            "message 0: want an object",
		`[{"content":"x"}]`:              "message 0 has no role",
		`[{"role":1}]`:                   "role: want a string",
		`[{"role":"user","content":1}]`:  "want a string or a list",
		`[{"role":"u","content":["x"]}]`: "part 0 is no object",
		`[{"role":"u","content":[{"type":"image_url"}]}]`: "only text can be read",
	} {
		if _, err := tmpl.Render(t.Context(), Input{Messages: []byte(messages), API: true}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", messages, err, want)
		}
	}
}
