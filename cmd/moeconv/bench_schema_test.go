package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moeconv/moeconv/testdata"
)

// schemaOf is what `moeconv schema VERB` prints, compiled.
func schemaOf(t *testing.T, verb string) *jsonschema.Schema {
	t.Helper()
	var out, diag bytes.Buffer
	if code := run([]string{"schema", verb}, &out, &diag); code != 0 {
		t.Fatal(diag.String())
	}
	doc, err := jsonschema.UnmarshalJSON(&out)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// document runs a command as a process of its own and holds what it prints against a schema. Of failures the document speaks.
func document(t *testing.T, schema *jsonschema.Schema, args ...string) {
	t.Helper()
	cmd := exec.Command("moeconv", append(args, "--json", "--progress", "none")...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	_ = cmd.Run()
	got, err := jsonschema.UnmarshalJSON(&out)
	if err != nil {
		t.Fatalf("%s: %v: %s", args, err, &messages)
	}
	if err := schema.Validate(got); err != nil {
		t.Errorf("%s: %v", args, err)
	}
}

// TestBenchDocuments: what bench prints of scenarios, of placements, of evaluation alone and of failures is as its schema
// says.
func TestBenchDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("runs models; the plain run has it")
	}
	tiny, err := filepath.Abs(testdata.Path("tiny/tiny-moe-go"))
	if err != nil {
		t.Fatal(err)
	}
	schema := schemaOf(t, "bench")
	for _, args := range []string{
		"-r 3 -n 3 -c 64 --suite quants", "-r 3 -n 3 -c 64 --suite quants --place resident --place cpu-moe",
		"--raw --pp 8 --tg 2 -r 1", "--raw --pp 8 --tg 2 -r 3 --expert-ram 8M",
		"--raw --pp 8 --tg 2 -r 3 --ladder 0,3", "--raw --ladder 0,9", "-r 1",
	} {
		document(t, schema, append([]string{"bench", tiny}, strings.Fields(args)...)...)
	}
}

// TestEvidenceDocuments: what evidence and audit print, of a bundle and of failures, is as their schemas say.
func TestEvidenceDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a release; the plain run has it")
	}
	dir := t.TempDir()
	if out, err := exec.Command("moeconv", "hf2gguf", "tiny", "--out", dir, "--types", "Q8_0", "--until", "evidence", "--progress", "none").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	evidence, audit := schemaOf(t, "evidence"), schemaOf(t, "audit")
	document(t, evidence, "evidence", dir)
	document(t, audit, "audit", dir)
	document(t, evidence, "evidence", t.TempDir())
	document(t, evidence, "evidence")
	document(t, audit, "audit", t.TempDir())
}

// TestReadme: the project's own README passes its audit of texts.
func TestReadme(t *testing.T) {
	var out, diag bytes.Buffer
	if code := run([]string{"audit", filepath.Join("..", "..", "README.md")}, &out, &diag); code != 0 {
		t.Errorf("exit status %d: %s", code, &out)
	}
}
