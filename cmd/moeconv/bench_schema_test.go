package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify/bench"
)

// TestBenchDocuments: what bench prints of scenarios, of evaluation alone, of placements and of failures is as its schema
// says.
func TestBenchDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("runs models; the plain run has it")
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(bench.Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("bench.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("bench.json")
	if err != nil {
		t.Fatal(err)
	}
	tiny, err := filepath.Abs(testdata.Path("tiny/tiny-moe-go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"-r 3 -n 3 -c 64 --suite quants", "--raw --pp 8 --tg 2 -r 1", "--raw --pp 8 --tg 2 -r 3 --expert-ram 8M",
		"--raw --pp 8 --tg 2 -r 3 --ladder 0,3", "--raw --ladder 0,9", "-r 1",
	} {
		cmd := exec.Command("moeconv", append([]string{"bench", tiny, "--json"}, strings.Fields(args)...)...)
		var out, messages bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &messages
		_ = cmd.Run() // of failures the document speaks
		got, err := jsonschema.UnmarshalJSON(&out)
		if err != nil {
			t.Fatalf("%s: %v: %s", args, err, &messages)
		}
		if err := schema.Validate(got); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}
