package probe

import (
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/verify"
)

// Limits of the code that a Sandbox runs.
const (
	sandboxSeconds = 5         // of processor time; twice as many by the clock
	sandboxMemory  = 512 << 20 // bytes of address space
	sandboxFile    = 1 << 20   // bytes of a file, and of all files together 16 times as many
	sandboxOutput  = 64 << 10  // bytes written to stdout and stderr
)

// SandboxError says that code cannot be run here the way it must be.
type SandboxError struct{ Err error }

func (e *SandboxError) Error() string {
	return "probe: no sandbox to run code in: " + e.Err.Error()
}

func (e *SandboxError) Unwrap() []error {
	return []error{e.Err, &gguf.UnsupportedError{Msg: e.Error()}}
}

// Hint is the next step for a user.
func (e *SandboxError) Hint() string {
	return "it takes Linux with user namespaces, and python3; without --run-code the code in answers is parsed, not run"
}

// Computes wants the answer's function to return what it must.
type Computes struct {
	Calls   []Call
	Sandbox *Sandbox
}

func (Computes) needsEnd() {}

// Name of the criterion.
func (Computes) Name() string { return "run" }

// Judge runs the code in the sandbox.
func (c Computes) Judge(a Answer) Finding {
	p, err := parse("python", a)
	if err != nil {
		return plain(verify.Fail, "no code that parses")
	}
	name := p.main().name
	for _, call := range c.Calls {
		got, err := c.Sandbox.Call(p.source, name, call.Args)
		if err != nil && p.before != "" {
			got, err = c.Sandbox.Call(p.before+p.source, name, call.Args)
		}
		switch {
		case err != nil:
			return plain(verify.Fail, "%s(%s): %v", name, call.Args, err)
		case got != call.Want:
			return plain(verify.Fail, "%s(%s) is %s, not %s", name, call.Args, shorten(got), call.Want)
		}
	}
	return plain(verify.Pass, "%s(%s) is %s", name, c.Calls[0].Args, c.Calls[0].Want)
}

func shorten(s string) string {
	const most = 80
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\n", " "), "?")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
