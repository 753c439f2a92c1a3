package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	testCommit = "0123456789abcdef0123456789abcdef01234567"
	testToken  = "hf_secret"
)

// testHub is a Hub with one repository, me/moe, whose weights come from another server, as from a CDN.
type testHub struct {
	t     *testing.T
	files map[string][]byte
	delay time.Duration

	noRanges   bool
	noSizes    bool
	needToken  bool
	gated      bool
	wrongTotal bool

	// trouble may answer a request itself, n-th of its path from 1 on.
	trouble func(w http.ResponseWriter, r *http.Request, n int) (done bool)

	mu       sync.Mutex
	seen     map[string]int
	requests atomic.Int64
	under    atomic.Int64 // way, now
	most     atomic.Int64 // of them at once
	sent     atomic.Int64
	hub, cdn *httptest.Server
}

func newTestHub(t *testing.T, files map[string][]byte) *testHub {
	h := &testHub{t: t, files: files, seen: map[string]int{}}
	h.hub = httptest.NewServer(http.HandlerFunc(h.serve))
	h.cdn = httptest.NewServer(http.HandlerFunc(h.serveCDN))
	t.Cleanup(h.hub.Close)
	t.Cleanup(h.cdn.Close)
	return h
}

// client is one that does not wait between tries, but notes how long it would.
func (h *testHub) client(env map[string]string) (*Client, *[]time.Duration) {
	h.t.Helper()
	c, err := New(func(key string) string {
		if key == "HF_ENDPOINT" {
			return h.hub.URL + "/"
		}
		return env[key]
	})
	if err != nil {
		h.t.Fatal(err)
	}
	var waits []time.Duration
	var mu sync.Mutex // shards are fetched side by side
	c.pause = func(d time.Duration) <-chan time.Time {
		mu.Lock()
		defer mu.Unlock()
		waits = append(waits, d)
		return time.After(0)
	}
	return c, &waits
}

// wait is the delay of an answer.
func (h *testHub) wait() {
	h.most.Store(max(h.most.Load(), h.under.Add(1)))
	time.Sleep(h.delay)
	h.under.Add(-1)
}

func (h *testHub) count(r *http.Request) int {
	h.requests.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[r.URL.Path]++
	return h.seen[r.URL.Path]
}

func (h *testHub) serve(w http.ResponseWriter, r *http.Request) {
	h.wait()
	n := h.count(r)
	if h.trouble != nil && h.trouble(w, r, n) {
		return
	}
	ok := r.Header.Get("Authorization") == "Bearer "+testToken
	if h.gated && strings.Contains(r.URL.Path, "/resolve/") && !ok {
		w.Header().Set("X-Error-Code", "GatedRepo")
		w.Header().Set("X-Error-Message", "Access to model me/moe is restricted. You must have access to it.")
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if h.needToken && !ok {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.Header().Set("X-Error-Message", "Repository not found")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch {
	case r.URL.Path == "/api/models/me/moe/revision/main", r.URL.Path == "/api/models/me/moe/revision/"+testCommit:
		h.list(w)
	case strings.HasPrefix(r.URL.Path, "/me/moe/resolve/"+testCommit+"/"):
		name := strings.TrimPrefix(r.URL.Path, "/me/moe/resolve/"+testCommit+"/")
		if path.Ext(name) == ".safetensors" {
			http.Redirect(w, r, h.cdn.URL+"/blob/"+name+"?signature=private", http.StatusFound)
			return
		}
		h.file(w, r, name)
	default:
		w.Header().Set("X-Error-Message", "Repository not found")
		w.WriteHeader(http.StatusNotFound)
	}
}

func (h *testHub) serveCDN(w http.ResponseWriter, r *http.Request) {
	h.wait()
	n := h.count(r)
	if r.Header.Get("Authorization") != "" {
		h.t.Errorf("the token went to the CDN: %s", r.URL.Path)
	}
	if h.trouble != nil && h.trouble(w, r, n) {
		return
	}
	h.file(w, r, strings.TrimPrefix(r.URL.Path, "/blob/"))
}

func (h *testHub) list(w http.ResponseWriter) {
	var siblings []map[string]any
	for name, data := range h.files {
		s := map[string]any{"rfilename": name}
		sum := sha256.Sum256(data)
		git := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
		switch {
		case h.noSizes:
		case path.Ext(name) == ".safetensors":
			s["size"], s["lfs"] = len(data), map[string]any{"size": len(data), "sha256": hex.EncodeToString(sum[:])}
		default:
			s["size"], s["blobId"] = len(data), hex.EncodeToString(git[:])
		}
		siblings = append(siblings, s)
	}
	gated := any(false)
	if h.gated {
		gated = "auto"
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"id": "me/moe", "sha": testCommit, "gated": gated, "siblings": siblings}); err != nil {
		h.t.Error(err)
	}
}

func (h *testHub) file(w http.ResponseWriter, r *http.Request, name string) {
	data, ok := h.files[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var from, to int
	n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
	if h.noRanges || n != 2 {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		h.write(w, data)
		return
	}
	to = min(to, len(data)-1)
	total := len(data)
	if h.wrongTotal {
		total--
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, total))
	w.Header().Set("Content-Length", fmt.Sprint(to+1-from))
	w.WriteHeader(http.StatusPartialContent)
	h.write(w, data[from:to+1])
}

// write sends in pieces, so that a client that hangs up early is noticed.
func (h *testHub) write(w http.ResponseWriter, data []byte) {
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), 64<<10)])
		h.sent.Add(int64(n))
		if err != nil {
			return
		}
		data = data[n:]
	}
}
