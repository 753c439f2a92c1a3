package bench

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/runtime/token"
)

// ownFields have a server of ours send ids, and evaluate each prompt anew, so that every run does the same work.
var ownFields = map[string]any{"return_token_ids": true, "cache_prompt": false}

// Serve is a target of a loaded model: a server in this process, until stop is called.
func Serve(m *runtime.Model, h Hosted) (t Target, stop func() error, err error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return t, nil, fmt.Errorf("bench: %w", err)
	}
	s, err := server.New(m, server.Options{Name: h.Name, Slots: 1})
	if err != nil {
		return t, nil, fmt.Errorf("bench: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return t, nil, fmt.Errorf("bench: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stop = func() error {
		cancel()
		return <-done
	}
	return Target{Name: h.Name, URL: "http://" + l.Addr().String(), Model: h.Name, Extra: ownFields, Count: Counter(tok), Placed: where(m), Load: seconds(h.Load),
		Offload: func() *offload.Stats {
			if s, ok := m.Streamed(); ok {
				return &s
			}
			return nil
		},
		Memory: func() ([]Figure, error) {
			return h.memory(m, "this process: all models that are loaded, servers and client")
		}}, stop, nil
}

// seconds is a time as documents have it.
func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// Remote is a target of a server elsewhere; the model is the client's, or the server's only one.
func Remote(ctx context.Context, c *server.Client, url, key string) (Target, error) {
	model, err := c.Model(ctx)
	return Target{Name: model, URL: url, Model: model, Key: key}, err
}

// Counter counts a text's tokens.
func Counter(tok *token.Tokenizer) func(string) (int, error) {
	return func(text string) (int, error) {
		ids, err := tok.Encode(text, token.Options{})
		return len(ids), err
	}
}
