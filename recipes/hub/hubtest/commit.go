package hubtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// operation is one line of a commit request.
type operation struct {
	Key   string `json:"key"`
	Value struct {
		Summary      string `json:"summary"`
		Description  string `json:"description"`
		ParentCommit string `json:"parentCommit"`
		Path         string `json:"path"`
		Content      string `json:"content"`
		Encoding     string `json:"encoding"`
		Algo         string `json:"algo"`
		OID          string `json:"oid"`
		Size         int64  `json:"size"`
	} `json:"value"`
}

// commit applies operations to the head, all or none.
func (h *Hub) commit(w http.ResponseWriter, r *http.Request, rp *repo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	head := rp.at(r.PathValue("rev"))
	if head != rp.head() {
		fail(w, http.StatusBadRequest, "", "not a branch: "+r.PathValue("rev"))
		return
	}
	files := maps.Clone(head.files)
	var title, description string
	dec := json.NewDecoder(r.Body)
	for {
		var op operation
		err := dec.Decode(&op)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && op.Key == "header" {
			title, description = op.Value.Summary, op.Value.Description
			if p := op.Value.ParentCommit; p != "" && p != head.oid {
				fail(w, http.StatusPreconditionFailed, "", "A commit has happened since. Please refresh and try again.")
				return
			}
			continue
		}
		if err == nil {
			err = h.apply(files, op)
		}
		if err != nil {
			fail(w, http.StatusBadRequest, "", err.Error())
			return
		}
	}
	if title == "" {
		fail(w, http.StatusBadRequest, "", "a commit needs a summary")
		return
	}
	c := rp.add(title, description, files)
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "commitOid": c.oid, "commitUrl": h.URL() + "/" + rp.id + "/commit/" + c.oid, "hookOutput": ""})
}

func (h *Hub) apply(files map[string]file, op operation) error {
	v := op.Value
	switch op.Key {
	case "file":
		data := []byte(v.Content)
		if v.Encoding == "base64" {
			var err error
			if data, err = base64.StdEncoding.DecodeString(v.Content); err != nil {
				return err
			}
		}
		if tracked(v.Path, int64(len(data))) && len(data) > 0 {
			return fmt.Errorf("%s: binary and large files belong into LFS", v.Path)
		}
		files[v.Path] = gitFile(data)
	case "lfsFile":
		data, there := h.objects[v.OID]
		if !there || v.Algo != "sha256" {
			return fmt.Errorf("%s: LFS pointer points to object %s, which was never uploaded", v.Path, v.OID)
		}
		files[v.Path] = lfsFile(v.OID, int64(len(data)))
	case "deletedFile":
		if _, there := files[v.Path]; !there {
			return fmt.Errorf("there is no file %s to delete", v.Path)
		}
		delete(files, v.Path)
	case "deletedFolder":
		maps.DeleteFunc(files, func(name string, _ file) bool { return strings.HasPrefix(name, strings.TrimSuffix(v.Path, "/")+"/") })
	default:
		return fmt.Errorf("unknown operation %q", op.Key)
	}
	return nil
}

// resolve sends a file, or to the storage that has it.
func (h *Hub) resolve(w http.ResponseWriter, r *http.Request, rp *repo) {
	c := h.revision(w, r, rp)
	if c == nil {
		return
	}
	w.Header().Set("X-Repo-Commit", c.oid)
	name := r.PathValue("path")
	f, ok := c.files[name]
	if !ok {
		fail(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	if f.lfs == "" {
		w.Header().Set("ETag", `"`+f.blob+`"`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
		return
	}
	w.Header().Set("X-Linked-Etag", `"`+f.lfs+`"`)
	w.Header().Set("X-Linked-Size", fmt.Sprint(f.size))
	http.Redirect(w, r, h.StorageURL()+"/objects/"+f.lfs+"?"+url.Values{"signature": {"signed"}}.Encode(), http.StatusFound)
}

// object sends an object of the storage, by range where asked.
func (h *Hub) object(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	data, ok := h.objects[r.PathValue("oid")]
	h.mu.Unlock()
	if !ok {
		http.Error(w, "NoSuchKey", http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", `"`+r.PathValue("oid")+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(&served{w, h}, r, "", time.Time{}, bytes.NewReader(data))
}

// served counts what the storage sends.
type served struct {
	http.ResponseWriter
	h *Hub
}

func (s *served) Write(p []byte) (int, error) {
	if s.h.Pace != nil {
		s.h.Pace()
	}
	n, err := s.ResponseWriter.Write(p)
	s.h.served.Add(int64(n))
	return n, err
}

// Commit is a commit of a repository as tests look at it.
type Commit struct {
	OID, Title, Description string
	Files                   map[string]string // path to SHA-256, or git's SHA-1 of files that are not in LFS
}

// History lists a repository's commits, oldest first; nil where there is none of that name.
func (h *Hub) History(id string) []Commit {
	h.mu.Lock()
	defer h.mu.Unlock()
	rp := h.repos[id]
	if rp == nil {
		return nil
	}
	var out []Commit
	for _, c := range rp.history {
		files := map[string]string{}
		for name, f := range c.files {
			files[name] = f.blob
			if f.lfs != "" {
				files[name] = f.lfs
			}
		}
		out = append(out, Commit{c.oid, c.title, c.description, files})
	}
	return out
}

// Read is a file's content at the head; nil where there is no such file.
func (h *Hub) Read(id, name string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, ok := h.repos[id].head().files[name]
	if !ok {
		return nil
	}
	if f.lfs != "" {
		return h.objects[f.lfs]
	}
	return f.data
}

// Corrupt flips one byte of a stored file; what the Hub says about it stays as it was.
func (h *Hub) Corrupt(id, name string, off int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	oid := h.repos[id].head().files[name].lfs
	data := bytes.Clone(h.objects[oid])
	data[off] ^= 0xff
	h.objects[oid] = data
}

// Lose forgets the content of a file.
func (h *Hub) Lose(id, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.objects, h.repos[id].head().files[name].lfs)
}

// Forget drops an object, so that it has to be uploaded anew.
func (h *Hub) Forget(oid string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.objects, oid)
}

// Replace commits other content under a name, as another client would.
func (h *Hub) Replace(id, name string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rp := h.repos[id]
	files := maps.Clone(rp.head().files)
	files[name] = gitFile(data)
	rp.add("Update "+name, "", files)
}
