package server

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestStrictClient: what OpenAI's own client may send, whether it says something or null, is taken as that API says.
func TestStrictClient(t *testing.T) {
	_, url := start(t, Options{})
	const head = `{"model":"tiny","temperature":0,"seed":3,`
	const messages = `"messages":[{"role":"developer","content":[{"type":"text","text":"You write"},{"type":"text","text":"Go."}]},
		{"role":"user","content":"sort a slice","name":"ann"},
		{"role":"assistant","content":null,"refusal":null,"audio":null,"function_call":null,"annotations":[],"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"a\": 1}"}}]},
		{"role":"tool","tool_call_id":"call_1","content":[{"type":"text","text":"found"}]},
		{"role":"assistant","content":"so","tool_calls":null},
		{"role":"user","content":[{"type":"text","text":"go on"}]}]`
	plain := ask[chunk](t, url+"/v1/chat/completions", head+messages+`,"max_tokens":6}`)
	text := plain.Choices[0].Message.Content
	if text == "" || plain.Usage.CompletionTokens != 6 {
		t.Fatalf("%+v", plain)
	}
	for _, more := range []string{
		`"max_completion_tokens":6`,
		`"max_completion_tokens":6,"max_tokens":3`,
		`"max_tokens":6,"n":1,"stop":null,"logprobs":null,"top_logprobs":null,"stream":null,"stream_options":null,"tools":null,"tool_choice":null,"response_format":null,"logit_bias":null,"top_p":null,"presence_penalty":null,"frequency_penalty":null,"parallel_tool_calls":null`,
		`"max_tokens":6,"response_format":{"type":"text"},"logit_bias":{},"parallel_tool_calls":false,"user":"u","metadata":{"a":"b"},"store":false,"service_tier":"auto","modalities":["text"],"reasoning_effort":"low"`,
		`"max_tokens":6,"tools":[],"tool_choice":"none","stop":[]`,
		`"max_tokens":6,"tools":[{"type":"function","function":{"name":"look","strict":true}}],"tool_choice":"none"`,
	} {
		got := ask[chunk](t, url+"/v1/chat/completions", head+messages+","+more+"}")
		if c := got.Choices[0]; c.Message.Content != text || got.Usage.CompletionTokens != 6 || *c.Reason != "length" {
			t.Errorf("%s: %+v, want %q", more, got, text)
		}
	}
	at := len([]rune(text)) / 2
	word := string([]rune(text)[at : at+1])
	quoted, _ := json.Marshal(word)
	want, _, _ := strings.Cut(text, word)
	for _, stop := range []string{string(quoted), "[" + string(quoted) + "]", "[" + string(quoted) + `,"never written"]`} {
		got := ask[chunk](t, url+"/v1/chat/completions", head+messages+`,"max_tokens":6,"stop":`+stop+"}").Choices[0]
		if got.Message.Content != want || *got.Reason != "stop" {
			t.Errorf("stop %s: %q, want %q", stop, got.Message.Content, want)
		}
	}
	// Streams: usage comes when asked for, in an event of its own without choices, and null before.
	for more, last := range map[string]bool{`,"stream_options":{"include_usage":true}`: true, `,"stream_options":{"include_usage":false}`: false, ``: false} {
		events := stream[map[string]json.RawMessage](t, url+"/v1/chat/completions", head+messages+`,"max_tokens":6,"n":2,"stream":true`+more+"}")
		usage := 0
		for i, e := range events {
			if u, ok := e["usage"]; ok != last || ok && (string(u) == "null") == (i == len(events)-1) {
				t.Errorf("%s: event %d has usage %s", more, i, u)
			} else if ok && string(u) != "null" {
				if usage++; string(e["choices"]) != "[]" {
					t.Errorf("%s", e["choices"])
				}
			}
		}
		if (usage == 1) != last {
			t.Errorf("%s: usage in %d events", more, usage)
		}
	}
}
