package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// childPeakName is the figure of a process's peak by the kernel's account of one that has ended.
const childPeakName = "max_rss"

// ChildError says that the process of a step failed, in its own words.
type ChildError struct {
	Msg  string
	Help string // its hint
	Code int    // its exit status
}

func (e *ChildError) Error() string { return e.Msg }

// Hint is the process's own.
func (e *ChildError) Hint() string { return e.Help }

// patience is how long a process that was interrupted may take to end before it is killed.
const patience = 5 * time.Second

// runChild runs a command of this program that prints one JSON document, and returns that and the peak of its memory,
// nil where the system does not tell. When ctx ends the process is interrupted, and killed if it does not end then.
func runChild(ctx context.Context, name string, args []string) (out []byte, peak *Figure, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, patience
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil { // no such signal on Windows
			return cmd.Process.Kill()
		}
		return nil
	}
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, nil, childError(stdout.Bytes(), stderr.String(), exit)
	case err != nil:
		return nil, nil, err
	}
	return stdout.Bytes(), maxRSS(cmd.ProcessState), nil
}

// childError is what the process says of its failure, in its document or else on stderr.
func childError(stdout []byte, stderr string, exit *exec.ExitError) error {
	var doc struct {
		Error *struct{ Message, Hint string }
	}
	if json.Unmarshal(stdout, &doc) == nil && doc.Error != nil {
		return &ChildError{doc.Error.Message, doc.Error.Hint, exit.ExitCode()}
	}
	const most = 500
	last := strings.TrimSpace(stderr)
	last = last[max(0, len(last)-most):]
	return &ChildError{Msg: strings.TrimSpace(fmt.Sprintf("its process ended with %v: %s", exit, last)), Code: exit.ExitCode(),
		Help: "exit by a signal may be the system's: it ends what needs more memory than there is"}
}
