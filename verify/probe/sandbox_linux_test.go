//go:build amd64 || arm64

package probe

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moeconv/moeconv/verify"
)

// What the code in the sandbox can and cannot do. Where the machine has no sandbox, NewSandbox must say so.
func TestSandbox(t *testing.T) {
	s, err := NewSandbox()
	if err != nil {
		var se *SandboxError
		if se, _ = err.(*SandboxError); se == nil || se.Hint() == "" {
			t.Fatalf("%v has no hint", err)
		}
		t.Logf("%v", err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	fib := "def fib(n):\n    return n if n < 2 else fib(n-1) + fib(n-2)\n"
	connect := "import socket\ndef f(n):\n    s = socket.create_connection(('127.0.0.1', " + strings.TrimPrefix(l.Addr().String(), "127.0.0.1:") + "), 2)\n    return 1\n"
	for _, c := range []struct {
		name, code, function, args, want, fails string
	}{
		{"computes", fib, "fib", "10", "55", ""},
		{"prints too", "print('55')\n" + fib, "fib", "10", "55", ""},
		{"prints in place of returning", "def f(n):\n    print(55)\n", "f", "10", "None", ""},
		{"reads a file", "def f(n):\n    return open('" + secret + "').read()\n", "f", "1", "", "FileNotFoundError"},
		{"writes to the system", "def f(n):\n    open('/usr/x', 'w')\n", "f", "1", "", "OSError"},
		{"writes to its own folder", "def f(n):\n    return open('x', 'w').write('abc')\n", "f", "1", "3", ""},
		{"fills the disk", "def f(n):\n    open('x', 'w').write('a' * (8 << 20))\n", "f", "1", "", ""},
		{"connects", connect, "f", "1", "", "OSError"},
		{"sees processes", "import os\ndef f(n):\n    return os.getpid(), os.path.exists('/proc/self')\n", "f", "1", "(1, False)", ""},
		{"mounts", "import ctypes\ndef f(n):\n    return ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None)\n", "f", "1", "-1", ""},
		{"starts programs", "import os\ndef f(n):\n    return os.fork()\n", "f", "1", "", "rror"},
		{"memory", "def f(n):\n    return len('a' * (2 << 30))\n", "f", "1", "", "MemoryError"},
		{"output", "import os\ndef f(n):\n    os.write(2, b'a' * (1 << 20))\n", "f", "1", "", "bytes of output"},
		{"exits", "import os\nos._exit(0)\n", "f", "1", "", "without a value"},
		{"raises", "def f(n):\n    raise ValueError('no')\n", "f", "1", "", "ValueError: no"},
		{"no end of recursion", "def f(n):\n    return f(n)\n", "f", "1", "", "RecursionError"},
		{"environment", "import os\ndef f(n):\n    return sorted(os.environ)\n", "f", "1", "['HOME', 'LANG', 'PATH']", ""},
		{"stdin", "import sys\ndef f(n):\n    return sys.stdin.read()\n", "f", "1", "''", ""},
		{"a mark of its own", "import sys\ndef f(n):\n    sys.__stdout__.write('=55')\n", "f", "1", "None", ""},
	} {
		got, err := s.Call(c.code, c.function, c.args)
		if c.want == "" && (err == nil || !strings.Contains(err.Error(), c.fails)) || c.want != "" && (err != nil || got != c.want) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	s.time = time.Second
	if got, err := s.Call("def f(n):\n    while True:\n        pass\n", "f", "1"); err == nil || !strings.Contains(err.Error(), "within 1s") {
		t.Errorf("an endless loop: %q, %v", got, err)
	}
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "moeconv-sandbox-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestComputes(t *testing.T) {
	s, err := NewSandbox()
	if err != nil {
		t.Logf("%v", err)
		return
	}
	calls := []Call{{"10", "55"}}
	for name, c := range map[string]struct{ code, status, message string }{
		"right":     {"def fib(n):\n    return n if n < 2 else fib(n-1) + fib(n-2)\n", "pass", "fib(10) is 55"},
		"off":       {"def fib(n):\n    return 1 if n < 2 else fib(n-1) + fib(n-2)\n", "fail", "fib(10) is 89, not 55"},
		"arguments": {"def fib():\n    return 55\n", "fail", "TypeError"},
	} {
		f := (Computes{calls, s}).Judge(Answer{Text: "```python\n" + c.code + "```"})
		if string(f.Status) != c.status || !strings.Contains(f.Message, c.message) {
			t.Errorf("%s: %s: %s", name, f.Status, f.Message)
		}
	}
}

// The code that answers may need what stands in blocks above it.
func TestComputesOverBlocks(t *testing.T) {
	s, err := NewSandbox()
	if err != nil {
		t.Logf("%v", err) // TestSandbox holds that it says so
		return
	}
	c := Computes{[]Call{{"10", "55"}}, s}
	for text, want := range map[string]verify.Status{
		"First:\n```python\nfrom functools import lru_cache\n```\nThen:\n```python\n@lru_cache\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n```\n": verify.Pass,
		"A loop:\n```python\ndef loop(n):\n    return 0\n```\nBetter:\n```python\ndef fib(n):\n\treturn n if n < 2 else fib(n - 1) + fib(n - 2)\n```\n":                 verify.Pass,
		"```python\ndef base(n):\n    return n < 2\n```\n```python\ndef fib(n):\n    return n if base(n) else fib(n - 1) + fib(n - 2)\n```\n":                           verify.Pass,
		"```python\ndef fib(n):\n    return n if base(n) else fib(n - 1) + fib(n - 2)\n```\n":                                                                           verify.Fail,
	} {
		if f := c.Judge(Answer{Text: text}); f.Status != want {
			t.Errorf("%q: %s: %s", text, f.Status, f.Message)
		}
	}
}
