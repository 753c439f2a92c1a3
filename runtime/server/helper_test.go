package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/testdata"
)

var load = sync.OnceValues(func() (*runtime.Model, error) {
	p, err := convert.NewPlan(os.DirFS(testdata.Path("tiny/tiny-moe-go")), convert.Options{OutType: "bf16", Name: "tiny"})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return runtime.Load(p, runtime.Options{Context: 256})
})

// tinyPlan is the trained model's checkpoint.
func tinyPlan(t *testing.T) *convert.Plan {
	t.Helper()
	p, err := convert.NewPlan(os.DirFS(testdata.Path("tiny/tiny-moe-go")), convert.Options{OutType: "bf16", Name: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// start serves the trained model.
func start(t *testing.T, opts Options) (*Server, string) {
	t.Helper()
	m, err := load()
	if err != nil {
		t.Fatal(err)
	}
	opts.Name = "tiny"
	s, err := New(m, opts)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h.URL
}

func post(t *testing.T, url, body string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, data
}

// ask posts body and decodes a response of status 200.
func ask[T any](t *testing.T, url, body string) T {
	t.Helper()
	r, data := post(t, url, body)
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %s %s", body, r.Status, data)
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

// stream posts body and decodes the events; the last must be [DONE].
func stream[T any](t *testing.T, url, body string) []T {
	t.Helper()
	r, data := post(t, url, body)
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %s %s", body, r.Status, data)
	}
	events, done, err := parseEvents[T](data)
	if err != nil || !done {
		t.Fatalf("done %v, error %v: %s", done, err, data)
	}
	return events
}

func parseEvents[T any](data []byte) (events []T, done bool, err error) {
	scan := bufio.NewScanner(bytes.NewReader(data))
	for scan.Scan() {
		line, ok := strings.CutPrefix(scan.Text(), "data: ")
		switch {
		case !ok:
		case line == "[DONE]":
			done = true
		default:
			var v T
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				return events, done, err
			}
			events = append(events, v)
		}
	}
	return events, done, scan.Err()
}
