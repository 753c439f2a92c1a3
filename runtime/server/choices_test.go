package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestChoicesTogether: several answers are written at the same time, each as it is written alone, and their prompt is read once.
func TestChoicesTogether(t *testing.T) {
	s, url := start(t, Options{Slots: 3})
	const body = `{"messages":[{"role":"user","content":"package main, import and func main, please"}],"temperature":0.9,"seed":%d,"max_tokens":24,"ignore_eos":true,"logprobs":true%s}`
	var want []string
	for seed := range 5 {
		want = append(want, ask[chunk](t, url+"/v1/chat/completions", fmt.Sprintf(body, seed, "")).Choices[0].Message.Content)
	}
	if s.engine.perStep() != 1 {
		t.Fatalf("%v generations a step", s.engine.perStep())
	}
	got := ask[chunk](t, url+"/v1/chat/completions", fmt.Sprintf(body, 0, `,"n":5`))
	streamed := make([]string, 5)
	roles := map[int]int{}
	for _, e := range stream[chunk](t, url+"/v1/chat/completions", fmt.Sprintf(body, 0, `,"n":5,"stream":true`)) {
		for _, c := range e.Choices {
			streamed[c.Index] += c.Delta.Content
			if c.Delta.Role == "assistant" {
				roles[c.Index]++
			}
		}
	}
	for i, w := range want {
		if c := got.Choices[i]; c.Index != i || c.Message.Content != w || streamed[i] != w || roles[i] != 1 {
			t.Errorf("choice %d: %q, streamed %q with %d roles, want %q", i, c.Message.Content, streamed[i], roles[i], w)
		}
	}
	if u := got.Usage; u.CompletionTokens != 120 || u.PromptTokens < 10 || u.PromptTokens > 60 {
		t.Errorf("%+v", u)
	}
	if s.engine.perStep() <= 1 {
		t.Errorf("%v generations a step", s.engine.perStep())
	}
	if running, waiting := s.engine.load(); running != 0 || waiting != 0 || len(s.engine.idle) > 3 {
		t.Errorf("%d running, %d waiting, %d sessions", running, waiting, len(s.engine.idle))
	}
}

// TestPrompts: several prompts are continued at the same time, each as alone.
func TestPrompts(t *testing.T) {
	_, url := start(t, Options{Slots: 3})
	texts := []string{"package main\n", "func (", "import (\n", "type T struct {"}
	tail := `,"temperature":0,"max_tokens":12,"ignore_eos":true,"logprobs":1}`
	all := ask[chunk](t, url+"/v1/completions", `{"prompt":["`+strings.ReplaceAll(strings.Join(texts, `","`), "\n", `\n`)+`"]`+tail)
	for i, text := range texts {
		one := ask[chunk](t, url+"/v1/completions", `{"prompt":"`+strings.ReplaceAll(text, "\n", `\n`)+`"`+tail)
		if all.Choices[i].Index != i || all.Choices[i].Text != one.Choices[0].Text {
			t.Errorf("%q: %q, want %q", text, all.Choices[i].Text, one.Choices[0].Text)
		}
	}
}

// TestChoicesFail: a client that goes away takes all of its choices with it.
func TestChoicesFail(t *testing.T) {
	s, url := start(t, Options{Slots: 4, Shift: true})
	leave(http.DefaultClient, url, call{"/v1/completions", strings.Replace(endless, "{", `{"n":4,`, 1), true}, 0)
	s.running.Wait()
	if running, _ := s.engine.load(); running != 0 {
		t.Errorf("%d running", running)
	}
	ask[chunk](t, url+"/v1/completions", `{"prompt":"y","max_tokens":1}`)
}

// TestTokenIDs: the ids of prompt and answer come with both APIs, streamed or not, as many as the usage says.
func TestTokenIDs(t *testing.T) {
	_, url := start(t, Options{})
	type withIDs struct {
		Prompt  []int32 `json:"prompt_token_ids"`
		Choices []struct {
			Prompt []int32 `json:"prompt_token_ids"`
			IDs    []int32 `json:"token_ids"`
		}
		Usage *Usage
	}
	for path, begin := range map[string]string{"/v1/completions": `{"prompt":"func ("`, "/v1/chat/completions": `{"messages":[{"role":"user","content":"hi"}]`} {
		body := begin + `,"max_tokens":6,"temperature":0,"return_token_ids":true`
		whole := ask[withIDs](t, url+path, body+"}")
		prompt, ids := slices.Concat(whole.Prompt, whole.Choices[0].Prompt), whole.Choices[0].IDs
		if len(ids) != whole.Usage.CompletionTokens || len(prompt) != whole.Usage.PromptTokens {
			t.Errorf("%s: %+v, usage %+v", path, whole, whole.Usage)
		}
		var streamed, read []int32
		for _, e := range stream[withIDs](t, url+path, body+`,"stream":true}`) {
			streamed, read = append(streamed, e.Choices[0].IDs...), slices.Concat(read, e.Prompt, e.Choices[0].Prompt)
		}
		if !slices.Equal(streamed, ids) || !slices.Equal(read, prompt) {
			t.Errorf("%s: streamed %v and %v, want %v and %v", path, read, streamed, prompt, ids)
		}
		if plain := ask[withIDs](t, url+path, begin+`,"max_tokens":2}`); plain.Prompt != nil || plain.Choices[0].IDs != nil || plain.Choices[0].Prompt != nil {
			t.Errorf("%s: %+v", path, plain)
		}
	}
}
