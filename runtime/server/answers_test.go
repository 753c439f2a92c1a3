package server

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
)

// talker is the trained model with other texts for the first tokens that it writes after "package main", so that it says
// something else; control are those that are control tokens.
func talker(t *testing.T, texts []string, control ...int) (url string, seed uint64) {
	t.Helper()
	p := tinyPlan(t)
	md := p.Metadata().Clone()
	md.Set("tokenizer.ggml.merges", []string{}) // they name tokens whose texts change
	m, err := runtime.Load(withTemplate{p, md}, runtime.Options{Context: 64})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := m.NewChatTemplate("package main\n")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := tmpl.Encode("package main\n")
	if err != nil {
		t.Fatal(err)
	}
	var said []int32
	for distinct := false; !distinct; {
		seed++
		opts := runtime.GenerateOptions{MaxTokens: len(texts), IgnoreEOG: true}
		opts.Sample.Temperature, opts.Sample.Seed = 2, seed
		g, err := runtime.Generate(t.Context(), m.NewSession(), ids, opts)
		if err != nil {
			t.Fatal(err)
		}
		said = g.IDs
		all := slices.Sorted(slices.Values(slices.Concat(said, ids[:1])))
		distinct = len(slices.Compact(all)) == len(said)+1 && !slices.ContainsFunc(said, func(id int32) bool { return len(tok.Piece(id)) == 1 || tok.IsEOG(id) })
	}
	pieces, _ := gguf.Value[[]string](md, "tokenizer.ggml.tokens")
	kinds, _ := gguf.Value[[]int32](md, "tokenizer.ggml.token_type")
	pieces, kinds = slices.Clone(pieces), slices.Clone(kinds)
	for i, text := range texts {
		pieces[said[i]], kinds[said[i]] = text, 4
		if slices.Contains(control, i) {
			kinds[said[i]] = 3
		}
	}
	md.Set("tokenizer.ggml.tokens", pieces)
	md.Set("tokenizer.ggml.token_type", kinds)
	md.Set("tokenizer.chat_template", "{# <think></think><tool_call></tool_call> #}package main\n{{ '' }}")
	other, err := runtime.Load(withTemplate{p, md}, runtime.Options{Context: 256})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(other, Options{Name: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h.URL, seed
}

// said is an answer with its parts.
type said struct {
	Choices []struct {
		Message, Delta struct {
			Role      string
			Content   *string
			Reasoning string     `json:"reasoning_content"`
			Calls     []toolCall `json:"tool_calls"`
		}
		Reason *string `json:"finish_reason"`
	}
}

// TestToolCalls: reasoning and calls are parts of their own, in whole answers and in streams.
func TestToolCalls(t *testing.T) {
	url, seed := talker(t, []string{"<think>", "why ever", "</think>", "so it is", "<tool_call>", `{"name": "look", "arguments"`, `: {"at": 1}}`, "</tool_call>", "STOP"}, 4, 7)
	begin := fmt.Sprintf(`{"messages":[{"role":"user","content":"x"}],"temperature":2,"seed":%d,"max_tokens":30,"stop":"STOP"`, seed)
	const tools = `,"tools":[{"type":"function","function":{"name":"look"}}]`
	for _, c := range []struct{ more, content, reason, arguments string }{
		{tools, "so it is", "tool_calls", `{"at": 1}`},
		{tools + `,"tool_choice":"none"`, `so it is<tool_call>{"name": "look", "arguments": {"at": 1}}</tool_call>`, "stop", ""},
		{strings.ReplaceAll(tools, "look", "see"), `so it is<tool_call>{"name": "look", "arguments": {"at": 1}}</tool_call>`, "stop", ""},
	} {
		whole := ask[said](t, url+"/v1/chat/completions", begin+c.more+"}").Choices[0]
		m := whole.Message
		if *whole.Reason != c.reason || *m.Content != c.content || m.Reasoning != "why ever" || (len(m.Calls) == 1) != (c.arguments != "") {
			t.Errorf("%s: %+v, ended by %s", c.more, m, *whole.Reason)
		}
		var content, reasoning, reason string
		var calls []toolCall
		for _, e := range stream[said](t, url+"/v1/chat/completions", begin+c.more+`,"stream":true}`) {
			d := e.Choices[0].Delta
			content, reasoning, calls = content+*d.Content, reasoning+d.Reasoning, append(calls, d.Calls...)
			if e.Choices[0].Reason != nil {
				reason = *e.Choices[0].Reason
			}
		}
		if content != c.content || reasoning != "why ever" || reason != c.reason || len(calls) != len(m.Calls) {
			t.Errorf("%s: streamed %q, %q, %+v, ended by %s", c.more, content, reasoning, calls, reason)
		}
		for _, list := range [][]toolCall{calls, m.Calls} {
			if len(list) == 1 && (list[0].Function != functionCall{"look", c.arguments} || list[0].ID == "" || list[0].Type != "function") {
				t.Errorf("%s: %+v", c.more, list)
			}
		}
		if len(calls) == 1 && (calls[0].Index == nil || *calls[0].Index != 0) {
			t.Errorf("%+v", calls)
		}
	}
}
