package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// TestKeepSplit: the shards of --keep-split are llama-quantize's; testdata/keep_split.py made the goldens with it.
func TestKeepSplit(t *testing.T) {
	data, err := os.ReadFile("testdata/keep_split.json")
	if err != nil {
		t.Fatal(err)
	}
	var goldens struct {
		Cases []struct {
			Checkpoint string
			Convert    []string
			Scheme     string
			Prune      []int
			Files      map[string]string
		}
	}
	if err := json.Unmarshal(data, &goldens); err != nil {
		t.Fatal(err)
	}
	if len(goldens.Cases) < 9 {
		t.Fatalf("%d goldens", len(goldens.Cases))
	}
	for _, c := range goldens.Cases {
		dir := t.TempDir()
		src := filepath.Join(dir, "src.gguf")
		must(t, append([]string{"convert", testdata.Path(c.Checkpoint), "-o", src}, c.Convert...)...)
		if first, err := filepath.Glob(filepath.Join(dir, "src-00001-of-*.gguf")); err == nil && len(first) == 1 {
			src = first[0]
		}
		args := []string{"quantize", src, "-o", filepath.Join(dir, "out", "out.gguf"), "--type", c.Scheme, "--keep-split"}
		for _, block := range c.Prune {
			args = append(args, "--prune-layers", strconv.Itoa(block))
		}
		must(t, args...)
		got := map[string]string{}
		files, err := filepath.Glob(filepath.Join(dir, "out", "*.gguf"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if got[filepath.Base(name)], err = hashOf(name); err != nil {
				t.Fatal(err)
			}
		}
		if !maps.Equal(got, c.Files) {
			t.Errorf("%s %v to %s: %v, want %v", c.Checkpoint, c.Convert, args[5:], got, c.Files)
		}
	}
}

// must runs a command line that has to succeed.
func must(t *testing.T, args ...string) {
	t.Helper()
	var diagnostics bytes.Buffer
	if code := run(append(args, "--progress", "none"), io.Discard, &diagnostics); code != 0 {
		t.Fatalf("%v: exit status %d: %s", args, code, &diagnostics)
	}
}
