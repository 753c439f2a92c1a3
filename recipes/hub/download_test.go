package hub

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moeconv/moeconv/recipes/hub/hubtest"
)

// noise is content that no two files have alike.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// checkpoint is a repository with more than a conversion reads.
func checkpoint() map[string][]byte {
	return map[string][]byte{
		"config.json": []byte("{}"), "tokenizer.json": noise(1, 5000), "README.md": []byte("---\nlicense: mit\n---\n"), "LICENSE": []byte("MIT"),
		"chat_template.jinja": []byte("x"), "additional_chat_templates/tool.jinja": []byte("y"),
		"model.safetensors.index.json":     []byte(`{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`),
		"model-00001-of-00002.safetensors": noise(2, 900_001), "model-00002-of-00002.safetensors": noise(3, 70_000),
		"consolidated.safetensors": noise(4, 1000), "pytorch_model.bin": noise(5, 1000), "pytorch_model.bin.index.json": []byte("{}"),
		"original/model.safetensors": noise(6, 1000), "figure.png": noise(7, 100), "onnx/config.json": []byte("{}"),
	}
}

// wanted is what of checkpoint() a conversion reads.
func wanted() map[string][]byte {
	files := checkpoint()
	for _, name := range []string{"consolidated.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json", "original/model.safetensors", "figure.png", "onnx/config.json"} {
		delete(files, name)
	}
	return files
}

func startHub(t *testing.T, files map[string][]byte) *hubtest.Hub {
	h := hubtest.New()
	t.Cleanup(func() {
		h.Close()
		if leaks := h.Leaks(); len(leaks) > 0 {
			t.Errorf("the token went to the storage: %v", leaks)
		}
	})
	h.AddRepo("me/moe", true, files)
	return h
}

// hubClient does not wait, and downloads in parts of 64 KiB.
func hubClient(t *testing.T, h *hubtest.Hub, home string) *Client {
	t.Helper()
	env := map[string]string{"HF_ENDPOINT": h.URL(), "HF_TOKEN": hubtest.Token, "HF_HOME": home}
	c, err := New(func(key string) string { return env[key] })
	if err != nil {
		t.Fatal(err)
	}
	c.pause = func(time.Duration) <-chan time.Time { return time.After(0) }
	c.partSize = 64 << 10
	return c
}

