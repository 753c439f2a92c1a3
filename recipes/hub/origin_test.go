package hub

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOrigin(t *testing.T) {
	commit := strings.Repeat("0c1e", 10)
	dir := t.TempDir()
	cache := filepath.Join(dir, "models--owner--a-name", "snapshots", commit)
	local := filepath.Join(dir, "local")
	records := filepath.Join(local, ".cache", "huggingface", "download")
	for _, d := range []string{cache, records} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(records, "config.json.metadata"), []byte(commit+"\netag\n1.5\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, repo, commit string }{{cache, "owner/a-name", commit}, {local, "", commit}, {dir, "", ""}} {
		if repo, got := Origin(c.dir); repo != c.repo || got != c.commit {
			t.Errorf("%s: %q %q", c.dir, repo, got)
		}
	}
}
