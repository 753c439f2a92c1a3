package chat

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/testdata"
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

// TestAPITemplates: what the official client sends back after a call is rendered by every template, with content null,
// missing or empty alike; so are tools of which only the name is given, and the developer's role.
func TestAPITemplates(t *testing.T) {
	dir := testdata.Path("templates")
	var cases map[string]map[string]json.RawMessage
	readJSON(t, filepath.Join(dir, "cases.json"), &cases)
	names, err := filepath.Glob(filepath.Join(dir, "*.jinja"))
	if err != nil || len(names) == 0 || testdata.Full() && len(names) != 70 {
		t.Fatalf("%d templates, %v", len(names), err)
	}
	const call = `"tool_calls":[{"id":"ab12cd34e","type":"function","function":{"name":"get_weather","arguments":"{\"city\": \"Rome\"}"}}]},{"role":"tool","tool_call_id":"ab12cd34e","content":"3.5"}]`
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tmpl, err := Parse(string(source))
		if err != nil {
			t.Fatal(err)
		}
		role := "developer"
		if strings.Contains(string(source), "System role not supported") {
			role = "user" // Gemma 2
		}
		for _, tools := range []string{weather, string(cases["tools"]["tools"]), `[{"type":"function","function":{"name":"get_weather"}}]`} {
			render := func(content string) string {
				messages := `[{"role":"` + role + `","content":"Rule one."},{"role":"user","content":"Weather?"},{"role":"assistant",` + content + call
				if role == "user" {
					messages = strings.Replace(messages, `{"role":"user","content":"Weather?"},`, "", 1)
					messages = strings.ReplaceAll(messages, `"role":"tool"`, `"role":"user"`)
				}
				out, err := tmpl.Render(t.Context(), Input{Messages: []byte(messages), API: true, Tools: []byte(tools), AddGenerationPrompt: true, BOS: "<s>", EOS: "</s>", Now: clock})
				if err != nil {
					t.Errorf("%s: %s %v", filepath.Base(name), content, err)
				}
				return out
			}
			empty := render(`"content":"",`)
			for _, content := range []string{`"content":null,"refusal":null,"audio":null,"function_call":null,`, ``} {
				got := render(content)
				rule := strings.Contains(got, "Rule one.") || strings.Contains(name, "Mistral-Nemo") // which writes it before the last message, if that is a user's
				if strings.Count(got, "None") > strings.Count(empty, "None") || !rule {
					t.Errorf("%s: %s\n%q, with an empty content\n%q", filepath.Base(name), content, got, empty)
				}
			}
		}
	}
}

// TestAPIPlain: an assistant's message with the fields that the official client leaves null is as one without them.
func TestAPIPlain(t *testing.T) {
	dir := testdata.Path("templates")
	names, err := filepath.Glob(filepath.Join(dir, "*.jinja"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tmpl, err := Parse(string(source))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, more := range []string{"", `,"tool_calls":null,"function_call":null,"refusal":null,"annotations":[]`, `,"tool_calls":[]`} {
			messages := `[{"role":"user","content":"a"},{"role":"assistant","content":"b"` + more + `},{"role":"user","content":"c"}]`
			text, err := tmpl.Render(t.Context(), Input{Messages: []byte(messages), API: true, AddGenerationPrompt: true, BOS: "<s>", EOS: "</s>", Now: clock})
			if err != nil {
				t.Errorf("%s: %s %v", filepath.Base(name), more, err)
			}
			out = append(out, text)
		}
		if out[1] != out[0] || out[2] != out[0] {
			t.Errorf("%s: %q", filepath.Base(name), out)
		}
	}
}

// TestAPILists: lists may grow and shrink where an API's messages are rendered, and in no other case.
func TestAPILists(t *testing.T) {
	for source, want := range map[string]string{
		"{% set l = [1] %}{% set _ = l.append('x') %}{{ l }}{{ l.pop(0) }}{{ l.pop() }}{{ l }}": "[1, 'x']1x[]",
		"{% set l = [1] %}{{ l.append(l) }}":                                                    "",
		"{% set l = [] %}{{ l.pop() }}":                                                         "",
		"{% set l = [] %}{{ l.pop(-1) }}":                                                       "",
		"{% set l = [] %}{{ l.clear() }}":                                                       "",
	} {
		tmpl, err := Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		in := Input{Messages: []byte(`[]`), API: true}
		if got, err := tmpl.Render(t.Context(), in); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", source, got, err, want)
		}
		in.API = false
		if got, err := tmpl.Render(t.Context(), in); err == nil {
			t.Errorf("%s: %q without the API", source, got)
		}
	}
}
