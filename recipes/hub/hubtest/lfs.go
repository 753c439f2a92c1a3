package hubtest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// upload is one upload of an object in parts. As on S3, another batch request opens another one.
type upload struct {
	oid   string
	size  int64
	chunk int64
	parts map[int][]byte
	etags map[int]string
}

func (h *Hub) preupload(w http.ResponseWriter, r *http.Request, rp *repo) {
	c := h.revision(w, r, rp)
	if c == nil {
		return
	}
	var in struct {
		Files []struct {
			Path   string `json:"path"`
			Size   int64  `json:"size"`
			Sample string `json:"sample"`
		} `json:"files"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	var out []map[string]any
	for _, f := range in.Files {
		mode := "regular"
		if tracked(f.Path, f.Size) {
			mode = "lfs"
		}
		e := map[string]any{"path": f.Path, "uploadMode": mode, "shouldIgnore": false}
		if old, ok := c.files[f.Path]; ok {
			e["oid"] = old.blob
			if old.lfs != "" {
				e["oid"] = old.lfs
			}
		}
		out = append(out, e)
	}
	writeJSON(w, http.StatusOK, map[string]any{"files": out, "commitOid": c.oid})
}

func (h *Hub) batch(w http.ResponseWriter, r *http.Request, rp *repo) {
	var in struct {
		Operation string   `json:"operation"`
		Transfers []string `json:"transfers"`
		HashAlgo  string   `json:"hash_algo"`
		Objects   []struct {
			OID  string `json:"oid"`
			Size int64  `json:"size"`
		} `json:"objects"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	if in.Operation != "upload" || in.HashAlgo != "" && in.HashAlgo != "sha256" {
		fail(w, http.StatusUnprocessableEntity, "", "only uploads by sha256")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out, transfer := []map[string]any{}, "basic"
	for _, o := range in.Objects {
		e := map[string]any{"oid": o.OID, "size": o.Size, "authenticated": true}
		out = append(out, e)
		if len(o.OID) != 64 || o.Size <= 0 {
			e["error"] = map[string]any{"code": 422, "message": "invalid object"}
			continue
		}
		if _, there := h.objects[o.OID]; there {
			continue
		}
		up, multi := h.actions(o.OID, o.Size)
		if multi {
			transfer = "multipart"
		}
		e["actions"] = map[string]any{"upload": up, "verify": map[string]any{"href": h.URL() + "/" + rp.id + ".git/info/lfs/objects/verify"}}
	}
	w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
	writeJSON(w, http.StatusOK, map[string]any{"transfer": transfer, "objects": out})
}

// actions are the upload action of an object: one address, or one a part.
func (h *Hub) actions(oid string, size int64) (map[string]any, bool) {
	h.numbered++
	id := fmt.Sprintf("upload-%d", h.numbered)
	h.uploads[id] = &upload{oid: oid, size: size, chunk: h.ChunkSize, parts: map[int][]byte{}, etags: map[int]string{}}
	signed := func(n int64) string {
		q := url.Values{"uploadId": {id}, "X-Amz-Date": {time.Now().UTC().Format("20060102T150405Z")}, "X-Amz-Expires": {"86400"}, "signature": {"signed"}}
		if n > 0 {
			q.Set("partNumber", strconv.FormatInt(n, 10))
		}
		return h.StorageURL() + "/upload/" + oid + "?" + q.Encode()
	}
	if size <= h.ChunkSize {
		return map[string]any{"href": signed(0)}, false
	}
	header := map[string]string{"chunk_size": strconv.FormatInt(h.ChunkSize, 10)}
	for n := int64(1); (n-1)*h.ChunkSize < size; n++ {
		header[fmt.Sprintf("%05d", n)] = signed(n)
	}
	return map[string]any{"href": h.URL() + "/api/complete_multipart?uploadId=" + id, "header": header}, true
}

// put stores an object or one part of it. Bytes of a broken request are counted, too.
func (h *Hub) put(w http.ResponseWriter, r *http.Request) {
	var data bytes.Buffer
	_, err := io.CopyBuffer(&counted{&data, h}, r.Body, make([]byte, 16<<10))
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.uploads[r.URL.Query().Get("uploadId")]
	switch {
	case err != nil:
		return // nobody is there any more
	case u == nil:
		http.Error(w, "NoSuchUpload", http.StatusNotFound)
		return
	}
	sum := md5.Sum(data.Bytes())
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	if n, err := strconv.Atoi(r.URL.Query().Get("partNumber")); err == nil {
		u.parts[n], u.etags[n] = data.Bytes(), etag
	} else if err := h.store(u.oid, u.size, data.Bytes()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("ETag", etag)
	w.WriteHeader(http.StatusOK)
}

// counted counts what arrives as it arrives.
type counted struct {
	to io.Writer
	h  *Hub
}

func (c *counted) Write(p []byte) (int, error) {
	if c.h.Pace != nil {
		c.h.Pace()
	}
	c.h.received.Add(int64(len(p)))
	return c.to.Write(p)
}

// store keeps an object whose hash is right.
func (h *Hub) store(oid string, size int64, data []byte) error {
	sum := sha256.Sum256(data)
	if hex.EncodeToString(sum[:]) != oid || int64(len(data)) != size {
		return errors.New("the object's hash or size is not what was announced")
	}
	h.objects[oid] = data
	return nil
}

func (h *Hub) complete(w http.ResponseWriter, r *http.Request) {
	var in struct {
		OID   string `json:"oid"`
		Parts []struct {
			Number int    `json:"partNumber"`
			ETag   string `json:"etag"`
		} `json:"parts"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := r.URL.Query().Get("uploadId")
	u := h.uploads[id]
	if u == nil || u.oid != in.OID {
		fail(w, http.StatusNotFound, "", "The specified upload does not exist")
		return
	}
	var data []byte
	for i, p := range in.Parts {
		if p.Number != i+1 || u.etags[p.Number] != p.ETag || p.ETag == "" {
			fail(w, http.StatusBadRequest, "", fmt.Sprintf("One or more of the specified parts could not be found: %d", p.Number))
			return
		}
		data = append(data, u.parts[p.Number]...)
	}
	if err := h.store(u.oid, u.size, data); err != nil {
		fail(w, http.StatusBadRequest, "", err.Error())
		return
	}
	delete(h.uploads, id)
	writeJSON(w, http.StatusOK, map[string]any{"success": true})
}

func (h *Hub) verify(w http.ResponseWriter, r *http.Request, _ *repo) {
	var in struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if data, ok := h.objects[in.OID]; !ok || int64(len(data)) != in.Size {
		fail(w, http.StatusNotFound, "", "object not found")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true})
}
