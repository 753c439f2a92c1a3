package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/verify/bench"
)

// Exit statuses (DESIGN part 8).
const (
	exitError       = 1
	exitUsage       = 2
	exitCheck       = 3
	exitUnsupported = 4
	exitRetry       = 5
	exitInterrupted = 130
)

var errInterrupted = errors.New("interrupted")

// usageError is a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// checkError says that a check failed or a difference was found: the command itself worked.
type checkError struct{ msg string }

func (e checkError) Error() string { return e.msg }

// hinted carries the next step for the user.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }
func (e hinted) Hint() string  { return e.hint }

func withHint(err error, hint string) error { return hinted{err, hint} }

// status is the exit status of an error.
func status(err error) int {
	var (
		usage       usageError
		check       checkError
		unsupported *gguf.UnsupportedError
		space       *gguf.SpaceError
		waves       *recipes.WavesError
		locked      *gguf.LockedError
		refused     refusedError
		unavailable *hub.UnavailableError
		offline     *hub.OfflineError
		endpoint    *server.Error
		unfit       *recipes.RefusedError
		corrupt     *hub.CorruptError
		conflict    *hub.ConflictError
		busy        *hub.LockedError
		nothing     *hub.NothingError
		child       *bench.ChildError
	)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &check), errors.As(err, &unfit), errors.As(err, &corrupt):
		return exitCheck
	case errors.As(err, &unavailable), errors.As(err, &offline), errors.As(err, &conflict), errors.As(err, &busy):
		return exitRetry
	case errors.As(err, &endpoint) && (endpoint.Status == http.StatusTooManyRequests || endpoint.Status == http.StatusServiceUnavailable):
		return exitRetry
	case errors.As(err, &child) && (child.Code == exitUnsupported || child.Code == exitRetry): // as this very program says it
		return child.Code
	case errors.As(err, &unsupported), errors.As(err, &refused), errors.As(err, &nothing):
		return exitUnsupported
	case errors.As(err, &space), errors.As(err, &waves), errors.As(err, &locked), errors.Is(err, syscall.ENOSPC):
		return exitRetry
	}
	return exitError
}

// finish reports err on stderr, and in JSON mode on stdout unless a document is out already.
func (a *app) finish(err error) int {
	code := status(err)
	if err != nil {
		hint := hintOf(err)
		msg := err.Error()
		if code == exitInterrupted {
			msg = "interrupted; no unfinished file has its final name"
		}
		a.diag("error: %s", msg)
		if hint != "" {
			a.diag("hint: %s", hint)
		}
		if a.json && !a.emitted {
			doc := struct{ envelope }{a.envelope()}
			doc.Error = &errorDoc{Code: code, Message: msg, Hint: hint}
			if werr := a.writeJSON(doc); werr != nil && code == 0 {
				code = exitError
			}
		}
	}
	if cerr := a.log.close(); cerr != nil && code == 0 {
		code = exitError
	}
	return code
}

// hintOf is the next step for the user, empty where there is none to give.
func hintOf(err error) string {
	var (
		h          interface{ Hint() string }
		exists     *gguf.ExistsError
		changed    *gguf.ChangedError
		unfinished *gguf.UnfinishedError
		space      *gguf.SpaceError
	)
	switch {
	case errors.As(err, &changed):
		return "--force starts afresh; otherwise give the command as it was, or remove its .part and .part.journal files"
	case errors.As(err, &space) && space.Bound:
		return "take finished outputs away; the same command then goes on with the others"
	case errors.As(err, &exists):
		return "--force replaces it"
	case errors.As(err, &unfinished):
		return fmt.Sprintf("the same command goes on from byte %d of %d (%.0f%%)", unfinished.Done, unfinished.Total,
			100*float64(unfinished.Done)/float64(max(1, unfinished.Total)))
	case errors.As(err, &h):
		return h.Hint()
	}
	return ""
}

// diag prints one diagnostic line.
func (a *app) diag(format string, args ...any) {
	a.log.line("moeconv: " + fmt.Sprintf(format, args...))
}
