package hub

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	sampleSize    = 512 // bytes of a file by which the Hub tells text from data
	lfsType       = "application/vnd.git-lfs+json"
	commitsAnHour = 128 // the Hub's limit
	batchFiles    = 100 // asked for at once
)

// LFS is the Transport by git LFS as the Hub speaks it: files first, in parts where the Hub wants that, then the commit.
type LFS struct {
	Client *Client
	State  string // directory of the journals of uploads; made when needed

	commits []time.Time
}

// files is what the Hub says about the files of a change before they are sent.
type files struct {
	lfs     []Addition // to be sent
	regular []Addition // go with the commit itself
}

// Commit implements Transport.
func (l *LFS) Commit(ctx context.Context, repo Repo, parent string, ch Change, progress func(int64)) (Committed, error) {
	todo, err := l.preupload(ctx, repo, ch.Add)
	if err != nil {
		return Committed{}, err
	}
	var sent int64
	count := func(n int64) {
		sent += n
		progress(n)
	}
	if len(todo.lfs) == 0 && len(todo.regular) == 0 && len(ch.Delete) == 0 {
		return Committed{OID: parent}, nil
	}
	for first := 0; first < len(todo.lfs); first += batchFiles {
		if err := l.sendAll(ctx, repo, todo.lfs[first:min(len(todo.lfs), first+batchFiles)], count); err != nil {
			return Committed{Sent: sent}, err
		}
	}
	oid, err := l.commit(ctx, repo, parent, ch, todo)
	return Committed{OID: oid, Sent: sent, New: err == nil}, err
}

