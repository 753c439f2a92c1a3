package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moeconv/moeconv/recipes/hub/hubtest"
)

// release is a folder with files to publish: one of 30 parts of 10000 bytes, one of a single part, a card.
type release struct {
	dir, state       string
	large, small, md Addition
}

func newRelease(t *testing.T) *release {
	r := &release{dir: t.TempDir()}
	r.state = filepath.Join(r.dir, ".publish")
	r.large = r.file(t, "m-Q8_0.gguf", noise(11, 295_000))
	r.small = r.file(t, "m-Q4_K_M.gguf", noise(12, 9_000))
	r.md = r.file(t, "README.md", []byte("---\nlicense: mit\n---\n"))
	return r
}

func (r *release) file(t *testing.T, name string, data []byte) Addition {
	t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.WriteFile(file, data, 0o666); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return Addition{Path: name, File: file, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

var target1 = Repo{"me", "m-GGUF", "main"}

func publishHub(t *testing.T) *hubtest.Hub {
	h := startHub(t, nil)
	h.ChunkSize = 10_000
	h.AddRepo(target1.ID(), false, nil)
	return h
}

func headOf(t *testing.T, c *Client) *FS {
	t.Helper()
	f, err := c.Open(t.Context(), target1)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func nothing(int64) {}

// TestCommit sends files of all kinds; what the Hub has already is not sent again.
func TestCommit(t *testing.T) {
	h, r := publishHub(t), newRelease(t)
	c := hubClient(t, h, "")
	l := &LFS{Client: c, State: r.state}
	parent := headOf(t, c).Commit()
	var travelled int64
	first, err := l.Commit(t.Context(), target1, parent, Change{Message: "Add Q8_0", Add: []Addition{r.large}}, func(n int64) { travelled += n })
	if err != nil || !first.New || first.Sent != r.large.Size || travelled != first.Sent || h.Received() != first.Sent {
		t.Fatalf("%+v, %d travelled, %d received, %v", first, travelled, h.Received(), err)
	}
	second, err := l.Commit(t.Context(), target1, first.OID, Change{Message: "Add the rest", Add: []Addition{r.large, r.small, r.md}}, nothing)
	if err != nil || second.Sent != r.small.Size {
		t.Errorf("%+v, %v", second, err)
	}
	third, err := l.Commit(t.Context(), target1, second.OID, Change{Message: "again", Add: []Addition{r.large, r.small, r.md}}, nothing)
	if err != nil || third.New || third.Sent != 0 || third.OID != second.OID {
		t.Errorf("%+v, %v", third, err)
	}
	if _, err := l.Commit(t.Context(), target1, second.OID, Change{Message: "Remove Q8_0", Delete: []string{r.large.Path}}, nothing); err != nil {
		t.Error(err)
	}
	history := h.History(target1.ID())
	if len(history) != 4 || history[1].Title != "Add Q8_0" || history[2].Files[r.large.Path] != r.large.SHA256 || history[3].Files[r.large.Path] != "" {
		t.Errorf("%+v", history)
	}
	if left, _ := os.ReadDir(r.state); len(left) > 0 {
		t.Errorf("state is left: %v", left)
	}
}

// TestUploadResumes breaks an upload of 30 parts at each of them: no part that has arrived is sent again.
func TestUploadResumes(t *testing.T) {
	h, r := publishHub(t), newRelease(t)
	c := hubClient(t, h, "")
	parent := headOf(t, c).Commit()
	for part := 1; part < 30; part++ {
		ctx, cancel := context.WithCancel(t.Context())
		h.Intercept = func(w http.ResponseWriter, req *http.Request, storage bool) bool {
			if storage && h.Received() >= int64(part)*10_000 {
				cancel()
			}
			return false
		}
		l := &LFS{Client: c, State: r.state}
		_, err := l.Commit(ctx, target1, parent, Change{Message: "Add Q8_0", Add: []Addition{r.large}}, nothing)
		cancel()
		if err == nil {
			break
		}
		state, readErr := os.ReadFile(partsName(r.state, r.large.SHA256))
		if readErr != nil || strings.Contains(string(state), hubtest.Token) || strings.Contains(string(state), r.dir) {
			t.Fatalf("state %q, %v", state, readErr)
		}
	}
	h.Intercept = nil
	l := &LFS{Client: c, State: r.state}
	if _, err := l.Commit(t.Context(), target1, parent, Change{Message: "Add Q8_0", Add: []Addition{r.large}}, nothing); err != nil {
		t.Fatal(err)
	}
	if got := h.Received(); got > r.large.Size+29*10_000 {
		t.Errorf("%d bytes of %d", got, r.large.Size)
	}
	if history := h.History(target1.ID()); len(history) != 2 || history[1].Files[r.large.Path] != r.large.SHA256 {
		t.Errorf("%+v", history)
	}
}

// TestUploadTrouble: each trouble on the way ends with the file in the repository and one commit, or with its name.
func TestUploadTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(w http.ResponseWriter, r *http.Request, storage bool, n int) bool // n counts requests to the same path
		state   string                                                                 // of an earlier run
		want    string                                                                 // error; empty: none
	}{
		"a busy storage": {trouble: func(w http.ResponseWriter, r *http.Request, storage bool, n int) bool {
			if storage && n%2 == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return storage && n%2 == 1
		}},
		"an upload that the storage has forgotten": {state: `{"oid":"OID","size":295000,"upload":{"href":"HUB/api/complete_multipart?uploadId=old","header":{"chunk_size":"295000","1":"STORAGE/upload/x?uploadId=old&signature=x"}}}` + "\n"},
		"a state cut short":                        {state: `{"oid":"OID","size":2950`},
		"a rate limit": {trouble: func(w http.ResponseWriter, r *http.Request, storage bool, n int) bool {
			limited := !storage && strings.Contains(r.URL.Path, "/preupload/") && n == 1
			if limited {
				w.Header().Set("RateLimit", `"api";r=0;t=55`)
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return limited
		}},
		"a refused object": {trouble: func(w http.ResponseWriter, r *http.Request, storage bool, n int) bool {
			bad := strings.HasSuffix(r.URL.Path, "/objects/batch")
			if bad {
				_, _ = w.Write([]byte(`{"objects":[{"oid":"` + strings.Repeat("0", 64) + `"}]}`))
			}
			return bad
		}, want: "m-Q8_0.gguf"},
		"an ignored file": {trouble: func(w http.ResponseWriter, r *http.Request, storage bool, n int) bool {
			bad := strings.Contains(r.URL.Path, "/preupload/")
			if bad {
				_, _ = w.Write([]byte(`{"files":[{"path":"m-Q8_0.gguf","uploadMode":"lfs","shouldIgnore":true}]}`))
			}
			return bad
		}, want: ".gitignore excludes"},
	} {
		t.Run(name, func(t *testing.T) {
			h, r := publishHub(t), newRelease(t)
			client := hubClient(t, h, "")
			parent := headOf(t, client).Commit()
			seen := map[string]int{}
			if c.trouble != nil {
				h.Intercept = func(w http.ResponseWriter, req *http.Request, storage bool) bool {
					key := req.URL.Path + req.URL.Query().Get("partNumber")
					seen[key]++ // one part at once
					return c.trouble(w, req, storage, seen[key])
				}
			}
			if c.state != "" {
				text := strings.NewReplacer("OID", r.large.SHA256, "HUB", h.URL(), "STORAGE", h.StorageURL()).Replace(c.state)
				if err := os.MkdirAll(r.state, 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(partsName(r.state, r.large.SHA256), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l := &LFS{Client: client, State: r.state}
			_, err := l.Commit(t.Context(), target1, parent, Change{Message: "Add Q8_0", Add: []Addition{r.large}}, nothing)
			history := h.History(target1.ID())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || len(history) != 1 {
					t.Errorf("%v; %d commits", err, len(history))
				}
				return
			}
			if err != nil || len(history) != 2 || history[1].Files[r.large.Path] != r.large.SHA256 {
				t.Errorf("%v; %+v", err, history)
			}
		})
	}
}

// TestCommitRaces: a commit of somebody else's is a conflict; our own one whose answer was lost is recognised.
func TestCommitRaces(t *testing.T) {
	h, r := publishHub(t), newRelease(t)
	c := hubClient(t, h, "")
	l := &LFS{Client: c, State: r.state}
	parent := headOf(t, c).Commit()
	h.Replace(target1.ID(), "theirs.txt", []byte("theirs"))
	var conflict *ConflictError
	if _, err := l.Commit(t.Context(), target1, parent, Change{Message: "Add Q8_0", Add: []Addition{r.large}}, nothing); !errors.As(err, &conflict) {
		t.Errorf("%v", err)
	}
	parent = headOf(t, c).Commit()
	h.Intercept = func(w http.ResponseWriter, req *http.Request, storage bool) bool {
		if strings.Contains(req.URL.Path, "/commit/") {
			h.Intercept = nil
			h.ServeHTTP(&deaf{w}, req) // the commit is made, nobody is told
			panic(http.ErrAbortHandler)
		}
		return false
	}
	ch := Change{Message: "Add Q8_0", Add: []Addition{r.large, r.md}}
	got, err := l.Commit(t.Context(), target1, parent, ch, nothing)
	history := h.History(target1.ID())
	if err != nil || len(history) != 3 || got.OID != history[2].OID {
		t.Errorf("%+v, %v; %d commits", got, err, len(history))
	}
}

// deaf answers nobody.
type deaf struct{ http.ResponseWriter }

func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}

// TestCommitsAnHour: the 129th commit within an hour waits.
func TestCommitsAnHour(t *testing.T) {
	var waited time.Duration
	l := &LFS{Client: &Client{pause: func(d time.Duration) <-chan time.Time {
		waited = d
		return time.After(0)
	}}}
	for n := range commitsAnHour + 1 {
		if err := l.pace(t.Context()); err != nil {
			t.Fatal(err)
		}
		if late := n >= commitsAnHour; late != (waited > 50*time.Minute) {
			t.Errorf("commit %d waited %v", n+1, waited)
		}
	}
}

// TestRecheck: the file that the Hub does not have as it is here is named.
func TestRecheck(t *testing.T) {
	r := newRelease(t)
	for name, c := range map[string]struct {
		change func(h *hubtest.Hub)
		want   string
	}{
		"sound":         {func(*hubtest.Hub) {}, ""},
		"a byte":        {func(h *hubtest.Hub) { h.Corrupt(target1.ID(), r.small.Path, 5_000) }, r.small.Path + ": what the Hub sends has the hash"},
		"another file":  {func(h *hubtest.Hub) { h.Replace(target1.ID(), r.large.Path, []byte("x")) }, r.large.Path + ": the Hub's file has 1 bytes"},
		"another card":  {func(h *hubtest.Hub) { h.Replace(target1.ID(), r.md.Path, []byte("---\nlicense: abc\n---\n")) }, "README.md: what the Hub sends"},
		"a lost object": {func(h *hubtest.Hub) { h.Lose(target1.ID(), r.large.Path) }, r.large.Path},
	} {
		h := publishHub(t)
		client := hubClient(t, h, "")
		l := &LFS{Client: client, State: r.state}
		adds := []Addition{r.large, r.small, r.md}
		if _, err := l.Commit(t.Context(), target1, "", Change{Message: "all", Add: adds}, nothing); err != nil {
			t.Fatal(err)
		}
		c.change(h)
		err := headOf(t, client).Recheck(t.Context(), adds, func(Addition) (int64, error) { return 100, nil }, false)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRanges: header, first and last bytes of a large file are among those read back.
func TestRanges(t *testing.T) {
	const size = 1 << 40
	rs := ranges(size, 12345)
	last := rs[len(rs)-1]
	if rs[0] != [2]int64{0, 12345} || rs[1][0] != 0 || last[0]+last[1] != size || len(rs) != samples+1 {
		t.Errorf("%v", rs)
	}
}
