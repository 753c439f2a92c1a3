package hub

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestAddress: a text at another server's address comes without our token, after trying again; what cannot be had is
// named by its address.
func TestAddress(t *testing.T) {
	tries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "":
			http.Error(w, "a token", http.StatusTeapot)
		case r.URL.Path == "/text":
			if tries++; tries < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Write([]byte("hello"))
		case r.URL.Path == "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/short":
			w.Header().Set("Content-Length", "9")
			w.Write([]byte("hel"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	c, err := New(func(key string) string {
		return map[string]string{"HF_TOKEN": "hf_secret", "HF_ENDPOINT": "https://hub.invalid"}[key]
	})
	if err != nil {
		t.Fatal(err)
	}
	c.pause = func(time.Duration) <-chan time.Time { return time.After(0) }
	if data, err := c.Address(t.Context(), s.URL+"/text", 5); string(data) != "hello" || err != nil || tries != 3 {
		t.Errorf("%q, %v after %d tries", data, err, tries)
	}
	for path, want := range map[string]string{"/none": "404", "/busy": "no answer after 5 tries", "/short": "no answer after 5 tries"} {
		if _, err := c.Address(t.Context(), s.URL+path, 5); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), s.URL+path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := c.Address(t.Context(), s.URL+"/text", 4); err == nil || !strings.Contains(err.Error(), "more than 4 bytes") {
		t.Error(err)
	}
	for _, address := range []string{"ftp://x/y", "text.txt", "http://", "://"} {
		if _, err := c.Address(t.Context(), address, 4); err == nil {
			t.Errorf("%s: no error", address)
		}
	}
	c.Offline = true
	var offline *OfflineError
	if _, err := c.Address(t.Context(), s.URL+"/text", 5); !errors.As(err, &offline) || !strings.Contains(err.Error(), s.URL+"/text: HF_HUB_OFFLINE") {
		t.Error(err)
	}
	c.Offline, c.Endpoint = false, s.URL
	if _, err := c.Address(t.Context(), s.URL+"/text", 5); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("the token does not go to its own Hub: %v", err)
	}
}
