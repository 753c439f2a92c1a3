package stress

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/verify"
)

// target is the server that is put under load: one in this process with the file's model, or an endpoint.
type target struct {
	client *server.Client
	url    string
	model  *runtime.Model // nil: an endpoint
	chat   bool
	stop   func()
}

// open serves the file as serve does: activations in integers, an F16 cache.
func open(sub *verify.Subject, p *Protocol) (*target, error) {
	tokens := p.Context.Tokens
	arch, err := sub.Source.Metadata().Architecture()
	if err != nil {
		return nil, err
	}
	if own, err := gguf.Value[uint32](sub.Source.Metadata(), arch+".context_length"); err == nil {
		tokens = min(tokens, int(own))
	}
	m, err := runtime.Load(sub.Source, runtime.Options{Threads: sub.Runtime.Threads, Placement: sub.Runtime.Placement, Context: tokens,
		Activations: runtime.ActivationsIntegers, KV: gguf.F16}.Fitted())
	if err != nil {
		return nil, err
	}
	t := &target{model: m, stop: func() { m.Close() }}
	template, err := m.ChatTemplate("", false)
	if err == nil {
		t.chat = template.Own
		err = t.serve(p.Concurrent.Sessions)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return t, nil
}

func (t *target) serve(slots int) error {
	s, err := server.New(t.model, server.Options{Name: "stress", Slots: slots})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.stop = func() {
		cancel()
		<-done
		t.model.Close()
	}
	t.url = "http://" + l.Addr().String()
	t.client, err = server.NewClient(t.url, server.ClientOptions{Model: "stress"})
	return err
}

// answer is what came of a request.
type answer struct {
	text   string
	tokens int
	prompt int // tokens of the prompt, and of these known already; 0 where the server does not say
	cached int
	start  time.Time
	total  time.Duration
	pieces []time.Duration
}

// first is the time to the first piece of text.
func (a *answer) first() time.Duration {
	if len(a.pieces) == 0 {
		return a.total
	}
	return a.pieces[0]
}

// message is one of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// ask sends one prompt.
func (t *target) ask(ctx context.Context, p *Protocol, prompt string, tokens int, seed uint64) (*answer, error) {
	return t.say(ctx, p, []message{{"user", prompt}}, tokens, seed, nil)
}

// say sends a conversation. A model without a chat template continues its text.
func (t *target) say(ctx context.Context, p *Protocol, conversation []message, tokens int, seed uint64, emit func(string)) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	q := server.Request{MaxTokens: tokens, Temperature: &p.Temperature, Seed: &seed}
	if t.chat {
		var err error
		if q.Messages, err = json.Marshal(conversation); err != nil {
			return nil, err
		}
	} else {
		for i, m := range conversation {
			if i > 0 {
				q.Prompt += "\n\n"
			}
			q.Prompt += m.Content
		}
	}
	a := &answer{start: time.Now()}
	got, err := t.client.Generate(ctx, q, func(text string) {
		a.pieces = append(a.pieces, time.Since(a.start))
		if emit != nil {
			emit(text)
		}
	})
	a.total = time.Since(a.start)
	if err != nil {
		return nil, err
	}
	a.text, a.tokens, a.prompt, a.cached = got.Text, got.Usage.CompletionTokens, got.Usage.PromptTokens, got.Usage.Details.CachedTokens
	if a.tokens == 0 {
		a.tokens = len(a.pieces)
	}
	if tokens > 0 && a.tokens > tokens {
		return nil, fmt.Errorf("%d tokens where %d are allowed", a.tokens, tokens)
	}
	return a, nil
}
