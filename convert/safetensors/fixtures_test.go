package safetensors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// TestBadFixtures holds, per malformed checkpoint of bad/NOTES.md, what the message must say.
func TestBadFixtures(t *testing.T) {
	const w1 = `"model.layers.0.block_sparse_moe.experts.0.w1.weight"`
	cases := map[string][]string{
		"safetensors-01-truncated-data":          {"model.safetensors", "data section is", "header needs", "truncated download"},
		"safetensors-02-header-longer-than-file": {"model.safetensors", "header length 117728 exceeds the file of 58864 bytes"},
		"safetensors-03-header-length-huge":      {"model.safetensors", "header length 4611686018427387904 exceeds the limit"},
		"safetensors-04-overlapping-offsets":     {"model.safetensors", `"model.norm.weight"`, "overlaps"},
		"safetensors-05-unknown-dtype":           {"model.safetensors", w1, "unknown dtype F12_WEIRD"},
		"safetensors-06-shape-size-mismatch":     {"model.safetensors", w1, "shape [32 33] of BF16 needs 2112 bytes", "give 2048"},
		"safetensors-07-header-not-json":         {"model.safetensors", "header is not valid JSON"},
		"safetensors-08-empty-file":              {"model.safetensors", "file is empty", "too short for a safetensors header"},
		"safetensors-09-negative-shape":          {"model.safetensors", w1, "invalid shape [-32,32]"},
		"safetensors-10-shape-overflow":          {"model.safetensors", w1, "shape [8589934592 8589934592] of BF16 overflows"},
		"safetensors-11-offsets-reversed":        {"model.safetensors", w1, "data_offsets end before they begin"},
		"safetensors-12-git-lfs-pointer":         {"model.safetensors", "is a git-lfs pointer", "123456789 bytes", "git lfs pull"},
		"index-01-missing-shard":                 {"model.safetensors.index.json", "missing shard model-00002-of-00002.safetensors"},
		"index-02-names-missing-tensor":          {"model.safetensors.index.json", `"model.layers.0.extra.weight"`, "is in no shard"},
		"index-03-unlisted-tensor":               {"model-00002-of-00002.safetensors", `"lm_head.weight"`, "not in model.safetensors.index.json"},
		"index-04-no-weight-map":                 {"model.safetensors.index.json", "no weight_map"},
		"index-05-path-traversal":                {"model.safetensors.index.json", `"../_good/model.safetensors" leaves the model directory`},
		"index-06-not-json":                      {"model.safetensors.index.json", "not valid JSON"},
		"index-07-duplicate-tensor":              {`"model.norm.weight"`, "is in two shards", "model-00001-of-00002.safetensors and model-00002-of-00002.safetensors"},
	}
	dir := testdata.Path("bad")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, "safetensors-") && !strings.HasPrefix(name, "index-") {
			continue
		}
		seen++
		want, ok := cases[name]
		if !ok {
			t.Errorf("%s: fixture without an expectation", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			openFails(t, os.DirFS(filepath.Join(dir, name)), want...)
		})
	}
	if seen != len(cases) {
		t.Errorf("%d fixtures, %d expectations", seen, len(cases))
	}
}

// TestGoodFixtures opens every checkpoint that the reference converts as far as its
// weight files go: the valid cases, and the bad ones whose fault lies elsewhere.
func TestGoodFixtures(t *testing.T) {
	dirs, err := filepath.Glob(testdata.Path("bad", "*-*"))
	if err != nil {
		t.Fatal(err)
	}
	families, err := filepath.Glob(testdata.Path("families", "*", "*", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		dirs = append(dirs, filepath.Dir(f))
	}
	dirs = append(dirs, testdata.Path("bad", "_good"), testdata.Path("tiny", testdata.TinyName))
	opened := 0
	for _, dir := range dirs {
		base := filepath.Base(dir)
		if strings.HasPrefix(base, "safetensors-") || strings.HasPrefix(base, "index-") || strings.HasSuffix(base, ".gguf") {
			continue
		}
		c, err := Open(os.DirFS(dir))
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		opened++
		checkReadable(t, c)
		c.Close()
	}
	if opened < 25 {
		t.Errorf("only %d checkpoints were opened", opened)
	}
}

// checkReadable reads the last byte of every tensor and checks the order of the list.
func checkReadable(t *testing.T, c *Checkpoint) {
	t.Helper()
	size := int64(0)
	for i, x := range c.Tensors() {
		if err := c.ReadAt(x, make([]byte, 1), x.Size-1); err != nil {
			t.Error(err)
		}
		if i > 0 {
			p := c.Tensors()[i-1]
			if p.Shard > x.Shard || p.Shard == x.Shard && p.Name >= x.Name {
				t.Errorf("%s of %s comes after %s of %s", x.Name, x.Shard, p.Name, p.Shard)
			}
		}
		size += x.Size
	}
	files := int64(0)
	for _, s := range c.Shards() {
		files += s.Size
	}
	if size == 0 || size >= files {
		t.Errorf("%d bytes of tensors in %d bytes of files", size, files)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("message lacks %q: %v", p, err)
		}
	}
}
