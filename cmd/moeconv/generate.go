package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/runtime/sample"
)

type generateDoc struct {
	envelope
	Text         string         `json:"text"`
	IDs          []int32        `json:"ids"`
	Reason       string         `json:"reason"`
	PromptTokens int            `json:"prompt_tokens"`
	Prefill      float64        `json:"prefill_s"`
	Decode       float64        `json:"decode_s"`
	Sample       sample.Options `json:"sample"`
	Logprobs     []logprobDoc   `json:"logprobs,omitempty"`
	Offload      *offload.Stats `json:"offload,omitempty"` // of streamed experts
}

// logprobDoc is a token's probability, and those of the most likely tokens in its place.
type logprobDoc struct {
	ID      int32        `json:"id"`
	Text    string       `json:"text"`
	Logprob float64      `json:"logprob"`
	Top     []logprobDoc `json:"top,omitempty"`
}

func generateCmd(a *app) *cobra.Command {
	var (
		src   sourceFlags
		run   runFlags
		flags generateFlags
		at    endpointFlags
	)
	cmd := &cobra.Command{
		Use:   "generate SRC -p PROMPT",
		Short: "Let the model continue a text, or answer a conversation",
		Long: `generate continues a prompt. Samplers run in this order: penalties, top-k, top-p,
min-p, temperature, random choice; temperature 0 (the default) is greedy.

With --chat the prompt is what a user says, written by the model's own chat template.
--messages FILE is a whole conversation, [{"role": "user", "content": "..."}, ...] or
{"messages": [...], "tools": [...]}.

A text that outgrows the context ends there; with --context-shift its oldest tokens
are dropped instead.`,
		Args: at.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(); err != nil {
				return err
			}
			if at.url != "" {
				return a.generateAt(cmd, at, flags)
			}
			m, done, err := a.load(args[0], src, run, cmd)
			if err != nil {
				return err
			}
			defer done()
			return a.generate(cmd, m, flags, run.placed())
		},
	}
	src.register(cmd.Flags(), "auto")
	run.register(cmd.Flags(), "integers", "f16")
	flags.register(cmd.Flags())
	at.register(cmd.Flags())
	return cmd
}

func (a *app) generate(cmd *cobra.Command, m *runtime.Model, flags generateFlags, placed bool) error {
	tok, err := m.Tokenizer()
	if err != nil {
		return err
	}
	opts := flags.sampling.options()
	ids, err := flags.ids(cmd.Context(), a, m, &opts)
	if err != nil {
		return err
	}
	doc := generateDoc{envelope: a.envelope(), Sample: opts.Sample}
	opts.OnToken = func(t runtime.Token) {
		if !a.json {
			io.WriteString(a.stdout, t.Text)
		}
		if opts.Logprobs {
			p := logprobDoc{ID: t.ID, Text: string(tok.Piece(t.ID)), Logprob: t.Logprob}
			for _, top := range t.Top {
				p.Top = append(p.Top, logprobDoc{ID: top.ID, Text: string(tok.Piece(top.ID)), Logprob: top.Logprob})
			}
			doc.Logprobs = append(doc.Logprobs, p)
		}
	}
	g, err := runtime.Generate(cmd.Context(), m.NewSession(), ids, opts)
	if err != nil {
		return err
	}
	doc.Text, doc.IDs, doc.Reason = g.Text, g.IDs, g.Reason
	doc.PromptTokens, doc.Prefill, doc.Decode = g.PromptTokens, g.PromptTime.Seconds(), g.Time.Seconds()
	if s, ok := m.Streamed(); ok {
		doc.Offload = &s
	}
	return a.emit(doc, func(w io.Writer) error {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		a.diag("%d prompt tokens in %.2f s, %d tokens in %.2f s, ended by %s",
			g.PromptTokens, doc.Prefill, len(g.IDs), doc.Decode, g.Reason)
		if placed && doc.Offload != nil {
			printStreamed(a.stderr, *doc.Offload)
		}
		if g.Reason == runtime.ReasonContext {
			a.diag("the context of %d positions is full: %d of the prompt, %d generated; --context-shift goes on without the oldest",
				m.ContextLength(), g.PromptTokens, len(g.IDs))
		}
		return nil
	})
}

var errOnePrompt = usageError{errors.New("generate needs one of --prompt, --file, --tokens and --messages")}
