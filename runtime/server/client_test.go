package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestClient: what a client of our own server gets is what the runtime generates.
func TestClient(t *testing.T) {
	_, url := start(t, Options{})
	zero := 0.0
	messages := `[{"role":"user","content":"sort a slice"}]`
	want := serial(t, messages, 9)
	for _, endpoint := range []string{url, url + "/", url + "/v1", url + "/v1/"} {
		c, err := NewClient(endpoint, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		streamed := ""
		a, err := c.Generate(t.Context(), Request{Messages: json.RawMessage(messages), MaxTokens: 9, Temperature: &zero}, func(s string) { streamed += s })
		if err != nil || a.Text != want.Text || streamed != a.Text || a.Model != "tiny" || a.Reason != finishReason(want.Reason) || a.Usage.CompletionTokens != want.Tokens {
			t.Errorf("%s: %+v, %v, want %+v", endpoint, a, err, want)
		}
	}
	c, _ := NewClient(url, ClientOptions{})
	one, err := c.Generate(t.Context(), Request{Prompt: "func (", MaxTokens: 5, Temperature: &zero}, nil)
	if err != nil || one.Text == "" || one.Usage.CompletionTokens != 5 {
		t.Errorf("%+v, %v", one, err)
	}
	var refused *Error
	if _, err := c.Generate(t.Context(), Request{Prompt: strings.Repeat("x y ", 900)}, nil); !errors.As(err, &refused) || *refused.Code != "context_length_exceeded" {
		t.Errorf("too long: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a, err := c.Generate(ctx, Request{Prompt: "func (", Temperature: &zero}, func(string) { cancel() })
	if !errors.Is(err, context.Canceled) || a.Text == "" {
		t.Errorf("cancelled: %+v, %v", a, err)
	}
}

// TestClientRefuses strange addresses and answers.
func TestClientRefuses(t *testing.T) {
	for _, endpoint := range []string{"", "localhost:1", "ftp://x", "http://", "http://[::1"} {
		if _, err := NewClient(endpoint, ClientOptions{}); err == nil {
			t.Errorf("%q: no error", endpoint)
		}
	}
	var body string
	status := 200
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	defer h.Close()
	c, err := NewClient(h.URL, ClientOptions{Key: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	var several *ModelChoiceError
	body = `{"data":[{"id":"a"},{"id":"b"}]}`
	if _, err := c.Model(t.Context()); !errors.As(err, &several) || len(several.IDs) != 2 {
		t.Errorf("two models: %v", err)
	}
	c, _ = NewClient(h.URL, ClientOptions{Model: "a", Key: "secret"})
	for _, x := range []struct {
		status     int
		body, want string
	}{
		{500, "<html>broken</html>", "broken"},
		{429, `{"error":{"message":"busy","type":"x","param":null,"code":null}}`, "busy"},
		{200, "", "unexpected EOF"},
		{200, "data: {\"choices\":[{\"text\":\"a\"}]}\n\n", "unexpected EOF"},
		{200, "data: {\n\n", "unexpected end"},
		{200, "data: {\"error\":{\"message\":\"midway\"}}\n\n", "midway"},
	} {
		status, body = x.status, x.body
		if _, err := c.Generate(t.Context(), Request{Prompt: "x"}, nil); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%d %s: %v, want %s", x.status, x.body, err, x.want)
		}
	}
	// Servers that leave spaces and usage out, and answer with null contents.
	status, body = 200, "data:{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n: ping\n\ndata:{\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":null}\n\ndata:[DONE]\n\n"
	if a, err := c.Generate(t.Context(), Request{Messages: json.RawMessage("[]")}, nil); err != nil || a.Text != "hi" || a.Reason != "stop" {
		t.Errorf("%+v, %v", a, err)
	}
}
