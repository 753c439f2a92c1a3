package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/runtime/server"
)

type serveDoc struct {
	envelope
	Address string `json:"address"`
	Model   string `json:"model"`
	Context int    `json:"context"`
}

func serveCmd(a *app) *cobra.Command {
	var (
		src  sourceFlags
		run  runFlags
		opts server.Options
		bind string
	)
	cmd := &cobra.Command{
		Use:   "serve SRC",
		Short: "Serve the model over HTTP, as OpenAI's API",
		Long: `serve answers /v1/chat/completions, /v1/completions, /v1/models, /api/generate,
/tokenize, /detokenize and /health until it is interrupted; running requests may end.

It listens on this machine alone unless --bind says otherwise; there are no keys and
no encryption. Requests are computed together, a step a token; each gets what it would
get alone. When --slots requests are computed and --queue wait, more are refused with
status 429.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case opts.Slots < 1:
				return usageError{fmt.Errorf("--slots %d: want 1 or more", opts.Slots)}
			case opts.Queue < 0:
				return usageError{fmt.Errorf("--queue %d: want 0 or more", opts.Queue)}
			case opts.Timeout < 0:
				return usageError{fmt.Errorf("--timeout %v: want more than 0", opts.Timeout)}
			case opts.Queue == 0:
				opts.Queue = -1
			}
			l, err := net.Listen("tcp", bind)
			if errors.Is(err, syscall.EADDRINUSE) {
				return withHint(err, "--bind takes another address; with port 0 a free one is chosen")
			}
			var address *net.AddrError
			if errors.As(err, &address) {
				return usageError{fmt.Errorf("--bind: %w", err)}
			}
			if err != nil {
				return err
			}
			defer l.Close()
			run.sessions = opts.Slots
			m, done, err := a.load(args[0], src, run, cmd)
			if err != nil {
				return err
			}
			defer done()
			if opts.Name == "" {
				opts.Name = modelName(args[0])
			}
			opts.Log = func(format string, args ...any) { a.diag(format, args...) }
			s, err := server.New(m, opts)
			if err != nil {
				return err
			}
			doc := serveDoc{a.envelope(), "http://" + l.Addr().String(), opts.Name, m.ContextLength()}
			err = a.emit(doc, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s serves %s, context %d\n", doc.Address, doc.Model, doc.Context)
				return err
			})
			if err != nil {
				return err
			}
			a.diag("listening at %s", doc.Address)
			return s.Serve(cmd.Context(), l)
		},
	}
	src.register(cmd.Flags(), "auto")
	run.register(cmd.Flags(), "integers", "f16")
	f := cmd.Flags()
	f.StringVar(&bind, "bind", "127.0.0.1:11435", "`ADDRESS` to listen on")
	f.StringVar(&opts.Name, "name", "", "id of the model (default: the name of SRC)")
	f.IntVar(&opts.Slots, "slots", 4, "answers computed at the same time, each with a KV cache")
	f.IntVar(&opts.Queue, "queue", 64, "requests that may wait")
	f.DurationVar(&opts.Timeout, "timeout", 0, "longest time of a request (default 1h)")
	f.BoolVar(&opts.Shift, "context-shift", false, "drop the oldest tokens of a text that outgrows the context")
	return cmd
}

// modelName is the id of a model served from a file or directory.
func modelName(src string) string {
	if abs, err := filepath.Abs(src); err == nil {
		src = abs
	}
	return strings.TrimSuffix(filepath.Base(src), ".gguf")
}
