package hubtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// repo is a repository: a line of commits on main.
type repo struct {
	id             string
	private, gated bool
	history        []*commit // oldest first
}

// commit is a state of the files.
type commit struct {
	oid, title, description string
	files                   map[string]file
}

// file is one file of a commit: in git, or a pointer to an object of the large file storage.
type file struct {
	size int64
	blob string // git's SHA-1, of the pointer where it is one
	lfs  string // SHA-256
	data []byte // of a file in git
}

// attributes is what a new repository on the Hub holds; .gguf and others are tracked by LFS.
const attributes = "*.gguf filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.bin filter=lfs diff=lfs merge=lfs -text\n"

// tracked says whether the Hub keeps a file in LFS.
func tracked(name string, size int64) bool {
	return size > 10<<20 || slices.Contains([]string{".gguf", ".safetensors", ".bin"}, path.Ext(name))
}

func gitOID(data []byte) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
	return hex.EncodeToString(sum[:])
}

func pointer(oid string, size int64) []byte {
	return fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, size)
}

func gitFile(data []byte) file { return file{size: int64(len(data)), blob: gitOID(data), data: data} }

func lfsFile(oid string, size int64) file {
	return file{size: size, blob: gitOID(pointer(oid, size)), lfs: oid}
}

// AddRepo makes a repository with these files in its first commit.
func (h *Hub) AddRepo(id string, private bool, files map[string][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &repo{id: id, private: private}
	tree := map[string]file{".gitattributes": gitFile([]byte(attributes))}
	for name, data := range files {
		tree[name] = gitFile(data)
		if tracked(name, int64(len(data))) {
			sum := sha256.Sum256(data)
			oid := hex.EncodeToString(sum[:])
			h.objects[oid], tree[name] = data, lfsFile(oid, int64(len(data)))
		}
	}
	r.add("initial commit", "", tree)
	h.repos[id] = r
}

// SetGated makes a repository's files readable for those alone who have accepted its licence.
func (h *Hub) SetGated(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.repos[id].gated = true
}

func (r *repo) head() *commit { return r.history[len(r.history)-1] }

func (r *repo) add(title, description string, files map[string]file) *commit {
	h := sha1.New()
	fmt.Fprintln(h, r.id, len(r.history), title)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintln(h, name, files[name].blob)
	}
	c := &commit{hex.EncodeToString(h.Sum(nil)), title, description, files}
	r.history = append(r.history, c)
	return c
}

// at is the commit of a revision; nil where there is none.
func (r *repo) at(rev string) *commit {
	if rev == "" || rev == "main" {
		return r.head()
	}
	for _, c := range r.history {
		if c.oid == rev {
			return c
		}
	}
	return nil
}

// revision is the commit that a request asks for; it answers where there is none.
func (h *Hub) revision(w http.ResponseWriter, r *http.Request, rp *repo) *commit {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := rp.at(r.PathValue("rev"))
	if c == nil {
		fail(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+r.PathValue("rev"))
	}
	return c
}

func (h *Hub) info(w http.ResponseWriter, r *http.Request, rp *repo) {
	c := h.revision(w, r, rp)
	if c == nil {
		return
	}
	siblings := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		s := map[string]any{"rfilename": name}
		if f := c.files[name]; r.URL.Query().Get("blobs") != "" {
			s["size"], s["blobId"] = f.size, f.blob
			if f.lfs != "" {
				s["lfs"] = map[string]any{"sha256": f.lfs, "size": f.size, "pointerSize": len(pointer(f.lfs, f.size))}
			}
		}
		siblings = append(siblings, s)
	}
	gated := any(false)
	if rp.gated {
		gated = "auto"
	}
	writeJSON(w, http.StatusOK, map[string]any{"_id": "0", "id": rp.id, "modelId": rp.id, "author": User, "sha": c.oid,
		"private": rp.private, "gated": gated, "disabled": false, "tags": []string{}, "downloads": 0, "likes": 0, "siblings": siblings,
		"lastModified": "2026-01-02T03:04:05.000Z", "createdAt": "2026-01-02T03:04:05.000Z"})
}

func (h *Hub) refs(w http.ResponseWriter, _ *http.Request, rp *repo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"tags": []any{}, "converts": []any{},
		"branches": []any{map[string]any{"name": "main", "ref": "refs/heads/main", "targetCommit": rp.head().oid}}})
}

func (h *Hub) commits(w http.ResponseWriter, r *http.Request, rp *repo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []map[string]any
	for _, c := range slices.Backward(rp.history) {
		out = append(out, map[string]any{"id": c.oid, "title": c.title, "message": c.description, "date": "2026-01-02T03:04:05.000Z",
			"authors": []any{map[string]any{"user": User}}})
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(len(out)))
	writeJSON(w, http.StatusOK, out)
}

// entryOf is a file as the tree lists it.
func entryOf(name string, f file) map[string]any {
	e := map[string]any{"type": "file", "oid": f.blob, "size": f.size, "path": name}
	if f.lfs != "" {
		e["lfs"] = map[string]any{"oid": f.lfs, "size": f.size, "pointerSize": len(pointer(f.lfs, f.size))}
	}
	return e
}

func (h *Hub) tree(w http.ResponseWriter, r *http.Request, rp *repo) {
	c := h.revision(w, r, rp)
	if c == nil {
		return
	}
	below, recursive := r.PathValue("path"), strings.EqualFold(r.URL.Query().Get("recursive"), "true")
	if below != "" {
		below += "/"
	}
	var out []map[string]any
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		rest, ok := strings.CutPrefix(name, below)
		if !ok {
			continue
		}
		for i, b := range rest {
			if dir := below + rest[:i]; b == '/' && !seen[dir] && (recursive || !strings.Contains(rest[:i], "/")) {
				seen[dir] = true
				out = append(out, map[string]any{"type": "directory", "oid": gitOID([]byte(dir)), "size": 0, "path": dir})
			}
		}
		if recursive || !strings.Contains(rest, "/") {
			out = append(out, entryOf(name, c.files[name]))
		}
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	from = min(max(0, from), len(out))
	to := min(len(out), from+h.PageSize)
	if to < len(out) {
		q := r.URL.Query()
		q.Set("cursor", strconv.Itoa(to))
		w.Header().Set("Link", fmt.Sprintf("<%s%s?%s>; rel=\"next\"", h.URL(), r.URL.EscapedPath(), q.Encode()))
	}
	writeJSON(w, http.StatusOK, append([]map[string]any{}, out[from:to]...))
}

func (h *Hub) pathsInfo(w http.ResponseWriter, r *http.Request, rp *repo) {
	c := h.revision(w, r, rp)
	if c == nil {
		return
	}
	var in struct {
		Paths []string `json:"paths"`
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if !readJSON(w, r, &in) {
			return
		}
	} else if err := r.ParseForm(); err == nil {
		in.Paths = r.Form["paths"]
	}
	out := []map[string]any{}
	for _, name := range in.Paths {
		if f, ok := c.files[name]; ok {
			out = append(out, entryOf(name, f))
		}
	}
	writeJSON(w, http.StatusOK, out)
}
