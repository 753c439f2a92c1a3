//go:build amd64 || arm64

package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Sandbox runs Python code that a model wrote: in namespaces of its own, without network, with a file system that holds
// the interpreter (read only) and an empty folder, without capabilities, within limits of time, memory and output.
type Sandbox struct {
	python string // the interpreter itself, no link and no shim
	prefix string // of its library
	time   time.Duration
}

// NewSandbox looks for the interpreter and tries the sandbox. Where one cannot be had it is a *SandboxError: code is
// never run outside of one.
func NewSandbox() (*Sandbox, error) {
	s, err := findPython()
	if err != nil {
		return nil, &SandboxError{err}
	}
	got, err := s.Call("def f(n):\n    return n * 2\n", "f", "21")
	if err != nil || got != "42" {
		return nil, &SandboxError{fmt.Errorf("a trial gave %q: %w", got, err)}
	}
	return s, nil
}

func findPython() (*Sandbox, error) {
	path, err := exec.LookPath("python3")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*sandboxSeconds*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-I", "-c", "import sys; print(sys.executable); print(sys.base_prefix)").Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 {
		return nil, fmt.Errorf("%s does not say where it is", path)
	}
	s := &Sandbox{prefix: lines[1], time: 2 * sandboxSeconds * time.Second}
	if s.python, err = filepath.EvalSymlinks(lines[0]); err != nil {
		return nil, err
	}
	return s, nil
}

// harness defines the answer's functions, calls one and writes the value after a mark that the code cannot know.
// What the code prints goes nowhere. The limit of memory cannot be raised again.
const harness = `import resource, sys
code, function, args, mark, memory = sys.argv[1:6]
resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
sys.setrecursionlimit(5000)
out, sys.stdout, sys.stderr = sys.stdout, None, None
scope = {"__name__": "answer"}
try:
    exec(compile(code, "answer", "exec"), scope)
    value = eval(function + "(" + args + ")", scope)
    text = mark + "=" + repr(value)
except BaseException as e:
    text = mark + "!" + type(e).__name__ + ": " + str(e)
out.write("\n" + text)
out.flush()
`

// Call is the repr of function(args) after the code ran.
func (s *Sandbox) Call(code, function, args string) (string, error) {
	root, err := os.MkdirTemp("", "moeconv-sandbox-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(root) // the child's file system was mounted in its own namespace only
	mark := rand.Text()
	setup, err := json.Marshal(inside{Root: root, Prefix: s.prefix, Argv: []string{s.python, "-I", "-S", "-B", "-c", harness, code, function, args, mark, strconv.Itoa(sandboxMemory)}})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.time)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{insideName}
	cmd.Stdin = bytes.NewReader(setup)
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	stdout, stderr := &bounded{stop: cancel}, &bounded{stop: cancel}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS |
			syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	err = cmd.Run()
	if stdout.full || stderr.full {
		return "", fmt.Errorf("more than %d bytes of output", sandboxOutput)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", fmt.Errorf("no answer within %v", s.time)
	}
	if _, value, ok := strings.Cut(stdout.String(), mark+"="); ok && err == nil {
		return value, nil
	}
	if _, failure, ok := strings.Cut(stdout.String(), mark+"!"); ok && err == nil {
		return "", errors.New(shorten(failure))
	}
	if text := strings.TrimSpace(stderr.String()); text != "" {
		return "", errors.New(shorten(text))
	}
	if err == nil {
		err = errors.New("it ended without a value")
	}
	return "", err
}

// bounded keeps the first bytes of an output; one that goes on stops the process.
type bounded struct {
	kept bytes.Buffer // not embedded: its ReadFrom knows no bound
	full bool
	stop func()
}

func (b *bounded) String() string { return b.kept.String() }

func (b *bounded) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > sandboxOutput {
		b.full = true
		b.stop()
		return 0, errors.New("too much output")
	}
	return b.kept.Write(p)
}
