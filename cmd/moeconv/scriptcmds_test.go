package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// checkStatus: status N CMD ARGS... runs CMD and demands exit status N; output as with exec.
func checkStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N CMD ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// checkSHA: sha FILE GOLDEN.json KEY... demands that FILE's SHA-256 is the string found in GOLDEN.json by KEY after KEY; in a list KEY is an index.
func checkSHA(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: sha FILE GOLDEN.json KEY...")
	}
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	sum := sha256.Sum256(data)
	got := hex.EncodeToString(sum[:])
	golden, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	var doc any
	ts.Check(json.Unmarshal(golden, &doc))
	for _, key := range args[2:] {
		if list, ok := doc.([]any); ok {
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(list) {
				ts.Fatalf("%s has no element %s", args[1], key)
			}
			doc = list[i]
			continue
		}
		m, ok := doc.(map[string]any)
		if !ok || m[key] == nil {
			ts.Fatalf("%s has no key %s", args[1], key)
		}
		doc = m[key]
	}
	if (got == doc) == neg {
		ts.Fatalf("%s: sha256 %s, golden %v", args[0], got, doc)
	}
}

// damageFile: damage FILE truncate N | flip OFFSET | zero OFFSET N | replace OLD NEW changes a file in place; negative numbers count from the end.
func damageFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: damage FILE truncate N | flip OFFSET | zero OFFSET N | replace OLD NEW")
	}
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	at := func(s string) int {
		n, err := strconv.Atoi(s)
		ts.Check(err)
		if n < 0 {
			n += len(data)
		}
		return n
	}
	switch args[1] {
	case "truncate":
		data = data[:at(args[2])]
	case "zero":
		n, err := strconv.Atoi(args[3])
		ts.Check(err)
		clear(data[at(args[2]):][:n])
	case "flip":
		data[at(args[2])] ^= 0xff
	case "replace":
		if !strings.Contains(string(data), args[2]) {
			ts.Fatalf("%s does not contain %q", args[0], args[2])
		}
		data = []byte(strings.Replace(string(data), args[2], args[3], 1))
	default:
		ts.Fatalf("damage: unknown kind %s", args[1])
	}
	ts.Check(os.WriteFile(name, data, 0o666))
}

// findAddress: address LOG NAME waits for a server's address in LOG; $NAME becomes its URL and $ADDRESS its host and port.
func findAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: address LOG NAME")
	}
	for range 600 {
		data, _ := os.ReadFile(ts.MkAbs(args[0]))
		if _, rest, ok := strings.Cut(string(data), "listening at http://"); ok && strings.Contains(rest, "\n") {
			address, _, _ := strings.Cut(rest, "\n")
			ts.Setenv(args[1], "http://"+address)
			ts.Setenv("ADDRESS", address)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("no address in %s", args[0])
}
