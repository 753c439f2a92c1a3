package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify"
)

// What verify prints, of sound and broken releases and of failures, is as its schema says.
func TestVerifyDocuments(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(verify.Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("verify.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("verify.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source := testdata.Path("tiny", testdata.TinyName)
	sound, broken := filepath.Join(dir, "tiny-Q8_0.gguf"), filepath.Join(dir, "tiny-Q4_0.gguf")
	var out, diag bytes.Buffer
	if code := run([]string{"quantize", source, "-o", sound, "--type", "Q8_0", "--progress", "none"}, &out, &diag); code != 0 {
		t.Fatal(diag.String())
	}
	if err := os.WriteFile(broken, []byte("GGUF and no more"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"one file", []string{sound, "--source", source, "--probes", "validators", "--probe-tokens", "4"}, -1},
		{"a folder", []string{dir, "--optional", "Q4_0"}, 0},
		{"a folder, held", []string{dir, "--on-failure", "hold-release"}, exitCheck},
		{"no such file", []string{filepath.Join(dir, "nowhere.gguf")}, exitError},
		{"wrong usage", []string{dir, "--on-failure", "perhaps"}, exitUsage},
	} {
		out.Reset()
		code := run(append([]string{"verify", "--json", "--progress", "none"}, c.args...), &out, &diag)
		if c.code >= 0 && code != c.code {
			t.Errorf("%s: exit status %d, want %d: %s", c.name, code, c.code, diag.String())
		}
		got, err := jsonschema.UnmarshalJSON(&out)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := schema.Validate(got); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
