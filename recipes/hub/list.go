package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
)

// maxListing bounds the Hub's list of a repository's files, in bytes.
const maxListing = 64 << 20

// listing is what the Hub says about a repository at a revision; only the fields used here.
type listing struct {
	SHA      string          `json:"sha"`
	Gated    json.RawMessage `json:"gated"` // false, "auto" or "manual"
	Private  bool            `json:"private"`
	Siblings []sibling       `json:"siblings"`
}

type sibling struct {
	Path string `json:"rfilename"`
	Size *int64 `json:"size"`
	Blob string `json:"blobId"` // git's SHA-1 of a file not in LFS
	LFS  *struct {
		Size   *int64 `json:"size"`
		SHA256 string `json:"sha256"`
	} `json:"lfs"`
}

// Open lists repo's files and returns them as a file system pinned to the commit that the revision names now.
// Its reads are cut short by ctx. With HF_HUB_OFFLINE it is the cached snapshot; *OfflineError where there is none.
// Other errors are *AccessError, *NotFoundError and *UnavailableError.
func (c *Client) Open(ctx context.Context, repo Repo) (*FS, error) {
	if c.Offline {
		return c.openCached(ctx, repo)
	}
	t := target{repo: repo, url: fmt.Sprintf("%s/api/models/%s/revision/%s?blobs=true", c.Endpoint, repo.ID(), url.PathEscape(repo.Revision))}
	var l listing
	err := c.retry(ctx, t, func() error {
		resp, err := c.do(ctx, t, "GET", "")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
		if err != nil {
			return &attempt{err: err}
		}
		if len(text) > maxListing {
			return fmt.Errorf("hub: %s: a list of more than %d bytes of files", repo, maxListing)
		}
		l = listing{}
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("hub: %s: the list of files is not what a Hub sends: %w", repo, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newFS(ctx, c, repo, l)
}

func newFS(ctx context.Context, c *Client, repo Repo, l listing) (*FS, error) {
	f := &FS{ctx: ctx, client: c, repo: repo, files: map[string]*entry{}, commit: l.SHA, secret: l.Private, gated: len(l.Gated) > 0 && string(l.Gated) != "false" && string(l.Gated) != "null"}
	pin := l.SHA
	if pin == "" {
		pin = repo.Revision
	}
	for _, s := range l.Siblings {
		if !fs.ValidPath(s.Path) || s.Path == "." || strings.ContainsAny(s.Path, `\`) || filepath.IsAbs(s.Path) {
			return nil, fmt.Errorf("hub: %s: file name %q leads out of the repository", repo, s.Path)
		}
		e := &entry{fs: f, path: s.Path, size: -1, blob: s.Blob}
		if s.Size != nil {
			e.size = *s.Size
		}
		if s.LFS != nil {
			e.blob, e.sha256 = "", s.LFS.SHA256
			if s.LFS.Size != nil {
				e.size = *s.LFS.Size
			}
		}
		e.target = target{repo: repo, file: s.Path, url: fmt.Sprintf("%s/%s/resolve/%s/%s", c.Endpoint, repo.ID(), url.PathEscape(pin), escapePath(s.Path))}
		f.files[s.Path] = e
	}
	return f, nil
}

// escapePath escapes each part of a path.
func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
