package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
)

// headBytes is how much of a file of weights goes into its fingerprint: its header, or most of it. The rest is told
// apart by size and time.
const headBytes = 1 << 20

// fingerprint identifies what SRC reads: one line a file, with no folder in it, so that a model that was moved is the same.
func fingerprint(args []string) ([]string, error) {
	names, err := inputFiles(args)
	if err != nil {
		return nil, err
	}
	lines := []string{}
	for _, name := range names {
		line, err := fingerprintFile(name)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// inputFiles lists the files of a checkpoint or a GGUF model, all shards of a set.
func inputFiles(args []string) ([]string, error) {
	if len(args) == 1 {
		if prefix, _, n, ok := gguf.ParseShardName(args[0]); ok {
			names := []string{}
			for i := range n {
				names = append(names, gguf.ShardName(prefix, i, n))
			}
			return names, nil
		}
	}
	dir := args[0]
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if dir = filepath.Dir(dir); !isSafetensors(args[0]) {
			return args, nil
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		weights := isSafetensors(name)
		if weights && dir != args[0] {
			continue // those that are named count
		}
		if weights || slices.Contains([]string{".json", ".jinja", ".md", ".model"}, filepath.Ext(name)) {
			names = append(names, name)
		}
	}
	if dir != args[0] {
		names = append(names, args...)
	}
	return names, nil
}

// hashOf is the SHA-256 of a file, in hex.
func hashOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

func fingerprintFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	weights := isSafetensors(name) || filepath.Ext(name) == ".gguf"
	in := io.Reader(f)
	if weights {
		in = io.LimitReader(f, headBytes)
	}
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s %d bytes %x", filepath.Base(name), info.Size(), h.Sum(nil)[:8])
	if weights {
		line += " " + info.ModTime().UTC().Format(time.RFC3339Nano)
	}
	return line, nil
}

// withoutBytes are flags that do not change an output's bytes, or do so by way of its header alone, which the journal
// has: an equal job may have others.
var withoutBytes = []string{
	"output", "outfile", "type", "types", "outdir", "dry-run", "imatrix", "tensor-type", "tensor-type-file", "override", "metadata",
	"split-max-size", "split-max-tensors", "metadata-first", "no-tensor-first-split", "keep-split", "target-size", "target-bpw", "write-rules", "force", "memory", "max-buffer-size",
	"threads", "check", "disk", "after-wave", "json", "progress", "log-file",
}

// flagKey lists the flags of a command line that an output's bytes depend on.
func flagKey(flags *pflag.FlagSet) []string {
	key := []string{}
	flags.Visit(func(f *pflag.Flag) {
		if !slices.Contains(withoutBytes, f.Name) {
			key = append(key, "--"+f.Name+" "+f.Value.String())
		}
	})
	return key
}
