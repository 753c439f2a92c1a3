package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
)

// samplingFlags are the flags of every verb that generates.
type samplingFlags struct{ opts runtime.GenerateOptions }

func (g *samplingFlags) register(f *pflag.FlagSet, maxTokens int, temperature float64) {
	s := &g.opts.Sample
	f.IntVarP(&g.opts.MaxTokens, "max-tokens", "n", maxTokens, "tokens to generate at most; 0: until the context is full")
	f.BoolVar(&g.opts.IgnoreEOG, "ignore-eos", false, "go on where the model would end")
	f.StringArrayVar(&g.opts.Stop, "stop", nil, "`TEXT` that ends the generation, repeatable")
	f.BoolVar(&g.opts.Shift, "context-shift", false, "drop the oldest tokens of a text that outgrows the context")
	f.IntVar(&g.opts.Keep, "keep", 0, "with --context-shift: `N` tokens at the beginning that are never dropped")
	f.Float64Var(&s.Temperature, "temp", temperature, "temperature; 0 is greedy")
	f.IntVar(&s.TopK, "top-k", 40, "sample among the `K` most likely tokens; 0: all")
	f.Float64Var(&s.TopP, "top-p", 0.95, "sample among the most likely tokens of this total probability")
	f.Float64Var(&s.MinP, "min-p", 0.05, "least probability relative to the most likely token")
	f.Float64Var(&s.RepeatPenalty, "repeat-penalty", 1, "penalty of tokens seen before; 1: none")
	f.Float64Var(&s.FrequencyPenalty, "frequency-penalty", 0, "penalty for each time a token was seen")
	f.Float64Var(&s.PresencePenalty, "presence-penalty", 0, "penalty of tokens seen at all")
	f.IntVar(&s.RepeatLast, "repeat-last-n", 64, "tokens that count as seen")
	f.Uint64Var(&s.Seed, "seed", 0, "seed of the random choice")
}

// check refuses values out of range before anything is read.
func (g *samplingFlags) check() error {
	if err := g.opts.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

func (g *samplingFlags) options() runtime.GenerateOptions { return g.opts }

type generateFlags struct {
	prompt, promptFile string
	tokens, messages   string
	system             string
	chat, special      bool
	logprobs           int
	template           templateFlags
	sampling           samplingFlags
}

func (g *generateFlags) register(f *pflag.FlagSet) {
	f.StringVarP(&g.prompt, "prompt", "p", "", "the prompt")
	f.StringVarP(&g.promptFile, "file", "f", "", "read the prompt from a `FILE`")
	f.StringVar(&g.tokens, "tokens", "", "the prompt as token `IDS`: 1,2,3")
	f.StringVar(&g.messages, "messages", "", "answer the conversation in a JSON `FILE`")
	f.BoolVar(&g.chat, "chat", false, "the prompt is a user's message, for the model's chat template")
	f.StringVar(&g.system, "system", "", "with --chat: the system message")
	f.BoolVar(&g.special, "special", false, "recognise special tokens in the prompt")
	f.IntVar(&g.logprobs, "logprobs", -1, "with --json: probabilities of the tokens and of the `N` most likely ones")
	g.template.register(f)
	g.sampling.register(f, 128, 0)
}

func (g *generateFlags) check() error {
	given := 0
	for _, s := range []string{g.prompt, g.promptFile, g.tokens, g.messages} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return errOnePrompt
	case g.chat && g.tokens != "":
		return usageError{errors.New("--chat needs a text, not --tokens")}
	case g.logprobs < -1:
		return usageError{fmt.Errorf("--logprobs %d: want 0 or more", g.logprobs)}
	case g.system != "" && !g.chat:
		return usageError{errors.New("--system goes with --chat")}
	}
	if g.logprobs >= 0 {
		g.sampling.opts.Logprobs, g.sampling.opts.Top = true, g.logprobs
	}
	return g.sampling.check()
}

// ids is the prompt: ids as given, text with BOS where the model wants one, or a conversation by its template.
func (g *generateFlags) ids(ctx context.Context, a *app, m *runtime.Model, opts *runtime.GenerateOptions) ([]int32, error) {
	if g.tokens != "" {
		return parseIDs(g.tokens)
	}
	if g.chat || g.messages != "" {
		return g.chatIDs(ctx, a, m, opts)
	}
	text, err := g.text()
	if err != nil {
		return nil, err
	}
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	return tok.Encode(text, token.Options{AddSpecial: true, ParseSpecial: g.special})
}

func (g *generateFlags) text() (string, error) {
	if g.promptFile == "" {
		return g.prompt, nil
	}
	b, err := os.ReadFile(g.promptFile)
	return string(b), err
}

// conversation is that of --messages or --chat.
func (g *generateFlags) conversation() (conversation, error) {
	if g.messages != "" {
		return readConversation(g.messages)
	}
	text, err := g.text()
	if err != nil {
		return conversation{}, err
	}
	var list []message
	if g.system != "" {
		list = append(list, message{"system", g.system})
	}
	data, err := json.Marshal(append(list, message{"user", text}))
	return conversation{Messages: data}, err
}

func (g *generateFlags) chatIDs(ctx context.Context, a *app, m *runtime.Model, opts *runtime.GenerateOptions) ([]int32, error) {
	c, err := g.conversation()
	if err != nil {
		return nil, err
	}
	in, err := g.template.input(c)
	if err != nil {
		return nil, err
	}
	tmpl, err := g.template.of(a, m, c.Tools != nil)
	if err != nil {
		return nil, err
	}
	opts.Stop = append(opts.Stop, tmpl.Stop...)
	return tmpl.Tokens(ctx, in)
}
