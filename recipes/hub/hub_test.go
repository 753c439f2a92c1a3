package hub

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// weights is a file with a header of n bytes and size bytes of data behind it; only its length field is real.
func weights(n, size int) []byte {
	b := make([]byte, 8+n+size)
	binary.LittleEndian.PutUint64(b, uint64(n))
	for i := 8; i < len(b); i++ {
		b[i] = byte(i>>16*7 ^ i>>8*3 ^ i)
	}
	return b
}

func testFiles() map[string][]byte {
	return map[string][]byte{
		"config.json":                      []byte(`{"architectures":["X"]}`),
		"tokenizer.json":                   weights(3, 200_000),
		"empty.txt":                        {},
		"original/model.safetensors":       weights(8, 8),
		"model-00001-of-00002.safetensors": weights(300_000, 3<<20),
		"model-00002-of-00002.safetensors": weights(20, 10),
		"name with spaces & more.json":     []byte("{}"),
	}
}

var repo = Repo{"me", "moe", "main"}

func open(t *testing.T, c *Client) *FS {
	t.Helper()
	f, err := c.Open(context.Background(), repo)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParseRepo(t *testing.T) {
	for s, want := range map[string]Repo{
		"me/moe":                       {"me", "moe", "main"},
		"deepseek-ai/DeepSeek-V3@v1.0": {"deepseek-ai", "DeepSeek-V3", "v1.0"},
		"me/moe@refs/pr/1":             {"me", "moe", "refs/pr/1"},
	} {
		if got, ok := ParseRepo(s); !ok || got != want {
			t.Errorf("%s: %+v %t", s, got, ok)
		}
	}
	for _, s := range []string{"", "moe", "./moe", "../moe", "me/", "/moe", "me/moe/x", "me/moe@", "me/moe@a b", "me/moe@../x", "me/mo?e", "-me/moe"} {
		if got, ok := ParseRepo(s); ok {
			t.Errorf("%q is %+v", s, got)
		}
	}
}

// TestRead reads every file, in whole and in pieces, and finds the bytes of the repository.
func TestRead(t *testing.T) {
	for _, mode := range []string{"plain", "no sizes", "token"} {
		h := newTestHub(t, testFiles())
		h.noSizes, h.needToken = mode == "no sizes", mode == "token"
		c, _ := h.client(map[string]string{"HF_TOKEN": testToken})
		f := open(t, c)
		if f.Commit() != testCommit || len(f.Files()) != len(h.files) {
			t.Fatalf("%s: commit %s, files %v", mode, f.Commit(), f.Files())
		}
		for name, want := range h.files {
			got, err := fs.ReadFile(f, name)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %s: %d bytes of %d, %v", mode, name, len(got), len(want), err)
			}
			checkPieces(t, f, name, want)
		}
		if _, err := f.Open("missing.json"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing.json: %v", err)
		}
		dir, err := fs.ReadDir(f, ".")
		if err != nil || len(dir) != 7 || !dir[len(dir)-1].IsDir() && dir[len(dir)-2].Name() != "original" {
			t.Errorf("%v, %v", dir, err)
		}
		if f.Err() != nil {
			t.Errorf("%s: %v", mode, f.Err())
		}
	}
}

