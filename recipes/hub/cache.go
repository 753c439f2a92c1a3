package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// commitName is a commit's name, as HuggingFace's cache names its snapshots.
var commitName = regexp.MustCompile(`^[0-9a-f]{40}$`)

// openCached is the snapshot of repo in HuggingFace's own cache:
// models--OWNER--NAME/refs/REVISION holds the commit, snapshots/COMMIT the files.
func (c *Client) openCached(ctx context.Context, repo Repo) (*FS, error) {
	root := c.repoCache(repo)
	missing := &OfflineError{Repo: repo, Cache: root}
	commit := repo.Revision
	if !commitName.MatchString(commit) {
		b, err := os.ReadFile(filepath.Join(root, "refs", filepath.FromSlash(repo.Revision)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, missing
		}
		if err != nil {
			return nil, fmt.Errorf("hub: %s: cache: %w", repo, err)
		}
		if commit = strings.TrimSpace(string(b)); !commitName.MatchString(commit) {
			return nil, fmt.Errorf("hub: %s: cache: refs/%s does not hold a commit", repo, repo.Revision)
		}
	}
	dir := filepath.Join(root, "snapshots", commit)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, missing
	}
	f := &FS{ctx: ctx, client: c, repo: repo, commit: commit, files: map[string]*entry{}, local: os.DirFS(dir)}
	return f, f.listLocal(dir)
}

// listLocal fills in names and sizes; a snapshot's files are links into the cache.
func (f *FS) listLocal(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil // a link to a blob that was never fetched: the file is not there
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		f.files[rel] = &entry{fs: f, path: rel, size: info.Size()}
		return nil
	})
}
