package recipes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/recipes/hub/hubtest"
	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify/evidence"
)

// TestLockPins: a branch that moves on between two runs of a recipe gives the same files; --update-lock follows it.
func TestLockPins(t *testing.T) {
	h := hubtest.New()
	t.Cleanup(h.Close)
	files := map[string][]byte{}
	for name, data := range checkpoint(t) {
		files[name] = data
	}
	h.AddRepo("org/tiny", false, files)
	head := func() string { return h.History("org/tiny")[len(h.History("org/tiny"))-1].OID }
	first := head()
	dir := t.TempDir()
	recipe := filepath.Join(dir, "x.yaml")
	if err := os.WriteFile(recipe, []byte("moeconv: 1\nname: tiny\nsource: {repo: org/tiny, revision: main}\noutputs: {types: [Q4_0]}\nverify: {reference: none}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	run := func(update bool) (*Report, error) {
		r, err := Load(recipe)
		if err != nil {
			t.Fatal(err)
		}
		c, err := hub.New(func(key string) string {
			return map[string]string{"HF_ENDPOINT": h.URL(), "HF_HUB_CACHE": filepath.Join(dir, "cache")}[key]
		})
		if err != nil {
			t.Fatal(err)
		}
		return Run(t.Context(), r, Options{Out: filepath.Join(dir, "out"), Memory: 1 << 26, Hub: c, Observer: silent{}, UpdateLock: update, Force: update, Tool: evidence.Tool{Version: "1", Reference: "llama.cpp"}})
	}
	if _, err := run(false); err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(dir, "x.lock.yaml"))
	if err != nil || !strings.Contains(string(lock), "revision: "+first) || !strings.Contains(string(lock), "asked: main") {
		t.Fatalf("%v\n%s", err, lock)
	}
	files["README.md"] = append(files["README.md"], "changed\n"...)
	h.Replace("org/tiny", "README.md", files["README.md"])
	second := head()
	rep, err := run(false)
	if err != nil || rep.Source.Revision != first || rep.Written != 0 {
		t.Fatalf("%v: revision %s, %d bytes written; want %s, 0", err, rep.Source.Revision, rep.Written, first)
	}
	rep, err = run(true)
	if err != nil || rep.Source.Revision != second {
		t.Fatalf("%v: revision %s, want %s", err, rep.Source.Revision, second)
	}
	damaged := strings.Replace(string(lock), "sha256: ", "sha256: 00", 1)
	if err := os.WriteFile(filepath.Join(dir, "x.lock.yaml"), []byte(damaged), 0o666); err != nil {
		t.Fatal(err)
	}
	var refused *LockError
	if _, err := run(false); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
}

// TestLockWeights: weights of the same size with one other bit are refused before anything is written; --update-lock takes
// the checkpoint as it is, also where no output changes.
func TestLockWeights(t *testing.T) {
	dir := t.TempDir()
	for name, data := range checkpoint(t) {
		if err := evidence.WriteFile(filepath.Join(dir, "src", name), data); err != nil {
			t.Fatal(err)
		}
	}
	recipe := filepath.Join(dir, "x.yaml")
	if err := os.WriteFile(recipe, []byte("moeconv: 1\nname: tiny\nsource: {path: src}\noutputs: {types: [Q4_0]}\nverify: {reference: none}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	run := func(out string, update bool) error {
		r, err := Load(recipe)
		if err != nil {
			t.Fatal(err)
		}
		r.Source.Path = filepath.Join(dir, "src")
		_, err = Run(t.Context(), r, Options{Out: filepath.Join(dir, out), Memory: 1 << 26, Observer: silent{}, UpdateLock: update, Tool: evidence.Tool{Version: "1", Reference: "llama.cpp"}})
		return err
	}
	if err := run("a", false); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, "x.lock.yaml")
	good, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	damaged := strings.Replace(string(good), "sha256: ", "sha256: 00", 1)
	if err := os.WriteFile(lock, []byte(damaged), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := run("a", true); err != nil {
		t.Fatal(err)
	}
	if mended, err := os.ReadFile(lock); err != nil || string(mended) != string(good) {
		t.Errorf("%v: the lock was not made anew", err)
	}
	weights := filepath.Join(dir, "src", "model.safetensors")
	data, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-2] ^= 1
	if err := os.WriteFile(weights, data, 0o666); err != nil {
		t.Fatal(err)
	}
	var refused *LockError
	if err := run("b", false); !errors.As(err, &refused) || refused.File != "model.safetensors" {
		t.Errorf("one bit of the weights: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "b", "*.gguf*")); err != nil || len(left) > 0 {
		t.Errorf("%v: %v was written", err, left)
	}
}

// checkpoint is the embedded one, file by file.
func checkpoint(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	entries, err := fs.ReadDir(testdata.Tiny(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if out[e.Name()], err = fs.ReadFile(testdata.Tiny(), e.Name()); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