func checkPieces(t *testing.T, f *FS, name string, want []byte) {
	t.Helper()
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() != int64(len(want)) || !info.Mode().IsRegular() {
		t.Errorf("%s: %+v, %v", name, info, err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		off := rnd.IntN(len(want) + 1)
		p := make([]byte, rnd.IntN(min(len(want), 250_000)+1))
		n, err := file.(io.ReaderAt).ReadAt(p, int64(off))
		short := off+len(p) > len(want)
		if !bytes.Equal(p[:n], want[off:min(off+len(p), len(want))]) || (n < len(p)) != short || short && err != io.EOF {
			t.Errorf("%s: %d bytes at %d: %d, %v", name, len(p), off, n, err)
		}
	}
}

// TestFS reads names and sizes through package fs.
func TestFS(t *testing.T) {
	files := testFiles()
	delete(files, "original/model.safetensors")
	h := newTestHub(t, files)
	c, _ := h.client(nil)
	f := open(t, c)
	var names []string
	for name := range files {
		info, err := fs.Stat(f, name)
		if err != nil || info.Name() != name || info.IsDir() {
			t.Errorf("%s: %v", name, err)
		}
		names = append(names, name)
	}
	found, err := fs.Glob(f, "*")
	if err != nil || len(found) != len(names) {
		t.Errorf("%v, %v", found, err)
	}
}

// TestHeadersOnly reads the headers of many shards: few requests, at once, and no data.
func TestHeadersOnly(t *testing.T) {
	shards := 160
	if testing.Short() {
		shards = 30
	}
	files := map[string][]byte{}
	var total int64
	for i := range shards {
		b := weights(90_000+i, 400_000)
		files[fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, shards)] = b
		total += int64(len(b))
	}
	for _, ignore := range []bool{false, true} {
		h := newTestHub(t, files)
		h.delay, h.noRanges = 20*time.Millisecond, ignore
		c, _ := h.client(nil)
		start := time.Now()
		f := open(t, c)
		for name, want := range files {
			file, err := f.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 8)
			if _, err := file.(io.ReaderAt).ReadAt(p, 0); err != nil {
				t.Fatal(err)
			}
			p = make([]byte, binary.LittleEndian.Uint64(p))
			if _, err := file.(io.ReaderAt).ReadAt(p, 8); err != nil || !bytes.Equal(p, want[8:8+len(p)]) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		took, n, sent := time.Since(start), h.requests.Load(), h.sent.Load()
		t.Logf("ranges ignored %t: %v, %d requests, %d of %d bytes", ignore, took, n, sent, total)
		if n > int64(1+2*shards) {
			t.Errorf("%d requests for %d shards", n, shards)
		}
		if most := h.most.Load(); most < 2 {
			t.Errorf("%d requests at once for %d shards", most, shards)
		}
		if !ignore && sent > int64(shards)*readAhead {
			t.Errorf("%d bytes sent", sent)
		}
	}
}

// TestNoRanges: where a server sends the whole file, reading stops after the header, and data far behind is refused.
func TestNoRanges(t *testing.T) {
	big := weights(300, 64<<20)
	h := newTestHub(t, map[string][]byte{"model.safetensors": big})
	h.noRanges = true
	c, _ := h.client(nil)
	f := open(t, c)
	file, err := f.Open("model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 300)
	if _, err := file.(io.ReaderAt).ReadAt(p, 8); err != nil || !bytes.Equal(p, big[8:308]) {
		t.Errorf("%v", err)
	}
	if _, err := file.(io.ReaderAt).ReadAt(p, 32<<20); err == nil || !strings.Contains(err.Error(), "ignores byte ranges") {
		t.Errorf("%v", err)
	}
	if n := h.sent.Load(); n > 16<<20 {
		t.Errorf("%d bytes were sent", n)
	}
}

func TestRetry(t *testing.T) {
	h := newTestHub(t, testFiles())
	h.trouble = func(w http.ResponseWriter, r *http.Request, n int) bool {
		switch {
		case strings.Contains(r.URL.Path, "/api/") && n == 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case n == 1:
			w.WriteHeader(http.StatusBadGateway)
		case n == 2 && strings.Contains(r.URL.Path, "tokenizer.json"): // the connection breaks half way
			data := h.files["tokenizer.json"]
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(data)-1, len(data)))
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.WriteHeader(http.StatusPartialContent)
			h.write(w, data[:100_000])
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	}
	c, waits := h.client(nil)
	f := open(t, c)
	if len(*waits) != 1 || (*waits)[0] != 7*time.Second {
		t.Errorf("waited %v", *waits)
	}
	for _, name := range []string{"tokenizer.json", "config.json", "model-00002-of-00002.safetensors"} {
		got, err := fs.ReadFile(f, name)
		if err != nil || !bytes.Equal(got, h.files[name]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGivesUp(t *testing.T) {
	h := newTestHub(t, testFiles())
	for _, c := range []struct {
		name  string
		after string
		tries int
		hint  string
	}{{"always down", "", 5, "run the command again"}, {"too long a wait", "3600", 1, "asks to wait 3600 seconds"}} {
		h.trouble = func(w http.ResponseWriter, r *http.Request, n int) bool {
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		client, waits := h.client(nil)
		_, err := client.Open(context.Background(), repo)
		var u *UnavailableError
		if !errors.As(err, &u) || u.Tries != c.tries || len(*waits) != c.tries-1 || !strings.Contains(u.Hint(), c.hint) {
			t.Errorf("%s: %v after %v", c.name, err, *waits)
		}
	}
	h.hub.Close()
	client, _ := h.client(nil)
	_, err := client.Open(context.Background(), repo)
	var u *UnavailableError
	if !errors.As(err, &u) {
		t.Errorf("closed: %v", err)
	}
}
