package hub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("hf/token", "hf_file\n")
	write("home/.cache/huggingface/token", "hf_home")
	write("bad/token", "hf_\nbad")
	for _, c := range []struct {
		env         map[string]string
		token, cach string
	}{
		{map[string]string{"HF_TOKEN": " hf_env ", "HF_HOME": dir + "/hf"}, "hf_env", dir + "/hf/hub"},
		{map[string]string{"HF_HOME": dir + "/hf", "HF_HUB_CACHE": "/elsewhere"}, "hf_file", "/elsewhere"},
		{map[string]string{"HOME": dir + "/home"}, "hf_home", dir + "/home/.cache/huggingface/hub"},
		{map[string]string{"HOME": dir, "HF_TOKEN_PATH": dir + "/hf/token"}, "hf_file", dir + "/.cache/huggingface/hub"},
		{map[string]string{"XDG_CACHE_HOME": dir}, "", dir + "/huggingface/hub"},
		{nil, "", ""},
	} {
		got, err := New(func(k string) string { return c.env[k] })
		if err != nil || got.Token != c.token || filepath.ToSlash(got.Cache) != filepath.ToSlash(c.cach) || got.Endpoint != DefaultEndpoint || got.Offline {
			t.Errorf("%v: %+v, %v", c.env, got, err)
		}
	}
	for _, env := range []map[string]string{{"HF_HOME": dir + "/bad"}, {"HF_ENDPOINT": "hub.example"}, {"HF_TOKEN": "a b"}} {
		if _, err := New(func(k string) string { return env[k] }); err == nil || strings.Contains(err.Error(), "bad\n") {
			t.Errorf("%v: %v", env, err)
		}
	}
}

// TestOffline reads a snapshot of HuggingFace's cache, and never the network.
func TestOffline(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "hub", "models--me--moe")
	snap := filepath.Join(root, "snapshots", testCommit)
	if err := errors.Join(os.MkdirAll(snap, 0o755), os.MkdirAll(filepath.Join(root, "refs"), 0o755),
		os.WriteFile(filepath.Join(root, "refs", "main"), []byte(testCommit), 0o600),
		os.WriteFile(filepath.Join(root, "blob"), []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"config.json": "../../blob", "model.safetensors": "../../absent"} {
		if err := os.Symlink(to, filepath.Join(snap, link)); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
	}
	h := newTestHub(t, nil)
	c, _ := h.client(map[string]string{"HF_HUB_OFFLINE": "1", "HF_HOME": dir})
	for _, rev := range []string{"main", testCommit} {
		f, err := c.Open(context.Background(), Repo{"me", "moe", rev})
		if err != nil {
			t.Fatal(err)
		}
		b, err := fs.ReadFile(f, "config.json")
		if err != nil || string(b) != "{}" || !f.Cached() || f.Commit() != testCommit || len(f.Files()) != 1 {
			t.Errorf("%s: %q, %v, %v", rev, b, err, f.Files())
		}
	}
	for _, r := range []Repo{{"me", "moe", "v9"}, {"me", "other", "main"}, {"me", "moe", strings.Repeat("f", 40)}} {
		_, err := c.Open(context.Background(), r)
		var off *OfflineError
		if !errors.As(err, &off) || off.Hint() == "" {
			t.Errorf("%s: %v", r, err)
		}
	}
	if h.requests.Load() != 0 {
		t.Error("the network was used")
	}
}
