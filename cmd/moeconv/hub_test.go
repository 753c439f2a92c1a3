package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/testdata"
)

const (
	hubToken  = "hf_scripttoken"
	hubCommit = "00112233445566778899aabbccddeeff00112233"
)

// scriptHub is a Hub for scripts: deepseek-ai/deepseek-moe-16b-chat of the fixtures, behind a token, its weights on a
// CDN; and repositories of the owner `test` that misbehave as their names say.
type scriptHub struct {
	t        *testing.T
	model    fs.FS
	hub, cdn *httptest.Server

	mu   sync.Mutex
	seen map[string]int
}

func startHub(t *testing.T) *scriptHub {
	h := &scriptHub{t: t, seen: map[string]int{}, model: os.DirFS(testdata.Path("families/deepseek-moe/deepseek-moe-16b-chat"))}
	h.hub, h.cdn = httptest.NewServer(http.HandlerFunc(h.serve)), httptest.NewServer(http.HandlerFunc(h.serveCDN))
	t.Cleanup(h.hub.Close)
	t.Cleanup(h.cdn.Close)
	return h
}

// repos are the repositories' names with the files that replace the model's; nil leaves a file out.
var hubRepos = map[string]map[string]*string{
	"deepseek-ai/deepseek-moe-16b-chat": {},
	"test/flaky":                        {},
	"test/gated":                        {},
	"test/busy":                         {},
	"test/whole":                        {},
	"test/truncated":                    {},
	"test/grok":                         {"config.json": fileText(`{"architectures":["GrokForCausalLM"]}`)},
	"test/norm":                         {"config.json": nil},
	"test/incomplete":                   {"model-00002-of-00002.safetensors": nil},
	"test/tokenless":                    {"tokenizer.json": nil},
}

func fileText(s string) *string { return &s }

func (h *scriptHub) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(strings.Trim(r.URL.Path, "/"), "/", 5)
	api := parts[0] == "api"
	if api {
		parts = strings.SplitN(strings.Trim(r.URL.Path, "/"), "/", 6)[2:]
	}
	id := strings.Join(parts[:min(2, len(parts))], "/")
	repo, ok := hubRepos[id]
	switch {
	case r.Header.Get("Authorization") != "Bearer "+hubToken:
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(http.StatusUnauthorized)
	case !ok:
		w.Header().Set("X-Error-Message", "Repository not found")
		w.WriteHeader(http.StatusNotFound)
	case h.misbehaves(w, r, id, api):
	case api:
		h.list(w, repo)
	case strings.HasSuffix(r.URL.Path, ".safetensors"):
		http.Redirect(w, r, h.cdn.URL+r.URL.Path, http.StatusFound)
	default:
		h.file(w, r, repo, strings.Join(parts[4:], "/"))
	}
}

// misbehaves answers for the repositories that do.
func (h *scriptHub) misbehaves(w http.ResponseWriter, r *http.Request, id string, api bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[r.URL.Path]++
	switch {
	case id == "test/flaky" && h.seen[r.URL.Path] == 1:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
	case id == "test/gated" && !api:
		w.Header().Set("X-Error-Code", "GatedRepo")
		w.Header().Set("X-Error-Message", "Access to model test/gated is restricted")
		w.WriteHeader(http.StatusForbidden)
	case id == "test/busy":
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		return false
	}
	return true
}

func (h *scriptHub) serveCDN(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		h.t.Error("the token went to the CDN")
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	id := strings.Join(parts[:2], "/")
	if id == "test/whole" {
		r.Header.Del("Range")
	}
	h.file(w, r, hubRepos[id], parts[len(parts)-1])
}

// read is a file of a repository.
func (h *scriptHub) read(repo map[string]*string, name string) ([]byte, error) {
	if s, ok := repo[name]; ok {
		if s == nil {
			return nil, fs.ErrNotExist
		}
		return []byte(*s), nil
	}
	return fs.ReadFile(h.model, name)
}

func (h *scriptHub) list(w http.ResponseWriter, repo map[string]*string) {
	var siblings []map[string]any
	dir, err := fs.ReadDir(h.model, ".")
	if err != nil {
		h.t.Error(err)
	}
	for _, e := range dir {
		if b, err := h.read(repo, e.Name()); err == nil {
			s := map[string]any{"rfilename": e.Name(), "size": len(b), "blobId": fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(b), b)))}
			if path.Ext(e.Name()) == ".safetensors" {
				s["lfs"] = map[string]any{"size": len(b), "sha256": fmt.Sprintf("%x", sha256.Sum256(b))}
			}
			siblings = append(siblings, s)
		}
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"sha": hubCommit, "siblings": siblings}); err != nil {
		h.t.Error(err)
	}
}

func (h *scriptHub) file(w http.ResponseWriter, r *http.Request, repo map[string]*string, name string) {
	b, err := h.read(repo, name)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var from, to int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n != 2 {
		_, _ = w.Write(b) // the client hangs up when it has enough
		return
	}
	total := len(b)
	if strings.Contains(r.URL.Path, "test/truncated") && path.Ext(name) == ".safetensors" {
		total -= 1000
	}
	to = min(to, len(b)-1)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, total))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(b[from : to+1])
}

// writeIndex: index DIR SHARD TENSOR=SHARD2... writes the index of a checkpoint whose SHARD lies in DIR, and which says
// that the tensors are in other shards.
func writeIndex(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: index DIR SHARD TENSOR=SHARD2...")
	}
	dir := ts.MkAbs(args[0])
	c, err := safetensors.OpenFiles(os.DirFS(dir), []string{args[1]})
	ts.Check(err)
	defer c.Close()
	where := map[string]string{}
	for _, t := range c.Tensors() {
		where[t.Name] = args[1]
	}
	for _, arg := range args[2:] {
		tensor, shard, _ := strings.Cut(arg, "=")
		where[tensor] = shard
	}
	b, err := json.Marshal(map[string]any{"weight_map": where})
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), b, 0o666))
}
