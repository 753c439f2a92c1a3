package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/testdata"
)

// TestPlanSizes: a plan's bytes are those of the files that llama.cpp's converter and llama-quantize wrote.
func TestPlanSizes(t *testing.T) {
	families := []string{"deepseek-moe"}
	if testdata.Full() {
		entries, err := os.ReadDir(testdata.Path("families"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if _, err := os.Stat(testdata.Path("families", e.Name(), "golden")); err == nil && e.Name() != "deepseek-moe" {
				families = append(families, e.Name())
			}
		}
	}
	for _, name := range families {
		t.Run(name, func(t *testing.T) {
			if n := checkSizes(t, name); n < 12 && name == "deepseek-moe" {
				t.Errorf("only %d sizes were compared", n)
			}
		})
	}
}

func checkSizes(t *testing.T, name string) (compared int) {
	t.Helper()
	dirs, err := filepath.Glob(testdata.Path("families", name, "*", "config.json"))
	if err != nil || len(dirs) != 1 {
		t.Fatal(dirs, err)
	}
	dir := filepath.Dir(dirs[0])
	p, err := convert.OpenDir(dir, convert.Options{})
	var unsupported *gguf.UnsupportedError
	if errors.As(err, &unsupported) { // a family still to come, or one that the reference refuses
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	o := planOptions{split: "50G", types: []string{"F16"}}
	if err := o.parse(); err != nil {
		t.Fatal(err)
	}
	var doc planDoc
	if err := doc.fill(p, p, &o); err != nil {
		t.Fatal(err)
	}
	for i, list := range [][]sizeDoc{doc.Conversions, doc.Schemes} {
		for _, s := range list {
			golden, ok := goldenBytes(t, name, []string{"gguf-", "quant-"}[i]+s.Name+".json")
			if !ok {
				continue
			}
			compared++
			if golden != s.Bytes {
				t.Errorf("%s: %d bytes, the reference's file has %d", s.Name, s.Bytes, golden)
			}
		}
	}
	return compared
}

// goldenBytes is the size of a golden's file, if there is that golden and it is a file.
func goldenBytes(t *testing.T, family, name string) (int64, bool) {
	t.Helper()
	b, err := os.ReadFile(testdata.Path("families", family, "golden", name))
	if err != nil {
		return 0, false
	}
	var golden struct {
		Bytes int64 `json:"file_bytes"`
		Type  string
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return golden.Bytes, golden.Bytes > 0 && !strings.Contains(name, "imatrix")
}

// A plan's bytes are those of the file that quantize writes, whose shapes lose outermost dimensions of 1. Names of all
// lengths have the header end anywhere before a multiple of its alignment.
func TestPlanSizesOfTrimmedShapes(t *testing.T) {
	for _, ck := range testdata.Checkpoints() {
		if !ck.Micro || ck.Family != "qwen2moe" {
			continue
		}
		for n := range 32 {
			p, err := convert.OpenDir(ck.Dir, convert.Options{ModelName: strings.Repeat("x", n+1)})
			if err != nil {
				t.Fatal(err)
			}
			sizes, err := schemeSizes(p, 50e9)
			if err != nil {
				t.Fatal(err)
			}
			scheme, err := quantize.ParseScheme("Q8_0")
			if err != nil {
				t.Fatal(err)
			}
			job, err := quantize.New(p, scheme, quantize.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var written countingWriter
			if err := gguf.Write(t.Context(), &written, job, gguf.WriteOptions{Workers: 1}); err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(sizes, func(s sizeDoc) bool { return s.Name == "Q8_0" })
			if at < 0 || sizes[at].Bytes != int64(written) {
				t.Errorf("a name of %d bytes: the file has %d bytes, the plan says %+v", n+1, written, sizes[max(at, 0)])
			}
			p.Close()
		}
	}
}

type countingWriter int64

func (w *countingWriter) Write(b []byte) (int, error) {
	*w += countingWriter(len(b))
	return len(b), nil
}