func checkDir(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		if err == nil && d.IsDir() && d.Name() == ".cache" {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() {
			got = append(got, filepath.ToSlash(rel))
		}
		return err
	})
	if names := slices.Sorted(maps.Keys(want)); err != nil || !slices.Equal(names, got) {
		t.Errorf("files %v, want %v; %v", got, names, err)
	}
	for name, data := range want {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(b, data) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

// TestDownload fetches what a conversion reads into the cache, and nothing the second time.
func TestDownload(t *testing.T) {
	h, home := startHub(t, checkpoint()), t.TempDir()
	c := hubClient(t, h, home)
	var done, total int64
	got, err := c.Download(t.Context(), repo, Fetch{Progress: func(d, n int64) { done, total = d, n }})
	if err != nil || got.Sent != got.Bytes || done != total || total != got.Bytes {
		t.Fatalf("%+v, %d of %d, %v", got, done, total, err)
	}
	root := filepath.Join(home, "hub", "models--me--moe")
	if got.Dir != filepath.Join(root, "snapshots", got.Commit) {
		t.Errorf("dir %s", got.Dir)
	}
	checkDir(t, got.Dir, wanted())
	if ref, err := os.ReadFile(filepath.Join(root, "refs", "main")); err != nil || string(ref) != got.Commit {
		t.Errorf("ref %q, %v", ref, err)
	}
	link, err := os.Readlink(filepath.Join(got.Dir, "additional_chat_templates", "tool.jinja"))
	if err != nil || !strings.HasPrefix(link, "../../../blobs/") {
		t.Errorf("link %s, %v", link, err)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "blobs", "*.*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	again, err := c.Download(t.Context(), repo, Fetch{})
	if err != nil || again.Sent != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	c.Offline = true
	offline, err := c.Download(t.Context(), repo, Fetch{})
	if err != nil || offline.Dir != got.Dir {
		t.Errorf("offline: %+v, %v", offline, err)
	}
	if err := os.Remove(filepath.Join(got.Dir, "model-00002-of-00002.safetensors")); err != nil {
		t.Fatal(err)
	}
	var missing *OfflineError
	if _, err := c.Download(t.Context(), repo, Fetch{}); !errors.As(err, &missing) || !strings.Contains(err.Error(), "model-00002") {
		t.Errorf("incomplete: %v", err)
	}
}

// TestDownloadFolder fetches into a directory, as `hf download --local-dir` does; what is there is hashed, not fetched.
func TestDownloadFolder(t *testing.T) {
	h, out := startHub(t, checkpoint()), filepath.Join(t.TempDir(), "flat")
	c := hubClient(t, h, "")
	got, err := c.Download(t.Context(), repo, Fetch{Out: out})
	if err != nil || got.Dir != out {
		t.Fatalf("%+v, %v", got, err)
	}
	checkDir(t, out, wanted())
	meta, err := os.ReadFile(filepath.Join(out, ".cache/huggingface/download/config.json.metadata"))
	if err != nil || !strings.HasPrefix(string(meta), got.Commit+"\n"+gitBlob([]byte("{}"))+"\n") {
		t.Errorf("metadata %q, %v", meta, err)
	}
	if err := os.RemoveAll(filepath.Join(out, ".cache")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "tokenizer.json"), noise(9, 5000), 0o666); err != nil {
		t.Fatal(err)
	}
	again, err := c.Download(t.Context(), repo, Fetch{Out: out})
	if err != nil || again.Sent != 5000 {
		t.Errorf("sent %d, %v", again.Sent, err)
	}
	checkDir(t, out, wanted())
}

func TestSelect(t *testing.T) {
	h := startHub(t, checkpoint())
	f, err := hubClient(t, h, "").Open(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		include, exclude []string
		want             string
	}{
		{[]string{"*.bin", "o*/*.json"}, nil, "onnx/config.json pytorch_model.bin"},
		{[]string{"original/"}, nil, "original/model.safetensors"},
		{[]string{"model-0000[!2]*", "[c]onsol?dated*"}, nil, "consolidated.safetensors model-00001-of-00002.safetensors"},
		{nil, []string{"*.safetensors", "*.json", "*.jinja"}, "LICENSE README.md"},
	} {
		files, err := f.Select(c.include, c.exclude)
		var names []string
		for _, file := range files {
			names = append(names, file.Path)
		}
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("%v without %v: %q, %v", c.include, c.exclude, got, err)
		}
	}
	var none *NothingError
	if _, err := f.Select([]string{"*.gguf"}, nil); !errors.As(err, &none) {
		t.Errorf("%v", err)
	}
	h.AddRepo("me/gguf", false, map[string][]byte{"a-Q8_0.gguf": noise(1, 10)})
	f, err = hubClient(t, h, "").Open(t.Context(), Repo{"me", "gguf", "main"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Select(nil, nil); !errors.As(err, &none) || !strings.Contains(none.Hint(), "--include") {
		t.Errorf("%v", err)
	}
}

// TestDownloadResumes breaks off a download at many points; the next run goes on each time, and keeps every block that
// had arrived.
func TestDownloadResumes(t *testing.T) {
	files := checkpoint()
	h, home := startHub(t, files), t.TempDir()
	c := hubClient(t, h, home)
	var sent int64
	for breaks := 0; ; breaks++ {
		ctx, cancel := context.WithCancel(t.Context())
		got, err := c.Download(ctx, repo, Fetch{Progress: func(done, total int64) {
			if done > int64(breaks+1)*100_000 {
				cancel()
			}
		}})
		cancel()
		sent += got.Sent
		if err == nil {
			checkDir(t, got.Dir, wanted())
			if breaks == 0 || sent != got.Bytes {
				t.Errorf("%d breaks, %d bytes fetched of %d", breaks, sent, got.Bytes)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || breaks > 20 {
			t.Fatal(err)
		}
	}
}

// TestDownloadTrouble: what goes wrong on the way is mended or named.
func TestDownloadTrouble(t *testing.T) {
	const shard = "model-00001-of-00002.safetensors"
	var broken atomic.Int64
	breaking := func(status int) func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		return func(w http.ResponseWriter, r *http.Request, storage bool) bool {
			if !storage || broken.Add(1)%3 == 0 {
				return false
			}
			if status == 0 {
				w.Header().Set("Content-Length", "100000")
				_, _ = w.Write(make([]byte, 10))
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(status)
			return true
		}
	}
	for name, c := range map[string]struct {
		prepare func(h *hubtest.Hub)
		want    string
	}{
		"a busy storage":             {func(h *hubtest.Hub) { h.Intercept = breaking(503) }, ""},
		"addresses that expire":      {func(h *hubtest.Hub) { h.Intercept = breaking(403) }, ""},
		"a file that is not its own": {func(h *hubtest.Hub) { h.Corrupt("me/moe", shard, 777_777) }, shard + ": what arrived is not the file"},
		"another content meanwhile": {func(h *hubtest.Hub) {
			h.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
				if r.Method != "HEAD" || storage {
					return false
				}
				w.Header().Set("X-Linked-Etag", `"00ff"`)
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
				return true
			}
		}, "the Hub lists the hash"},
		"a licence not accepted": {func(h *hubtest.Hub) {
			h.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
				if !strings.Contains(r.URL.Path, "/resolve/") {
					return false
				}
				w.Header().Set("X-Error-Code", "GatedRepo")
				w.WriteHeader(http.StatusForbidden)
				return true
			}
		}, "the repository is gated"},
	} {
		h := startHub(t, checkpoint())
		c.prepare(h)
		client := hubClient(t, h, t.TempDir())
		client.Tries = 40
		got, err := client.Download(t.Context(), repo, Fetch{})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			checkDir(t, got.Dir, wanted())
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDownloadWaits: a file that another client of the cache downloads is waited for.
func TestDownloadWaits(t *testing.T) {
	h, home := startHub(t, map[string][]byte{"model.safetensors": noise(1, 1000)}), t.TempDir()
	c := hubClient(t, h, home)
	f, err := c.Open(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(home, "hub", ".locks", "models--me--moe", f.files["model.safetensors"].etag()+".lock")
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	theirs, held, err := tryLock(name)
	if err != nil || held {
		t.Fatal(held, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Download(ctx, repo, Fetch{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is locked: %v", err)
	}
	theirs.Close()
	if _, err := c.Download(t.Context(), repo, Fetch{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
