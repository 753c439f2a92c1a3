// Package hubtest is a HuggingFace Hub in memory, for tests: repositories with
// commits, the LFS batch API with multipart uploads, and downloads by range from a
// second server, as from a CDN. Its answers follow what huggingface_hub expects of
// the real one; .ci/hub_client runs that client against it.
package hubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
)

// Token is the token that the Hub knows; it belongs to the user User.
const (
	Token = "hf_testtoken"
	User  = "me"
)

// Hub is a running Hub.
type Hub struct {
	ChunkSize int64 // files of more bytes are uploaded in parts of so many
	PageSize  int   // entries of one page of a tree
	// Pace is called before each piece of a file that the storage takes or sends, to slow it down; nil: it is fast.
	Pace func()
	// Intercept may answer a request itself; storage says whether it came to the CDN.
	Intercept func(w http.ResponseWriter, r *http.Request, storage bool) (done bool)

	once          sync.Once
	hub, storage  *httptest.Server
	api, git, cdn *http.ServeMux

	mu       sync.Mutex
	repos    map[string]*repo
	objects  map[string][]byte // by SHA-256
	uploads  map[string]*upload
	numbered int
	leaks    []string

	received atomic.Int64
	served   atomic.Int64
	requests atomic.Int64
}

// New is a Hub that starts when it is asked for its address: what is set before then, the servers see. Close ends it.
func New() *Hub {
	h := &Hub{ChunkSize: 1 << 20, PageSize: 1000, repos: map[string]*repo{}, objects: map[string][]byte{}, uploads: map[string]*upload{},
		api: http.NewServeMux(), git: http.NewServeMux(), cdn: http.NewServeMux()}
	h.routes()
	return h
}

func (h *Hub) start() {
	h.once.Do(func() {
		h.storage = httptest.NewServer(http.HandlerFunc(h.serveStorage))
		h.hub = httptest.NewServer(h)
	})
}

// Close stops the servers.
func (h *Hub) Close() {
	h.start()
	h.hub.Close()
	h.storage.Close()
}

// URL is the Hub's address: HF_ENDPOINT.
func (h *Hub) URL() string {
	h.start()
	return h.hub.URL
}

// StorageURL is the address of the storage.
func (h *Hub) StorageURL() string {
	h.start()
	return h.storage.URL
}

// Received counts the bytes of files that arrived at the storage, those of broken uploads too.
func (h *Hub) Received() int64 { return h.received.Load() }

// Served counts the bytes of files that the storage sent, as far as they were taken off its hands.
func (h *Hub) Served() int64 { return h.served.Load() }

// Requests counts the requests to both servers.
func (h *Hub) Requests() int64 { return h.requests.Load() }

// Leaks lists the requests that carried the token to the storage.
func (h *Hub) Leaks() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leaks
}

func (h *Hub) routes() {
	for pattern, f := range map[string]http.HandlerFunc{
		"GET /api/whoami-v2":                                  h.whoami,
		"POST /api/validate-yaml":                             h.validateYAML,
		"POST /api/repos/create":                              h.createRepo,
		"GET /api/models/{owner}/{name}":                      h.withRepo(h.info),
		"GET /api/models/{owner}/{name}/revision/{rev}":       h.withRepo(h.info),
		"GET /api/models/{owner}/{name}/refs":                 h.withRepo(h.refs),
		"GET /api/models/{owner}/{name}/commits/{rev}":        h.withRepo(h.commits),
		"GET /api/models/{owner}/{name}/tree/{rev}":           h.withRepo(h.tree),
		"GET /api/models/{owner}/{name}/tree/{rev}/{path...}": h.withRepo(h.tree),
		"POST /api/models/{owner}/{name}/paths-info/{rev}":    h.withRepo(h.pathsInfo),
		"POST /api/models/{owner}/{name}/preupload/{rev}":     h.withRepo(h.preupload),
		"POST /api/models/{owner}/{name}/commit/{rev}":        h.withRepo(h.commit),
		"POST /api/complete_multipart":                        h.complete,
		"POST /{owner}/{name}/info/lfs/objects/batch":         h.withRepo(h.batch),
		"POST /{owner}/{name}/info/lfs/objects/verify":        h.withRepo(h.verify),
		"GET /{owner}/{name}/resolve/{rev}/{path...}":         h.withRepo(h.resolve),
	} {
		if strings.Contains(pattern, " /api/") {
			h.api.HandleFunc(pattern, f)
		} else {
			h.git.HandleFunc(pattern, f)
		}
	}
	h.cdn.HandleFunc("PUT /upload/{oid}", h.put)
	h.cdn.HandleFunc("GET /objects/{oid}", h.object)
}

