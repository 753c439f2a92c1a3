package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// Addition is a file that goes to the Hub.
type Addition struct {
	Path   string // in the repository
	File   string // on disk
	Size   int64  // in bytes
	SHA256 string
}

// Change is what one commit does.
type Change struct {
	Message string
	Add     []Addition
	Delete  []string
}

// Committed is a commit that was made, or the one that made it needless.
type Committed struct {
	OID  string
	Sent int64 // bytes of files that travelled
	New  bool  // false: the repository was already as the change makes it
}

// Transport carries a change to a repository.
type Transport interface {
	// Commit makes the files present on the Hub and then commits all of the change, or nothing. parent is the commit that
	// the change was planned on: *ConflictError where the branch has another one by then. progress is told of bytes sent,
	// and of negative ones where they are sent anew.
	Commit(ctx context.Context, repo Repo, parent string, ch Change, progress func(delta int64)) (Committed, error)
}

// CreateRepo makes a model repository. created is false where it was there; its visibility is then what it was.
func (c *Client) CreateRepo(ctx context.Context, repo Repo, private bool) (created bool, err error) {
	visibility := "public"
	if private {
		visibility = "private"
	}
	// Older Hubs know `private`, newer ones `visibility`.
	in := map[string]any{"name": repo.Name, "organization": repo.Owner, "type": "model", "private": private, "visibility": visibility}
	err = c.post(ctx, target{repo: repo, url: c.Endpoint + "/api/repos/create"}, in, nil)
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		return false, nil
	}
	return err == nil, err
}

// post sends a JSON document and reads the answer into out, which may be nil.
func (c *Client) post(ctx context.Context, t target, in, out any) error {
	data, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.retry(ctx, t, func() error {
		return c.postOnce(ctx, t, call{url: t.url, header: http.Header{"Content-Type": {"application/json"}}}, data, out)
	})
}

func (c *Client) postOnce(ctx context.Context, t target, q call, data []byte, out any) error {
	if err := c.online(t.repo); err != nil {
		return err
	}
	q.method, q.length = "POST", int64(len(data))
	q.body = func() io.Reader { return bytes.NewReader(data) }
	resp, err := c.send(ctx, t, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxListing))
	if err != nil {
		return &attempt{err: err}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("hub: %s: the answer is not what a Hub sends: %w", at(t.repo, t.file), err)
	}
	return nil
}

// online fails where the environment forbids the network.
func (c *Client) online(repo Repo) error {
	if c.Offline {
		return &OfflineError{Repo: repo}
	}
	return nil
}

// holds says whether a listing already is as the change makes it.
func (f *FS) holds(ch Change) bool {
	return !slices.ContainsFunc(ch.Add, func(a Addition) bool { return !f.Has(a) }) &&
		!slices.ContainsFunc(ch.Delete, func(name string) bool { return f.files[name] != nil })
}
