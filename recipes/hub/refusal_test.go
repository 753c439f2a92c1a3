package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	good := map[string]string{"HF_TOKEN": testToken}
	for _, c := range []struct {
		name   string
		set    func(*testHub)
		env    map[string]string
		repo   Repo
		read   string
		want   []string
		absent bool // is a NotFoundError, not an AccessError
	}{
		{"no token", func(h *testHub) { h.needToken = true }, nil, repo, "", []string{"me/moe@main", "private", "401", "HF_TOKEN"}, false},
		{"wrong token", func(h *testHub) { h.needToken = true }, map[string]string{"HF_TOKEN": "hf_other"}, repo, "", []string{"no access", "401", "not valid"}, false},
		{"gated", func(h *testHub) { h.gated = true }, nil, repo, "config.json", []string{"config.json", "gated", "403", "accept the licence on", "/me/moe", "HF_TOKEN"}, false},
		{"gated weights", func(h *testHub) { h.gated = true }, nil, repo, "model-00001-of-00002.safetensors", []string{"gated"}, false},
		{"unknown repository", func(*testHub) {}, good, Repo{"me", "other", "main"}, "", []string{"me/other@main", "404", "Repository not found"}, true},
		{"unknown revision", func(*testHub) {}, good, Repo{"me", "moe", "v9"}, "", []string{"me/moe@v9", "not found"}, true},
	} {
		h := newTestHub(t, testFiles())
		c.set(h)
		client, waits := h.client(c.env)
		f, err := client.Open(context.Background(), c.repo)
		if err == nil && c.read != "" {
			_, err = fs.ReadFile(f, c.read)
			if f.Err() == nil {
				t.Errorf("%s: FS.Err is nil", c.name)
			}
		}
		var access *AccessError
		var missing *NotFoundError
		if c.absent && !errors.As(err, &missing) || !c.absent && !errors.As(err, &access) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text := err.Error() + "\n" + err.(interface{ Hint() string }).Hint()
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is not in %q", c.name, w, text)
			}
		}
		if strings.Contains(text, "hf_") || strings.Contains(text, "signature") {
			t.Errorf("%s: a secret is in %q", c.name, text)
		}
		if len(*waits) != 0 {
			t.Errorf("%s: tried again", c.name)
		}
	}
}

// TestChanged: a file that is not the one in the list is refused.
func TestChanged(t *testing.T) {
	h := newTestHub(t, testFiles())
	h.trouble = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if !strings.HasSuffix(r.URL.Path, "config.json") {
			return false
		}
		w.Header().Set("Content-Range", "bytes 0-22/23")
		w.WriteHeader(http.StatusPartialContent)
		fmt.Fprint(w, `{"architectures":["Y"]}`)
		return true
	}
	c, _ := h.client(nil)
	if _, err := fs.ReadFile(open(t, c), "config.json"); err == nil || !strings.Contains(err.Error(), "hash") {
		t.Errorf("other bytes: %v", err)
	}
	h.wrongTotal = true
	if _, err := fs.ReadFile(open(t, c), "tokenizer.json"); err == nil || !strings.Contains(err.Error(), "the Hub lists 200011") {
		t.Errorf("another size: %v", err)
	}
	h = newTestHub(t, map[string][]byte{"../outside": nil})
	c, _ = h.client(nil)
	if _, err := c.Open(context.Background(), repo); err == nil || !strings.Contains(err.Error(), "leads out of") {
		t.Errorf("path: %v", err)
	}
}

func TestCancel(t *testing.T) {
	h := newTestHub(t, testFiles())
	ctx, cancel := context.WithCancel(context.Background())
	c, _ := h.client(nil)
	f, err := c.Open(ctx, repo)
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan bool)
	h.trouble = func(http.ResponseWriter, *http.Request, int) bool {
		cancel()
		<-release
		return true
	}
	_, err = fs.ReadFile(f, "config.json")
	close(release)
	if !errors.Is(err, context.Canceled) || !errors.Is(f.Err(), context.Canceled) {
		t.Errorf("%v", err)
	}
}
