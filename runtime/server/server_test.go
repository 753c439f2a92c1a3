package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
	"github.com/moeconv/moeconv/runtime/token"
)

type chunk struct {
	Object  string
	Choices []struct {
		Index   int
		Delta   struct{ Role, Content string }
		Message struct{ Role, Content string }
		Text    string
		Reason  *string `json:"finish_reason"`
		Probs   *struct {
			Content []struct {
				Token string
				Prob  float64 `json:"logprob"`
				Bytes []int
				Top   []struct {
					Token string
					Prob  float64 `json:"logprob"`
				} `json:"top_logprobs"`
			}
			Tokens []string
			Top    []map[string]float64 `json:"top_logprobs"`
			Offset []int                `json:"text_offset"`
		} `json:"logprobs"`
	}
	Usage *Usage
}

const talk = `"messages":[{"role":"system","content":"You write Go."},{"role":"user","content":[{"type":"text","text":"sort a slice"}]}]`

// serial is what the runtime itself answers.
func serial(t *testing.T, messages string, n int) runtime.Generation {
	t.Helper()
	m, err := load()
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := m.ChatTemplate("", false)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := tmpl.Tokens(t.Context(), chat.Input{Messages: []byte(messages), API: true, AddGenerationPrompt: true})
	if err != nil {
		t.Fatal(err)
	}
	g, err := runtime.Generate(t.Context(), m.NewSession(), ids, runtime.GenerateOptions{MaxTokens: n})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestChat: the answer is the runtime's, streamed or not, with counts by the tokenizer and one event a token.
func TestChat(t *testing.T) {
	_, url := start(t, Options{})
	url += "/v1/chat/completions"
	want := serial(t, "["+strings.SplitN(talk, "[", 2)[1], 12)
	body := `{"model":"tiny",` + talk + `,"max_completion_tokens":12,"temperature":0,"logprobs":true,"top_logprobs":2`
	got := ask[chunk](t, url, body+`}`)
	if len(got.Choices) != 1 || got.Object != "chat.completion" {
		t.Fatalf("%+v", got)
	}
	c := got.Choices[0]
	if c.Message.Content != want.Text || c.Message.Role != "assistant" || *c.Reason != finishReason(want.Reason) {
		t.Errorf("%+v, want %+v", c, want)
	}
	u := got.Usage
	if u.CompletionTokens != want.Tokens || u.PromptTokens != want.PromptTokens || u.TotalTokens != want.Tokens+want.PromptTokens {
		t.Errorf("%+v, want %+v", u, want)
	}
	if len(c.Probs.Content) != len(want.IDs) || len(c.Probs.Content[0].Top) != 2 || c.Probs.Content[0].Top[0].Prob != c.Probs.Content[0].Prob {
		t.Errorf("%+v", c.Probs)
	}

	events := stream[chunk](t, url, body+`,"stream":true,"stream_options":{"include_usage":true}}`)
	last := events[len(events)-1]
	events = events[:len(events)-1]
	if len(last.Choices) != 0 || last.Usage.CompletionTokens != want.Tokens || last.Usage.Details.CachedTokens == 0 {
		t.Errorf("%+v", last)
	}
	text := ""
	for i, e := range events {
		text += e.Choices[0].Delta.Content
		if (e.Choices[0].Reason != nil) != (i == len(events)-1) || (e.Choices[0].Delta.Role == "assistant") != (i == 0) || e.Usage != nil {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if len(events) != want.Tokens || text != want.Text {
		t.Errorf("%d events, %q; want %d, %q", len(events), text, want.Tokens, want.Text)
	}
}

// TestChoices: several answers, several prompts, seeds.
func TestChoices(t *testing.T) {
	_, url := start(t, Options{})
	body := `{"prompt":["func (","package main"],"n":2,"max_tokens":8,"seed":7,"temperature":0.9,"ignore_eos":true,"logprobs":1`
	a, b := ask[chunk](t, url+"/v1/completions", body+`}`), ask[chunk](t, url+"/v1/completions", body+`}`)
	if len(a.Choices) != 4 || a.Usage.CompletionTokens != 32 || a.Choices[0].Text == a.Choices[1].Text {
		t.Fatalf("%+v", a)
	}
	streamed := make([]string, 4)
	for _, e := range stream[chunk](t, url+"/v1/completions", body+`,"stream":true}`) {
		streamed[e.Choices[0].Index] += e.Choices[0].Text
	}
	for i := range a.Choices {
		if a.Choices[i].Index != i || a.Choices[i].Text != b.Choices[i].Text || streamed[i] != a.Choices[i].Text {
			t.Errorf("choice %d: %q, %q, %q", i, a.Choices[i].Text, b.Choices[i].Text, streamed[i])
		}
		if p := a.Choices[i].Probs; len(p.Tokens) != 8 || len(p.Top) != 8 || p.Offset[1] != len(p.Tokens[0]) {
			t.Errorf("choice %d: %+v", i, p)
		}
	}
	ids := ask[struct{ Tokens []int32 }](t, url+"/tokenize", `{"content":"func (","add_special":true}`).Tokens
	data, _ := json.Marshal(ids)
	greedy := `"max_tokens":6,"temperature":0}`
	if x, y := ask[chunk](t, url+"/v1/completions", `{"prompt":"func (",`+greedy), ask[chunk](t, url+"/v1/completions", `{"prompt":`+string(data)+`,`+greedy); x.Choices[0].Text != y.Choices[0].Text {
		t.Errorf("%q by text, %q by ids", x.Choices[0].Text, y.Choices[0].Text)
	}
}

// TestStop: the text ends before the stop string, which spans tokens.
func TestStop(t *testing.T) {
	_, url := start(t, Options{})
	full := ask[chunk](t, url+"/v1/completions", `{"prompt":"package main\n\nimport (\n","max_tokens":30,"temperature":0}`).Choices[0].Text
	stop, _ := json.Marshal(full[9:20])
	body := `{"prompt":"package main\n\nimport (\n","max_tokens":30,"temperature":0,"stop":` + string(stop)
	got := ask[chunk](t, url+"/v1/completions", body+`}`)
	if got.Choices[0].Text != full[:9] || *got.Choices[0].Reason != "stop" {
		t.Errorf("%+v, stop %s", got, stop)
	}
	text := ""
	for _, e := range stream[chunk](t, url+"/v1/completions", body+`,"stream":true}`) {
		text += e.Choices[0].Text
	}
	if text != full[:9] {
		t.Errorf("streamed %q", text)
	}
}

// TestNative: /api/generate has as many events as tokens, usage in the last one, and bytes that make the text.
func TestNative(t *testing.T) {
	_, url := start(t, Options{})
	body := `{"model":"tiny","prompt":"package main\n\nimport (\n","max_tokens":20,"temperature":0`
	whole := ask[struct {
		Response string
		Usage    Usage
	}](t, url+"/api/generate", body+`,"stream":false}`)
	var bytes []byte
	text, last := "", int64(0)
	events := stream[nativeEvent](t, url+"/api/generate", body+`,"stream":true}`)
	for i, e := range events {
		text += e.Text
		for _, b := range e.Bytes {
			bytes = append(bytes, byte(b))
		}
		if e.Done != (i == len(events)-1) || (e.Usage != nil) != e.Done || e.Time <= last {
			t.Errorf("event %d: %+v", i, e)
		}
		last = e.Time
	}
	u := events[len(events)-1].Usage
	if u.CompletionTokens != len(events) || len(events) > 20 || text != whole.Response || u.CompletionTokens != whole.Usage.CompletionTokens {
		t.Errorf("%d events, usage %+v, %q, want %q", len(events), u, text, whole.Response)
	}
	if !strings.HasPrefix(string(bytes), text) || !strings.Contains(text, "\n") {
		t.Errorf("bytes %q, text %q", bytes, text)
	}
}

func TestTokens(t *testing.T) {
	_, url := start(t, Options{})
	const text = "func é 🙂\n\n"
	quoted, _ := json.Marshal(text)
	got := ask[struct {
		Tokens []int32
		Count  int
	}](t, url+"/tokenize", `{"content":`+string(quoted)+`}`)
	if got.Count != len(got.Tokens) || got.Count == 0 {
		t.Fatalf("%+v", got)
	}
	data, _ := json.Marshal(got.Tokens)
	if back := ask[struct{ Content string }](t, url+"/detokenize", `{"tokens":`+string(data)+`}`); back.Content != text {
		t.Errorf("%q", back.Content)
	}
	pieces := ask[struct {
		Tokens []struct {
			ID    int32
			Bytes []int
		}
	}](t, url+"/tokenize", `{"content":`+string(quoted)+`,"with_pieces":true}`)
	var all []byte
	for _, p := range pieces.Tokens {
		for _, b := range p.Bytes {
			all = append(all, byte(b))
		}
	}
	if string(all) != text {
		t.Errorf("%q", all)
	}
}

func TestModelsAndHealth(t *testing.T) {
	_, url := start(t, Options{})
	for path, want := range map[string]string{"/health": `"status":"ok"`, "/v1/models": `"id":"tiny"`, "/v1/models/tiny": `"object":"model"`} {
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != 200 || !strings.Contains(string(data), want) {
			t.Errorf("%s: %s %s", path, r.Status, data)
		}
	}
}

// TestErrors: every refusal has a status and the form of OpenAI's errors.
func TestErrors(t *testing.T) {
	_, url := start(t, Options{MaxBody: 4096})
	const chatURL, text, native = "/v1/chat/completions", "/v1/completions", "/api/generate"
	long := strings.Repeat("func main ", 200)
	for _, c := range []struct {
		path, body string
		status     int
		code       string
		param      string
	}{
		{chatURL, `{"messages":[{"role":"user","content":"` + long + `"}]}`, 400, "context_length_exceeded", "messages"},
		{text, `{"prompt":"` + long + `","stream":true}`, 400, "context_length_exceeded", "prompt"},
		{native, `{"prompt":"` + long + `"}`, 400, "context_length_exceeded", "prompt"},
		{text, `{"prompt":"` + strings.Repeat("x", 5000) + `"}`, 413, "request_too_large", ""},
		{chatURL, `{"messages":[`, 400, "invalid_json", ""},
		{chatURL, ``, 400, "invalid_json", ""},
		{chatURL, `[]`, 400, "invalid_type", ""},
		{chatURL, `{` + talk + `,"temperature":"hot"}`, 400, "invalid_type", "temperature"},
		{chatURL, `{` + talk + `,"temperature":-1}`, 400, "invalid_value", "temperature"},
		{chatURL, `{` + talk + `,"stop":1}`, 400, "invalid_value", "stop"},
		{chatURL, `{` + talk + `,"stop":[""]}`, 400, "invalid_value", "stop"},
		{chatURL, `{` + talk + `,"n":0}`, 400, "invalid_value", "n"},
		{chatURL, `{` + talk + `,"n":1000}`, 400, "invalid_value", "n"},
		{chatURL, `{` + talk + `,"max_tokens":0}`, 400, "invalid_value", "max_tokens"},
		{chatURL, `{` + talk + `,"top_logprobs":3}`, 400, "invalid_value", "top_logprobs"},
		{chatURL, `{` + talk + `,"response_format":{"type":"json_object"}}`, 400, "unsupported_parameter", "response_format"},
		{chatURL, `{` + talk + `,"tool_choice":"required"}`, 400, "unsupported_parameter", "tool_choice"},
		{chatURL, `{` + talk + `,"max_completion_tokens":0}`, 400, "invalid_value", "max_completion_tokens"},
		{chatURL, `{` + talk + `,"top_logprobs":21,"logprobs":true}`, 400, "invalid_value", "top_logprobs"},
		{chatURL, `{` + talk + `,"stream_options":{"include_usage":true}}`, 400, "invalid_value", "stream_options"},
		{chatURL, `{` + talk + `,"functions":[{"name":"f"}]}`, 400, "unsupported_parameter", "functions"},
		{chatURL, `{` + talk + `,"function_call":"auto"}`, 400, "unsupported_parameter", "function_call"},
		{chatURL, `{` + talk + `,"modalities":["text","audio"],"audio":{"voice":"x"}}`, 400, "unsupported_parameter", "modalities"},
		{chatURL, `{` + talk + `,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{}}}}`, 400, "unsupported_parameter", "response_format"},
		{chatURL, `{` + talk + `,"tool_choice":{"type":"function","function":{"name":"f"}}}`, 400, "unsupported_parameter", "tool_choice"},
		{chatURL, `{` + talk + `,"chat_template_kwargs":[1]}`, 400, "invalid_value", "chat_template_kwargs"},
		{chatURL, `{` + talk + `,"logit_bias":{"1":1}}`, 400, "unsupported_parameter", "logit_bias"},
		{chatURL, `{` + talk + `,"chat_template":"rag"}`, 400, "invalid_value", "chat_template"},
		{chatURL, `{"messages":[]}`, 400, "invalid_value", "messages"},
		{chatURL, `{"messages":[{"content":"x"}]}`, 400, "invalid_value", "messages"},
		{chatURL, `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400, "invalid_value", "messages"},
		{chatURL, `{}`, 400, "missing_required_parameter", "messages"},
		{chatURL, `{"model":"gpt-4",` + talk + `}`, 404, "model_not_found", "model"},
		{text, `{"model":"gpt-4","prompt":"x"}`, 404, "model_not_found", "model"},
		{text, `{"prompt":{}}`, 400, "invalid_value", "prompt"},
		{text, `{"prompt":[99999999]}`, 400, "invalid_value", "prompt"},
		{text, `{"prompt":[-1]}`, 400, "invalid_value", "prompt"},
		{text, `{"prompt":"x","echo":true}`, 400, "unsupported_parameter", "echo"},
		{text, `{"prompt":"x","suffix":"y"}`, 400, "unsupported_parameter", "suffix"},
		{text, `{"prompt":"x","best_of":2}`, 400, "unsupported_parameter", "best_of"},
		{text, `{"prompt":"x","logprobs":99}`, 400, "invalid_value", "logprobs"},
		{text, `{}`, 400, "missing_required_parameter", "prompt"},
		{native, `{"prompt":["a","b"]}`, 400, "invalid_value", "prompt"},
		{"/tokenize", `{}`, 400, "missing_required_parameter", "content"},
		{"/detokenize", `{"tokens":[-5]}`, 400, "invalid_value", "tokens"},
		{"/v1/embeddings", `{}`, 404, "unknown_url", ""},
		{"/v1/models", `{}`, 405, "method_not_allowed", ""},
	} {
		r, data := post(t, url+c.path, c.body)
		checkError(t, c.path+" "+c.body, r, data, c.status, c.code, c.param)
	}
	r, err := http.Get(url + "/v1/models/other")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, _ := io.ReadAll(r.Body)
	checkError(t, "another model", r, data, 404, "model_not_found", "model")
}

func checkError(t *testing.T, what string, r *http.Response, data []byte, status int, code, param string) {
	t.Helper()
	what = fmt.Sprintf("%.60s", what)
	var doc map[string]map[string]any
	if err := json.Unmarshal(data, &doc); err != nil || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %s %s", what, r.Status, data)
		return
	}
	e := doc["error"]
	var keys []string
	for k := range e {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if len(doc) != 1 || !slices.Equal(keys, []string{"code", "message", "param", "type"}) {
		t.Errorf("%s: %s", what, data)
	}
	got, _ := e["param"].(string)
	if r.StatusCode != status || e["code"] != code || got != param || e["message"] == "" || e["type"] == "" {
		t.Errorf("%s: %s %s, want %d %s %s", what, r.Status, data, status, code, param)
	}
}

// withTemplate is a model with another chat template, and one for tools.
type withTemplate struct {
	gguf.Source
	md *gguf.Metadata
}

func (w withTemplate) Metadata() *gguf.Metadata { return w.md }

// TestTools: tools reach the template that is for them, variables any; what a template raises is the client's to read.
func TestTools(t *testing.T) {
	p := tinyPlan(t)
	md := p.Metadata().Clone()
	md.Set("tokenizer.chat_template", "{% if deny %}{{ raise_exception('denied') }}{% endif %}{% if reasoning_effort %}{{ reasoning_effort }} {% endif %}plain {{ extra }}{{ messages[0].content }}")
	md.Set("tokenizer.chat_templates", []string{"tool_use"})
	md.Set("tokenizer.chat_template.tool_use", "tool {{ tools[0].function.name }}")
	m, err := runtime.Load(withTemplate{p, md}, runtime.Options{Context: 64})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"messages":[{"role":"user","content":"hi"}]`
	for more, want := range map[string]string{
		``: "plain hi",
		`,"tools":[{"type":"function","function":{"name":"look"}}]`:                                 "tool look",
		`,"tools":[{"type":"function","function":{"name":"look"}}],"tool_choice":"none"`:            "plain hi",
		`,"reasoning_effort":"low","chat_template_kwargs":{"extra":"more "}`:                        "low plain more hi",
		`,"chat_template_kwargs":{"reasoning_effort":"","extra":"more "},"reasoning_effort":"high"`: "plain more hi",
		`,"chat_template":"tool_use","tools":[{"function":{"name":"x"}}]`:                           "tool x",
	} {
		var q chatRequest
		if err := json.Unmarshal([]byte(body+more+"}"), &q); err != nil {
			t.Fatal(err)
		}
		var opts runtime.GenerateOptions
		ids, _, err := s.prompt(t.Context(), &q, &opts)
		if got := s.tok.Decode(ids, token.Options{}); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", more, got, err, want)
		}
	}
	h := httptest.NewServer(s)
	defer h.Close()
	r, data := post(t, h.URL+"/v1/chat/completions", body+`,"chat_template_kwargs":{"deny":true}}`)
	checkError(t, "denied", r, data, 400, "invalid_value", "messages")
	if !strings.Contains(string(data), "denied") {
		t.Errorf("%s", data)
	}
}
