// Command moeconv turns HuggingFace checkpoints of mixture-of-experts models
// into GGUF files that are known to work. Each verb is one file of this package;
// `moeconv VERB --help` documents it.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program: parse, execute, report, exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{stdout: stdout, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(llamaSpelling(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && a.verb == "" { // before any verb ran: of wrong flags or arguments
		a.verb = cmd.Name()
		a.json = a.json || asksJSON(args)
	}
	if ctx.Err() != nil && err != nil {
		err = errors.Join(errInterrupted, err)
	}
	return a.finish(err)
}

// asksJSON reports whether --json is among arguments that were not read to the end.
func asksJSON(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.Contains(args, "--json")
}

// app is what every verb shares: the streams and the global flags.
type app struct {
	stdout, stderr io.Writer
	verb           string // of the running command, for the JSON envelope
	json           bool
	progress       string
	logFile        string
	emitted        bool // a JSON document has been written
	strange        bool // the user has been told that an architecture is not known
	log            *logger
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "moeconv VERB",
		Short: "Convert, quantize, verify and publish mixture-of-experts models as GGUF",
		Long: `moeconv turns a HuggingFace checkpoint of a mixture-of-experts model into GGUF
files byte-identical to llama.cpp's, and proves that they work.

Exit status: 0 done, 1 error, 2 wrong usage, 3 a check failed or diff found a
difference, 4 not supported, 5 try again (disk full, lock; state kept),
130 interrupted (state kept).`,
		Version:       version().Version + " (" + version().Commit + ")",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.verb = cmd.Name()
			return a.startLog()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "print one JSON document on stdout, also on failure")
	f.StringVar(&a.progress, "progress", "auto", "progress on stderr: auto, plain, json or none")
	f.StringVar(&a.logFile, "log-file", "", "write diagnostics to this `FILE` too")
	for _, verb := range []func(*app) *cobra.Command{
		hf2ggufCmd, planCmd, convertCmd, tagCmd, inspectCmd, quantizeCmd, tokenizeCmd, logitsCmd,
		perplexityCmd, imatrixCmd, generateCmd, chatCmd, serveCmd, benchCmd, verifyCmd, diffCmd, setCmd, splitCmd,
		mergeCmd,
		statusCmd, evidenceCmd, auditCmd, reproduceCmd, cardCmd,
		downloadCmd, publishCmd, recipesCmd, schemaCmd,
	} {
		root.AddCommand(verb(a))
	}
	root.InitDefaultCompletionCmd()
	return root
}

func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usageError{errors.New("unknown verb " + args[0])}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return withHint(err, "did you mean "+strings.Join(near, " or ")+"?")
	}
	return withHint(err, "moeconv --help lists the verbs")
}

// exactArgs wraps cobra's check, so that a wrong count is a usage error with the verb's usage line.
func exactArgs(n int) cobra.PositionalArgs { return usageArgs(cobra.ExactArgs(n)) }

func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return withHint(usageError{err}, "usage: "+cmd.UseLine())
		}
		return nil
	}
}