// preupload asks the Hub which files it has already and which of the others go into LFS.
func (l *LFS) preupload(ctx context.Context, repo Repo, adds []Addition) (files, error) {
	var out files
	for first := 0; first < len(adds); first += batchFiles {
		chunk := adds[first:min(len(adds), first+batchFiles)]
		var ask []map[string]any
		for _, a := range chunk {
			sample, err := readSome(a.File, sampleSize)
			if err != nil {
				return out, err
			}
			ask = append(ask, map[string]any{"path": a.Path, "size": a.Size, "sample": base64.StdEncoding.EncodeToString(sample)})
		}
		var answer struct {
			Files []struct {
				Path   string `json:"path"`
				Mode   string `json:"uploadMode"`
				Ignore bool   `json:"shouldIgnore"`
				OID    string `json:"oid"`
			} `json:"files"`
		}
		t := target{repo: repo, url: fmt.Sprintf("%s/api/models/%s/preupload/%s", l.Client.Endpoint, repo.ID(), url.PathEscape(repo.Revision))}
		if err := l.Client.post(ctx, t, map[string]any{"files": ask}, &answer); err != nil {
			return out, err
		}
		if len(answer.Files) != len(chunk) {
			return out, fmt.Errorf("hub: %s: asked about %d files, the Hub answers about %d", repo, len(chunk), len(answer.Files))
		}
		for i, f := range answer.Files {
			if f.Ignore {
				return out, fmt.Errorf("hub: %s: the repository's .gitignore excludes it", at(repo, f.Path))
			}
			if err := out.add(chunk[i], f.Mode, f.OID); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// add files one file under how it travels, unless the Hub has it.
func (f *files) add(a Addition, mode, oid string) error {
	if mode == "lfs" && a.Size > 0 { // the storage refuses empty objects
		if oid != a.SHA256 {
			f.lfs = append(f.lfs, a)
		}
		return nil
	}
	data, err := os.ReadFile(a.File)
	if err != nil {
		return err
	}
	if gitBlob(data) != oid {
		f.regular = append(f.regular, a)
	}
	return nil
}

func readSome(name string, n int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// object is what the batch API says about one file.
type object struct {
	OID     string `json:"oid"`
	Actions *struct {
		Upload action  `json:"upload"`
		Verify *action `json:"verify"`
	} `json:"actions"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type action struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header"`
}

// sendAll sends the files that the storage does not have.
func (l *LFS) sendAll(ctx context.Context, repo Repo, adds []Addition, progress func(int64)) error {
	objects, err := l.batch(ctx, repo, adds)
	if err != nil {
		return err
	}
	for _, a := range adds {
		for try := 1; ; try++ {
			err := l.send(ctx, repo, a, objects[a.SHA256], progress)
			var expired *expiredError
			if !errors.As(err, &expired) {
				if err != nil {
					return err
				}
				break
			}
			if try == l.Client.Tries {
				return fmt.Errorf("hub: %s: the storage refuses the upload: %w", at(repo, a.Path), err)
			}
			again, err := l.batch(ctx, repo, []Addition{a}) // new addresses, and all parts anew
			if err != nil {
				return err
			}
			objects[a.SHA256] = again[a.SHA256]
		}
	}
	return nil
}

// batch asks where files are to be sent; of files that are there it says so.
func (l *LFS) batch(ctx context.Context, repo Repo, adds []Addition) (map[string]object, error) {
	var ask []map[string]any
	for _, a := range adds {
		ask = append(ask, map[string]any{"oid": a.SHA256, "size": a.Size})
	}
	data, err := json.Marshal(map[string]any{"operation": "upload", "transfers": []string{"basic", "multipart"}, "hash_algo": "sha256",
		"ref": map[string]string{"name": repo.Revision}, "objects": ask})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Objects []object `json:"objects"`
	}
	t := target{repo: repo, url: l.Client.Endpoint + "/" + repo.ID() + ".git/info/lfs/objects/batch"}
	q := call{url: t.url, header: http.Header{"Content-Type": {lfsType}, "Accept": {lfsType}}}
	if err := l.Client.retry(ctx, t, func() error { return l.Client.postOnce(ctx, t, q, data, &answer) }); err != nil {
		return nil, err
	}
	out := map[string]object{}
	for _, o := range answer.Objects {
		out[o.OID] = o
	}
	for _, a := range adds {
		o, ok := out[a.SHA256]
		if !ok {
			return nil, fmt.Errorf("hub: %s: the Hub's answer leaves it out", at(repo, a.Path))
		}
		if o.Error != nil {
			return nil, fmt.Errorf("hub: %s: the storage refuses it: %s (%d)", at(repo, a.Path), oneLine(o.Error.Message), o.Error.Code)
		}
	}
	return out, nil
}

// send sends one file as the Hub wants it.
func (l *LFS) send(ctx context.Context, repo Repo, a Addition, o object, progress func(int64)) error {
	if o.Actions == nil {
		return dropParts(l.State, a.SHA256)
	}
	t := target{repo: repo, file: a.Path}
	f, err := os.Open(a.File)
	if err != nil {
		return err
	}
	defer f.Close()
	if o.Actions.Upload.Header["chunk_size"] != "" {
		err = l.sendParts(ctx, t, f, a, o.Actions.Upload, progress)
	} else {
		_, err = l.put(ctx, t, f, o.Actions.Upload.Href, 0, a.Size, progress)
	}
	if err != nil {
		return err
	}
	if v := o.Actions.Verify; v != nil {
		vt := target{repo: repo, file: a.Path, url: l.Client.mirrored(v.Href)}
		if err := l.Client.post(ctx, vt, map[string]any{"oid": a.SHA256, "size": a.Size}, nil); err != nil {
			return err
		}
	}
	return dropParts(l.State, a.SHA256)
}

// mirrored moves an address of the Hub to the endpoint in use.
func (c *Client) mirrored(href string) string {
	if rest, ok := strings.CutPrefix(href, DefaultEndpoint+"/"); ok {
		return c.Endpoint + "/" + rest
	}
	return href
}

// put sends n bytes from off on and returns the storage's ETag.
func (l *LFS) put(ctx context.Context, t target, f *os.File, href string, off, n int64, progress func(int64)) (string, error) {
	var etag string
	err := l.Client.retry(ctx, t, func() error {
		var c *counter
		q := call{method: "PUT", url: href, length: n, bare: true, body: func() io.Reader {
			c = &counter{r: io.NewSectionReader(f, off, n), told: progress}
			return c
		}}
		resp, err := l.Client.send(ctx, t, q)
		if err != nil {
			if c != nil {
				progress(-c.n)
			}
			return err
		}
		etag = resp.Header.Get("ETag")
		return resp.Body.Close()
	})
	return etag, err
}

// counter tells how many bytes were read.
type counter struct {
	r    io.Reader
	n    int64
	told func(int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.told(int64(n))
	return n, err
}

// commit commits a change whose files are there. An answer that was lost is looked for in the repository.
func (l *LFS) commit(ctx context.Context, repo Repo, parent string, ch Change, todo files) (string, error) {
	data, err := commitBody(parent, ch, todo)
	if err != nil {
		return "", err
	}
	if err := l.pace(ctx); err != nil {
		return "", err
	}
	t := target{repo: repo, url: fmt.Sprintf("%s/api/models/%s/commit/%s", l.Client.Endpoint, repo.ID(), url.PathEscape(repo.Revision))}
	var answer struct {
		OID string `json:"commitOid"`
	}
	q := call{url: t.url, header: http.Header{"Content-Type": {"application/x-ndjson"}}}
	err = l.Client.retry(ctx, t, func() error {
		err := l.Client.postOnce(ctx, t, q, data, &answer)
		var again *attempt
		var conflict *ConflictError
		if !errors.As(err, &again) && !errors.As(err, &conflict) {
			return err
		}
		now, lookErr := l.Client.Open(ctx, repo)
		if lookErr != nil {
			return err
		}
		if now.commit != parent && now.holds(ch) {
			answer.OID = now.commit
			return nil
		}
		return err
	})
	return answer.OID, err
}

// pace keeps to the Hub's limit of commits.
func (l *LFS) pace(ctx context.Context) error {
	now := time.Now()
	if n := len(l.commits); n >= commitsAnHour {
		if wait := l.commits[n-commitsAnHour].Add(time.Hour).Sub(now); wait > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-l.Client.pause(wait):
			}
		}
	}
	l.commits = append(l.commits, now)
	return nil
}

// commitBody is the request of a commit, a JSON document a line.
func commitBody(parent string, ch Change, todo files) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	line := func(key string, value map[string]any) error {
		return enc.Encode(map[string]any{"key": key, "value": value})
	}
	header := map[string]any{"summary": ch.Message, "description": ""}
	if parent != "" {
		header["parentCommit"] = parent
	}
	err := line("header", header)
	for _, a := range todo.regular {
		data, readErr := os.ReadFile(a.File)
		if readErr != nil {
			return nil, readErr
		}
		err = errors.Join(err, line("file", map[string]any{"path": a.Path, "encoding": "base64", "content": base64.StdEncoding.EncodeToString(data)}))
	}
	for _, a := range todo.lfs {
		err = errors.Join(err, line("lfsFile", map[string]any{"path": a.Path, "algo": "sha256", "oid": a.SHA256, "size": a.Size}))
	}
	for _, name := range ch.Delete {
		err = errors.Join(err, line("deletedFile", map[string]any{"path": name}))
	}
	return b.Bytes(), err
}
