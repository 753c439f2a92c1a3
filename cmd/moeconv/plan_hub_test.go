package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestPlanManyShards plans a checkpoint of DeepSeek-V3's size over a Hub that takes 20 ms for an answer: seconds, not
// minutes, and headers alone.
func TestPlanManyShards(t *testing.T) {
	layers, experts, shards := 61, 256, 163
	if testing.Short() {
		layers, experts, shards = 12, 32, 40
	}
	m := realModels[0]
	m.config = strings.NewReplacer(`"num_hidden_layers": 28`, fmt.Sprintf(`"num_hidden_layers": %d`, layers),
		`"n_routed_experts": 64`, fmt.Sprintf(`"n_routed_experts": %d`, experts)).Replace(m.config)
	m.tensors, m.shards = deepseekTensors(layers, experts), shards
	files := virtualCheckpoint(t, m).(virtualFS)

	var requests, sent atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		requests.Add(1)
		if strings.HasPrefix(r.URL.Path, "/api/") {
			listVirtual(t, w, files)
			return
		}
		var from, to int64
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			t.Errorf("%s: no range", r.URL.Path)
		}
		b, size := readVirtual(t, files, path.Base(r.URL.Path), from, to)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, size))
		w.WriteHeader(http.StatusPartialContent)
		n, _ := w.Write(b)
		sent.Add(int64(n))
	}))
	defer server.Close()
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "")

	var stdout, stderr bytes.Buffer
	start := time.Now()
	if code := run([]string{"plan", "me/large", "--json", "--pre", "deepseek-llm"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	took := time.Since(start)
	var doc planDoc
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	t.Logf("%v, %d requests, %d MB sent; %d parameters in %d shards", took, requests.Load(), sent.Load()/1e6, doc.Parameters.Total, doc.Source.Shards)
	if doc.Source.Shards != shards || doc.Experts.Count != experts || doc.Experts.Layers != layers-1 {
		t.Errorf("%+v %+v", doc.Source, doc.Experts)
	}
	if n := requests.Load(); n > int64(3*shards+20) {
		t.Errorf("%d requests for %d shards", n, shards)
	}
	if took > 40*time.Second {
		t.Errorf("%v", took)
	}
}

func listVirtual(t *testing.T, w io.Writer, files virtualFS) {
	t.Helper()
	var siblings []map[string]any
	for name, f := range files.MapFS {
		siblings = append(siblings, map[string]any{"rfilename": name, "size": len(f.Data)})
	}
	for name, s := range files.shards {
		siblings = append(siblings, map[string]any{"rfilename": name, "size": s.size})
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"sha": hubCommit, "siblings": siblings}); err != nil {
		t.Error(err)
	}
}

// readVirtual is a range of a file; of a shard's data, which may be fetched with the header but never used, zeros.
func readVirtual(t *testing.T, files virtualFS, name string, from, to int64) ([]byte, int64) {
	t.Helper()
	s, ok := files.shards[name]
	if !ok {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			t.Error(err)
		}
		return b[from : to+1], int64(len(b))
	}
	b := make([]byte, to+1-from)
	if from < int64(len(s.head)) {
		copy(b, s.head[from:])
	}
	return b, s.size
}