// ServeHTTP is the Hub itself, without its storage.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.requests.Add(1)
	if h.Intercept != nil && h.Intercept(w, r, false) {
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		h.api.ServeHTTP(w, r)
		return
	}
	h.git.ServeHTTP(w, r)
}

func (h *Hub) serveStorage(w http.ResponseWriter, r *http.Request) {
	h.requests.Add(1)
	if r.Header.Get("Authorization") != "" { // a signed address and a token: S3 refuses both at once
		h.mu.Lock()
		h.leaks = append(h.leaks, r.Method+" "+r.URL.Path)
		h.mu.Unlock()
		http.Error(w, "only one authorization mechanism is allowed", http.StatusBadRequest)
		return
	}
	if h.Intercept != nil && h.Intercept(w, r, true) {
		return
	}
	if r.URL.Query().Get("signature") == "" {
		http.Error(w, "unsigned", http.StatusForbidden)
		return
	}
	h.cdn.ServeHTTP(w, r)
}

func authorized(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+Token }

// fail answers as the Hub does: code and message in headers and in the body.
func fail(w http.ResponseWriter, status int, code, msg string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", msg)
	writeJSON(w, status, map[string]any{"error": msg})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		fail(w, http.StatusBadRequest, "", "invalid JSON: "+err.Error())
		return false
	}
	return true
}

// withRepo finds the repository of a request and checks that its sender may do this.
func (h *Hub) withRepo(f func(http.ResponseWriter, *http.Request, *repo)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("owner") + "/" + strings.TrimSuffix(r.PathValue("name"), ".git")
		h.mu.Lock()
		rp := h.repos[id]
		h.mu.Unlock()
		ok := authorized(r)
		switch {
		case rp == nil && !ok, rp != nil && rp.private && !ok:
			fail(w, http.StatusUnauthorized, "RepoNotFound", "Repository not found")
		case rp == nil:
			fail(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
		case r.Method == http.MethodPost && !ok && !strings.Contains(r.URL.Path, "/paths-info/"):
			fail(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
		case rp.gated && !ok && strings.Contains(r.URL.Path, "/resolve/"):
			fail(w, http.StatusForbidden, "GatedRepo", "Access to model "+id+" is restricted. You must have access to it.")
		default:
			f(w, r, rp)
		}
	}
}

func (h *Hub) whoami(w http.ResponseWriter, r *http.Request) {
	if !authorized(r) {
		fail(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"type": "user", "name": User, "orgs": []any{}})
}

func (h *Hub) validateYAML(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Content string `json:"content"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	if !strings.HasPrefix(in.Content, "---\n") {
		writeJSON(w, http.StatusOK, map[string]any{"errors": []any{}, "warnings": []any{map[string]string{"message": "empty or missing yaml metadata in repo card"}}})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"errors": []any{}, "warnings": []any{}})
}

func (h *Hub) createRepo(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name         string  `json:"name"`
		Organization *string `json:"organization"`
		Type         string  `json:"type"`
		Private      bool    `json:"private"`
		Visibility   string  `json:"visibility"`
	}
	if !authorized(r) {
		fail(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
		return
	}
	if !readJSON(w, r, &in) {
		return
	}
	owner := User
	if in.Organization != nil {
		owner = *in.Organization
	}
	if owner != User {
		fail(w, http.StatusForbidden, "", fmt.Sprintf("You don't have the rights to create a model under the namespace %q", owner))
		return
	}
	id := owner + "/" + in.Name
	h.mu.Lock()
	_, there := h.repos[id]
	h.mu.Unlock()
	if there {
		writeJSON(w, http.StatusConflict, map[string]any{"error": "You already created this model repo", "url": h.URL() + "/" + id})
		return
	}
	h.AddRepo(id, in.Private || in.Visibility == "private", nil)
	writeJSON(w, http.StatusOK, map[string]any{"url": h.URL() + "/" + id, "name": id, "id": id})
}
