package gguf_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// badFiles says which cause the message on each damaged file must name, and the byte it must point at (-1: none).
var badFiles = map[string]struct {
	want string
	off  int64
}{
	"gguf-01-bad-magic":                {"not a GGUF file (magic 47 47 55 58)", 0},
	"gguf-02-bad-version":              {"GGUF version 99 is not supported", -1},
	"gguf-03-big-endian-version":       {"GGUF file is big-endian (version 0x03000000", -1},
	"gguf-04-huge-tensor-count":        {"tensor count 1099511627776 does not fit the file", 8},
	"gguf-05-huge-kv-count":            {"KV count 9223372036854775807 does not fit the file", 16},
	"gguf-06-huge-string":              {"string length 1152921504606846976 at offset 24 exceeds the file", 24},
	"gguf-07-huge-array":               {`array "tokenizer.ggml.tokens" of 1152921504606846976 elements exceeds the file`, 0x387},
	"gguf-08-unknown-kv-type":          {`key "general.architecture": unknown value type 77`, 0x34},
	"gguf-09-overlapping-tensors":      {`tensor "token_embd.weight": data overlap`, 0},
	"gguf-10-unaligned-offset":         {`tensor "token_embd.weight": offset 19201 is not aligned to 32`, 0},
	"gguf-11-offset-beyond-file":       {`tensor "token_embd.weight" data is not within the file bounds`, 0},
	"gguf-12-unknown-tensor-type":      {`tensor "output.weight": type 250 is unknown`, 0},
	"gguf-13-removed-tensor-type":      {`tensor "output.weight": type 4 (Q4_2) was removed from ggml`, 0},
	"gguf-14-too-many-dims":            {`tensor "output.weight" has 9 dimensions, at most 4`, 0},
	"gguf-15-dims-overflow":            {`tensor "output.weight": dimensions {4611686018427387904, 300} overflow`, 0},
	"gguf-16-zero-dim":                 {`tensor "output.weight": dimension 0 is 0`, 0},
	"gguf-17-truncated-data":           {`tensor "token_embd.weight" data is not within the file bounds`, 0},
	"gguf-18-truncated-header":         {"unexpected end of file in the KV section", 0},
	"gguf-19-alignment-not-power-of-2": {"general.alignment 33 is not a power of two", 0},
	"gguf-20-duplicate-tensor":         {`duplicate tensor name "blk.0.ffn_down_exps.weight"`, 0},
	"gguf-21-duplicate-key":            {`duplicate key "general.architecture"`, 0},
	"gguf-22-no-architecture":          {"key general.architecture is missing", -1},
	"gguf-23-empty":                    {"not a GGUF file (empty)", 0},
}

// Every damaged file of the fixtures is refused by the cause, with the path.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob(testdata.Path("bad", "gguf-*.gguf"))
	if err != nil || len(files) < 23 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".gguf")
		c, ok := badFiles[name]
		if !ok {
			t.Errorf("%s: no expectation", name)
			continue
		}
		f, err := gguf.Open(path)
		if err == nil {
			f.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		t.Logf("%v", err)
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, c.want)
		}
		var format *gguf.FormatError
		if is := errors.As(err, &format); is != (c.off >= 0) || is && c.off > 0 && format.Off != c.off {
			t.Errorf("%s: %#v, want byte %d", name, format, c.off)
		}
	}
}

func TestUnsupported(t *testing.T) {
	good := readFile(t, testdata.Path("bad/_good.gguf"))
	for version, want := range map[string]string{
		"\x00\x00\x00\x00": "version 0 is not supported",
		"\x01\x00\x00\x00": "version 1 is not supported",
		"\x04\x00\x00\x00": "version 4 is not supported",
		"\x00\x00\x00\x02": "big-endian",
	} {
		_, err := openBytes(t, good[:4], []byte(version), good[8:])
		var unsupported *gguf.UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("version % x: %v", version, err)
		}
	}
}

// Version 2 has version 3's layout; written again it is version 3.
func TestVersion2(t *testing.T) {
	old, whole := open(t, "testdata/whole-v2.gguf"), open(t, "testdata/whole.gguf")
	if old.Version() != 2 || whole.Version() != 3 {
		t.Errorf("versions %d and %d", old.Version(), whole.Version())
	}
	var buf bytes.Buffer
	if err := gguf.Write(context.Background(), &buf, old, gguf.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), readFile(t, "testdata/whole.gguf")) {
		t.Error("written again, it is not the same file of version 3")
	}
}

// openBytes opens a file made of the parts.
func openBytes(t testing.TB, parts ...[]byte) (*gguf.File, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.gguf")
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if err := os.WriteFile(name, all, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(name)
	if err == nil {
		t.Cleanup(func() { f.Close() })
	}
	return f, err
}

func TestOpenMissing(t *testing.T) {
	if _, err := gguf.Open(filepath.Join(t.TempDir(), "none.gguf")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.gguf") {
		t.Errorf("%v", err)
	}
	if _, err := gguf.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("%v", err)
	}
}
