package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/sample"
	"github.com/moeconv/moeconv/runtime/token"
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
}

type generateFlags struct {
	prompt, promptFile string
	tokens             string
	special            bool
	opts               runtime.GenerateOptions
}

func (g *generateFlags) register(f *pflag.FlagSet) {
	s := &g.opts.Sample
	f.StringVarP(&g.prompt, "prompt", "p", "", "the prompt")
	f.StringVarP(&g.promptFile, "file", "f", "", "read the prompt from a `FILE`")
	f.StringVar(&g.tokens, "tokens", "", "the prompt as token `IDS`: 1,2,3")
	f.BoolVar(&g.special, "special", false, "recognise special tokens in the prompt")
	f.IntVarP(&g.opts.MaxTokens, "max-tokens", "n", 128, "tokens to generate at most")
	f.BoolVar(&g.opts.IgnoreEOG, "ignore-eos", false, "go on where the model would end")
	f.StringArrayVar(&g.opts.Stop, "stop", nil, "`TEXT` that ends the generation, repeatable")
	f.Float64Var(&s.Temperature, "temp", 0, "temperature; 0 is greedy")
	f.IntVar(&s.TopK, "top-k", 40, "sample among the `K` most likely tokens; 0: all")
	f.Float64Var(&s.TopP, "top-p", 0.95, "sample among the most likely tokens of this total probability")
	f.Float64Var(&s.MinP, "min-p", 0.05, "least probability relative to the most likely token")
	f.Float64Var(&s.RepeatPenalty, "repeat-penalty", 1, "penalty of tokens seen before; 1: none")
	f.Float64Var(&s.FrequencyPenalty, "frequency-penalty", 0, "penalty for each time a token was seen")
	f.Float64Var(&s.PresencePenalty, "presence-penalty", 0, "penalty of tokens seen at all")
	f.IntVar(&s.RepeatLast, "repeat-last-n", 64, "tokens that count as seen")
	f.Uint64Var(&s.Seed, "seed", 0, "seed of the random choice")
}

func generateCmd(a *app) *cobra.Command {
	var (
		src   sourceFlags
		run   runFlags
		flags generateFlags
	)
	cmd := &cobra.Command{
		Use:   "generate SRC -p PROMPT",
		Short: "Let the model continue a text",
		Long: `generate continues a prompt. Samplers run in this order: penalties, top-k, top-p,
min-p, temperature, random choice; temperature 0 (the default) is greedy.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, done, err := a.load(args[0], src, run, cmd)
			if err != nil {
				return err
			}
			defer done()
			tok, err := m.Tokenizer()
			if err != nil {
				return err
			}
			ids, err := flags.ids(tok)
			if err != nil {
				return err
			}
			if !a.json {
				flags.opts.OnToken = func(_ int32, piece string) { io.WriteString(a.stdout, piece) }
			}
			g, err := runtime.Generate(cmd.Context(), m.NewSession(), ids, flags.opts)
			if err != nil {
				return err
			}
			return a.emitGeneration(g, flags.opts.Sample)
		},
	}
	src.register(cmd.Flags(), "auto")
	run.register(cmd.Flags(), "rounded", "f16")
	flags.register(cmd.Flags())
	return cmd
}

// ids is the prompt: ids as given, or text with BOS where the model wants one.
func (g *generateFlags) ids(tok *token.Tokenizer) ([]int32, error) {
	given := 0
	for _, s := range []string{g.prompt, g.promptFile, g.tokens} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return nil, usageError{errors.New("generate needs one of --prompt, --file and --tokens")}
	}
	if g.tokens != "" {
		return parseIDs(g.tokens)
	}
	text := g.prompt
	if g.promptFile != "" {
		b, err := os.ReadFile(g.promptFile)
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	return tok.Encode(text, token.Options{AddSpecial: true, ParseSpecial: g.special})
}

func (a *app) emitGeneration(g runtime.Generation, s sample.Options) error {
	doc := generateDoc{a.envelope(), g.Text, g.IDs, g.Reason, g.PromptTokens, g.PromptTime.Seconds(), g.Time.Seconds(), s}
	return a.emit(doc, func(w io.Writer) error {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		a.diag("%d prompt tokens in %.2f s, %d tokens in %.2f s, ended by %s",
			g.PromptTokens, doc.Prefill, len(g.IDs), doc.Decode, g.Reason)
		return nil
	})
}
