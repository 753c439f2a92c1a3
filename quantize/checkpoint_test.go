package quantize_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/testdata"
)

// open plans the conversion of a checkpoint.
func open(t *testing.T, dir, outType string) *convert.Plan {
	t.Helper()
	p, err := convert.OpenDir(dir, convert.Options{OutType: outType})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func openMatrix(t *testing.T, name string) *imatrix.Matrix {
	t.Helper()
	m, err := imatrix.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func job(t *testing.T, src gguf.Source, scheme string, o quantize.Options) *quantize.Job {
	t.Helper()
	s, err := quantize.ParseScheme(scheme)
	if err != nil {
		t.Fatal(err)
	}
	j, err := quantize.New(src, s, o)
	if err != nil {
		t.Fatalf("%s: %v", scheme, err)
	}
	return j
}

func fileSHA(t *testing.T, src gguf.Source, workers int) (sha string, size int64) {
	t.Helper()
	h := sha256.New()
	n := &counter{}
	if err := gguf.Write(context.Background(), multi{h, n}, src, gguf.WriteOptions{Workers: workers}); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil)), n.n
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

type multi [2]interface{ Write([]byte) (int, error) }

func (m multi) Write(p []byte) (int, error) {
	for _, w := range m {
		if n, err := w.Write(p); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// schemesOf are the schemes that goldens with, or without, an importance matrix are labelled with.
func schemesOf[V any](goldens map[string]V, matrix bool) []string {
	var schemes []string
	for label := range goldens {
		if scheme, withMatrix := strings.CutSuffix(label, "+im"); withMatrix == matrix {
			schemes = append(schemes, scheme)
		}
	}
	slices.Sort(schemes)
	return schemes
}

// Oracle: llama-quantize over llama.cpp's bf16 conversion. In one pass, from the checkpoint.
func TestTinyFiles(t *testing.T) {
	var files struct {
		Quantize map[string]struct {
			Bytes  int64
			SHA256 string
		}
	}
	readJSON(t, testdata.Path("tiny", "golden", "files.json"), &files)
	schemes := schemesOf(files.Quantize, false)
	if len(schemes) != 20 {
		t.Errorf("goldens of %d schemes", len(schemes))
	}
	if testing.Short() {
		schemes = []string{"Q8_0"}
	}
	for _, scheme := range schemes {
		want := files.Quantize[scheme]
		j := job(t, open(t, testdata.Path("tiny", testdata.TinyName), "auto"), scheme, quantize.Options{})
		if sum, err := j.Summary(); err != nil || sum.FileBytes != want.Bytes {
			t.Errorf("%s: predicted %d bytes (%v), want %d", scheme, sum.FileBytes, err, want.Bytes)
		}
		if sha, n := fileSHA(t, j, 0); sha != want.SHA256 || n != want.Bytes {
			t.Errorf("%s: %d bytes, SHA-256 %s; want %d, %s", scheme, n, sha, want.Bytes, want.SHA256)
		}
	}
}

// Oracle: llama-quantize with tiny/golden/imatrix.gguf.
func TestTinyImportance(t *testing.T) {
	var tensors map[string]map[string][2]string // scheme -> tensor -> type, SHA-256
	readJSON(t, testdata.Path("tiny", "golden", "tensors.json"), &tensors)
	o := quantize.Options{Imatrix: openMatrix(t, testdata.Path("tiny", "golden", "imatrix.gguf"))}
	schemes := schemesOf(tensors, true)
	if len(schemes) != 14 {
		t.Errorf("goldens of %d schemes", len(schemes))
	}
	if testing.Short() {
		schemes = []string{"Q4_K_M"}
	}
	for _, scheme := range schemes {
		want := tensors[scheme+"+im"]
		s, err := quantize.ParseScheme(scheme)
		if err != nil {
			t.Fatal(err)
		}
		j, err := quantize.New(open(t, testdata.Path("tiny", testdata.TinyName), "auto"), s, o)
		if err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		if len(want) != len(j.Tensors()) || len(want) == 0 {
			t.Fatalf("%s: %d tensors, want %d", scheme, len(j.Tensors()), len(want))
		}
		for i, ts := range j.Tensors() {
			if testing.Short() && i%6 > 0 {
				continue
			}
			sha, err := gguf.TensorSHA256(context.Background(), j, i)
			if err != nil {
				t.Fatal(err)
			}
			if w := want[ts.Name]; ts.Type.String() != w[0] || sha != w[1] {
				t.Errorf("%s: %s: %v %s, want %s %s", scheme, ts.Name, ts.Type, sha, w[0], w[1])
			}
		}
		c := j.Coverage() // the two routers stay F32
		if n := o.Imatrix.Len() - 2; c.Targets != n || c.Matched != n || c.Experts != 36 || len(c.Unused) > 0 || len(c.Holes) > 0 {
			t.Errorf("%s: %+v with %d entries", scheme, c, o.Imatrix.Len())
		}
	}
}

// Oracle: llama-quantize, file by file, for every family that convert knows; with importance matrix too.
func TestFamilyFiles(t *testing.T) {
	names, err := filepath.Glob(testdata.Path("families", "*", "golden", "quant-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]int{}
	least := 16
	if testing.Short() {
		names, least = slices.DeleteFunc(names, func(s string) bool { return !strings.Contains(s, "Q4_K_M-") }), 1
	}
	for _, name := range names {
		dir := filepath.Dir(filepath.Dir(name))
		family := filepath.Base(dir)
		configs, err := filepath.Glob(filepath.Join(dir, "*", "config.json"))
		if err != nil || len(configs) != 1 || family == "gpt-oss-splitpair" {
			continue // goldens without the checkpoint, or of a file that the reference made wrongly
		}
		plan, err := convert.OpenDir(filepath.Dir(configs[0]), convert.Options{OutType: "bf16"})
		if unsupported := (*gguf.UnsupportedError)(nil); errors.As(err, &unsupported) && family != "deepseek-moe" {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", family, err)
			continue
		}
		if checkFamilyFile(t, plan, name) {
			checked[family]++
		}
		plan.Close()
	}
	if checked["deepseek-moe"] < least {
		t.Errorf("checked %v, want %d files of deepseek-moe", checked, least)
	}
}

// checkFamilyFile reports false where a codec is missing.
func checkFamilyFile(t *testing.T, plan *convert.Plan, name string) bool {
	t.Helper()
	var want struct {
		FileSHA256 string `json:"file_sha256"`
		Error      []string
	}
	readJSON(t, name, &want)
	label := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "quant-"), ".json")
	scheme, withMatrix := strings.CutSuffix(label, "-imatrix")
	// The goldens of MXFP4 sources were made with --allow-requantize, but for the scheme that needs none.
	o := quantize.Options{AllowRequantize: scheme != "MXFP4_MOE"}
	if withMatrix {
		o.Imatrix, o.ImatrixName = openMatrix(t, filepath.Join(filepath.Dir(name), "imatrix.gguf")), "imatrix.gguf"
	}
	s, err := quantize.ParseScheme(scheme)
	if err != nil {
		t.Fatal(err)
	}
	j, err := quantize.New(plan, s, o)
	if (err != nil) != (want.Error != nil) {
		t.Errorf("%s: %v, want %v", name, err, want.Error)
	}
	if err != nil {
		return false
	}
	if sha, _ := fileSHA(t, j, 0); sha != want.FileSHA256 {
		t.Errorf("%s: SHA-256 %s, want %s", name, sha, want.FileSHA256)
	}
	return true
}

// The bytes must not depend on how many goroutines encode.
func TestWorkers(t *testing.T) {
	dir := testdata.Path("families", "deepseek-moe", "deepseek-moe-16b-chat")
	want := ""
	scheme := "Q4_K_M"
	if testing.Short() {
		scheme = "Q8_0"
	}
	for _, workers := range []int{1, 7} {
		sha, _ := fileSHA(t, job(t, open(t, dir, "auto"), scheme, quantize.Options{}), workers)
		if want == "" {
			want = sha
		}
		if sha != want {
			t.Errorf("%d workers: SHA-256 %s, with one %s", workers, sha, want)
		}
	}
}

// The file on disk and the plan that would write it quantize alike.
func TestFromFile(t *testing.T) {
	dir := testdata.Path("families", "deepseek-moe", "deepseek-moe-16b-chat")
	name := filepath.Join(t.TempDir(), "bf16.gguf")
	plan := open(t, dir, "bf16")
	if _, err := gguf.WriteFile(context.Background(), name, plan, gguf.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, scheme := range []string{"Q8_0", "F16"} {
		a, _ := fileSHA(t, job(t, f, scheme, quantize.Options{}), 0)
		b, _ := fileSHA(t, job(t, plan, scheme, quantize.Options{}), 0)
		if a != b {
			t.Errorf("%s: from the file %s, from the checkpoint %s", scheme, a, b)
		}
	}
}
