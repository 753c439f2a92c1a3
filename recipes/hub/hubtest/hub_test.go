package hubtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// send makes a request with the token, but to the storage without it.
func send(t *testing.T, h *Hub, method, url, body string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(url, h.StorageURL()) {
		req.Header.Set("Authorization", "Bearer "+Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// TestRefusals: an upload with a wrong part, a wrong hash or a forgotten object does not get into the repository, and
// neither does a commit on another parent. What a client gets right is in .ci/hub_client.py.
func TestRefusals(t *testing.T) {
	h := New()
	defer h.Close()
	h.ChunkSize = 10
	h.AddRepo("me/m", false, nil)
	data := []byte("0123456789abcde")
	sum := sha256.Sum256(data)
	oid := hex.EncodeToString(sum[:])
	api := h.URL() + "/api/models/me/m"
	lfs := fmt.Sprintf(`{"key":"lfsFile","value":{"path":"a.gguf","algo":"sha256","oid":%q,"size":15}}`, oid)
	commit := func(parent string) int {
		code, _, _ := send(t, h, "POST", api+"/commit/main", `{"key":"header","value":{"summary":"a","parentCommit":"`+parent+`"}}`+"\n"+lfs)
		return code
	}
	if code := commit(""); code != http.StatusBadRequest {
		t.Errorf("an object that was never uploaded: %d", code)
	}
	_, _, text := send(t, h, "POST", h.URL()+"/me/m.git/info/lfs/objects/batch", fmt.Sprintf(`{"operation":"upload","objects":[{"oid":%q,"size":15}]}`, oid))
	var answer struct {
		Objects []struct {
			Actions struct {
				Upload struct {
					Href   string
					Header map[string]string
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Objects) != 1 {
		t.Fatal(text, err)
	}
	up := answer.Objects[0].Actions.Upload
	complete := func(etags ...string) int {
		var parts []map[string]any
		for i, e := range etags {
			parts = append(parts, map[string]any{"partNumber": i + 1, "etag": e})
		}
		body, err := json.Marshal(map[string]any{"oid": oid, "parts": parts})
		if err != nil {
			t.Fatal(err)
		}
		code, _, _ := send(t, h, "POST", up.Href, string(body))
		return code
	}
	put := func(n, body string) string {
		_, header, _ := send(t, h, "PUT", up.Header[n], body)
		return header.Get("ETag")
	}
	one, bad := put("00001", "0123456789"), put("00002", "xxxxx")
	for what, code := range map[string]int{"a missing part": complete(one), "a wrong ETag": complete(one, one), "a wrong hash": complete(one, bad)} {
		if code != http.StatusBadRequest {
			t.Errorf("%s: %d", what, code)
		}
	}
	if code := complete(one, put("00002", "abcde")); code != http.StatusOK {
		t.Errorf("a whole upload: %d", code)
	}
	if code := commit(strings.Repeat("0", 40)); code != http.StatusPreconditionFailed {
		t.Errorf("another parent: %d", code)
	}
	if code := commit(h.History("me/m")[0].OID); code != http.StatusOK || !bytes.Equal(h.Read("me/m", "a.gguf"), data) {
		t.Errorf("a commit: %d", code)
	}
	if code, _, _ := send(t, h, "GET", h.StorageURL()+"/objects/"+oid, ""); code != http.StatusForbidden {
		t.Errorf("an unsigned address: %d", code)
	}
}
