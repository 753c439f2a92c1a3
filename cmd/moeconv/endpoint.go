package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/runtime/server"
)

// endpointFlags let a server generate in place of the bundled runtime.
type endpointFlags struct{ url, model string }

func (e *endpointFlags) register(f *pflag.FlagSet) {
	f.StringVar(&e.url, "endpoint", "", "let the server at this `URL` generate (OpenAI's API: llama-server, ollama, vLLM, moeconv serve); there is no SRC then")
	f.StringVar(&e.model, "endpoint-model", "", "`NAME` of the model at the endpoint (default: its only one)")
}

// args checks that there is either SRC or --endpoint.
func (e *endpointFlags) args(cmd *cobra.Command, args []string) error {
	want := 1
	if e.url != "" {
		want = 0
	}
	if err := exactArgs(want)(cmd, args); err != nil {
		return err
	}
	if e.url == "" && e.model != "" {
		return usageError{errors.New("--endpoint-model goes with --endpoint")}
	}
	for _, name := range []string{"chat-template", "logprobs", "tokens", "context-shift", "keep", "top-k", "min-p", "repeat-penalty", "repeat-last-n", "ignore-eos", "ctx"} {
		if f := cmd.Flags().Lookup(name); e.url != "" && f != nil && f.Changed {
			return usageError{fmt.Errorf("--%s cannot be used with --endpoint", name)}
		}
	}
	return nil
}

func (e *endpointFlags) client() (*server.Client, error) {
	c, err := server.NewClient(e.url, server.ClientOptions{Model: e.model, Key: os.Getenv(recipes.EndpointKeyEnv)})
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// request is what the flags ask for; where they are silent the server chooses, but for the temperature.
func (g *samplingFlags) request(f *pflag.FlagSet) server.Request {
	s := &g.opts.Sample
	q := server.Request{MaxTokens: g.opts.MaxTokens, Stop: g.opts.Stop, Temperature: &s.Temperature,
		FrequencyPenalty: s.FrequencyPenalty, PresencePenalty: s.PresencePenalty}
	if f.Changed("top-p") {
		q.TopP = &s.TopP
	}
	if f.Changed("seed") {
		q.Seed = &s.Seed
	}
	return q
}

type endpointDoc struct {
	envelope
	Endpoint string       `json:"endpoint"`
	Model    string       `json:"model"`
	Text     string       `json:"text"`
	Reason   string       `json:"reason"`
	Usage    server.Usage `json:"usage"`
	Seconds  float64      `json:"seconds"`
}

// generateAt is generate with --endpoint.
func (a *app) generateAt(cmd *cobra.Command, e endpointFlags, flags generateFlags) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	q := flags.sampling.request(cmd.Flags())
	if flags.chat || flags.messages != "" {
		talk, err := flags.conversation()
		if err != nil {
			return err
		}
		in, err := flags.template.input(talk)
		if err != nil {
			return err
		}
		q.Messages, q.Tools, q.Template = talk.Messages, talk.Tools, in.Extra
	} else if q.Prompt, err = flags.text(); err != nil {
		return err
	}
	emit := func(text string) { io.WriteString(a.stdout, text) }
	if a.json {
		emit = nil
	}
	start := time.Now()
	answer, err := c.Generate(cmd.Context(), q, emit)
	if err != nil {
		return err
	}
	doc := endpointDoc{a.envelope(), e.url, answer.Model, answer.Text, answer.Reason, answer.Usage, time.Since(start).Seconds()}
	return a.emit(doc, func(w io.Writer) error {
		_, err := fmt.Fprintln(w)
		a.diag("%s at %s: %d prompt tokens, %d tokens, %.2f s, ended by %s", doc.Model, doc.Endpoint,
			doc.Usage.PromptTokens, doc.Usage.CompletionTokens, doc.Seconds, doc.Reason)
		return err
	})
}

// talkAt is chat with --endpoint.
func (a *app) talkAt(cmd *cobra.Command, e endpointFlags, q server.Request, template templateFlags, past []message) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	in, err := template.input(conversation{})
	if err != nil {
		return err
	}
	if _, err := c.Model(cmd.Context()); err != nil { // before anybody types
		return err
	}
	q.Template = in.Extra
	return a.talk(cmd.Context(), &remoteAnswerer{c, q}, past)
}

// remoteAnswerer is a model at an endpoint.
type remoteAnswerer struct {
	client  *server.Client
	request server.Request
}

func (r *remoteAnswerer) answer(ctx context.Context, messages []message, emit func(string)) (string, error) {
	data, err := json.Marshal(messages)
	if err != nil {
		return "", err
	}
	q := r.request
	q.Messages = data
	a, err := r.client.Generate(ctx, q, emit)
	return a.Text, err
}
