package main

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moeconv/moeconv/gguf"
)

// changed is a source some of whose tensors are left out or have other names.
type changed struct {
	gguf.Source
	md      *gguf.Metadata
	tensors []gguf.TensorInfo
	from    []int
}

func (c *changed) Metadata() *gguf.Metadata   { return c.md }
func (c *changed) Tensors() []gguf.TensorInfo { return c.tensors }
func (c *changed) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	return c.Source.ReadRows(ctx, c.from[tensor], row, n, dst)
}

// rewriteFile: rewrite IN OUT arch | keys | tensor OLD NEW | drop REGEX writes a file whose architecture is xyz, or that
// and the prefix of its keys, or with one tensor renamed, or without the tensors that match.
func rewriteFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: rewrite IN OUT arch | keys | tensor OLD NEW | drop REGEX")
	}
	f, err := gguf.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	c := &changed{Source: f, md: &gguf.Metadata{}}
	arch, err := f.Metadata().Architecture()
	ts.Check(err)
	for k, v := range f.Metadata().All() {
		if rest, ok := strings.CutPrefix(k, arch+"."); ok && args[2] == "keys" {
			k = "xyz." + rest
		}
		if k == keyArchitecture && (args[2] == "keys" || args[2] == "arch") {
			v = "xyz"
		}
		c.md.Set(k, v)
	}
	for i, t := range f.Tensors() {
		if args[2] == "drop" && regexp.MustCompile(args[3]).MatchString(t.Name) {
			continue
		}
		if args[2] == "tensor" && t.Name == args[3] {
			t.Name = args[4]
		}
		c.tensors, c.from = append(c.tensors, t), append(c.from, i)
	}
	_, err = gguf.WriteFile(context.Background(), ts.MkAbs(args[1]), c, gguf.FileOptions{Force: true})
	ts.Check(err)
}

// checkTensors: tensors FILE GOLDEN.json demands the golden's tensors: names in order and SHA-256 of their bytes.
func checkTensors(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tensors FILE GOLDEN.json")
	}
	var golden struct {
		Tensors []struct{ Name, SHA256 string }
	}
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(json.Unmarshal(b, &golden))
	f, err := gguf.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	if len(golden.Tensors) == 0 || len(f.Tensors()) != len(golden.Tensors) {
		ts.Fatalf("%s: %d tensors, golden has %d", args[0], len(f.Tensors()), len(golden.Tensors))
	}
	for i, w := range golden.Tensors {
		got, err := gguf.TensorSHA256(context.Background(), f, i)
		ts.Check(err)
		if f.Tensors()[i].Name != w.Name || got != w.SHA256 {
			ts.Fatalf("%s: tensor %d: %s %s, want %s %s", args[0], i, f.Tensors()[i].Name, got, w.Name, w.SHA256)
		}
	}
}
