//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes/hub/hubtest"
)

// slowHub takes and sends pieces of 16 or 32 KiB with a pause before each, so that most moments of a transfer are
// within one.
func slowHub(t *testing.T, pause time.Duration) *hubtest.Hub {
	h := hubtest.New()
	t.Cleanup(func() {
		if leaks := h.Leaks(); len(leaks) > 0 {
			t.Errorf("the token went to the storage: %v", leaks)
		}
		h.Close()
	})
	h.Pace = func() { time.Sleep(pause) }
	return h
}

// transfer is a command that is killed.
type transfer struct {
	hub  *hubtest.Hub
	home string
	args []string
}

func (c *transfer) command() (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command("moeconv", append(c.args, "--progress", "none")...)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+c.hub.URL(), "HF_TOKEN="+hubtest.Token, "HF_HOME="+c.home, "HF_HUB_CACHE=", "HF_HUB_OFFLINE=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out // --json says nothing on stderr
	return cmd, &out
}

// killWhen kills the command as soon as so much of its work is done; it reports whether it was still at work. Moments
// are told by progress and not by a clock, which a busy machine makes mean anything.
func (c *transfer) killWhen(t *testing.T, done func() bool) bool {
	t.Helper()
	cmd, _ := c.command()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return err != nil
		case <-time.After(time.Millisecond):
		}
		if !done() {
			continue
		}
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		return <-ended != nil
	}
}

func (c *transfer) finish(t *testing.T) string {
	t.Helper()
	cmd, out := c.command()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return out.String()
}

// shelve makes a folder with a model of some MB that has passed, and its card.
func shelve(t *testing.T) (dir string, size int64, sum string) {
	dir = t.TempDir()
	md := &gguf.Metadata{}
	md.Set("general.architecture", "noise") // of which nobody knows a contract
	files, err := gguf.WriteFile(t.Context(), filepath.Join(dir, "noise-BF16.gguf"), gguf.WithMetadata(noise{1}, md), gguf.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := files[0]
	report := map[string]any{"name": "noise", "outputs": []any{map[string]any{"label": "BF16", "verdict": "pass",
		"files":  []any{map[string]any{"path": "noise-BF16.gguf", "bytes": f.Bytes, "sha256": f.SHA256}},
		"verify": map[string]any{"status": "pass", "checks": []any{map[string]any{"name": "fidelity", "status": "pass"}}}}}}
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"noise.report.json": string(data), "README.md": "---\nlicense: mit\n---\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir, f.Bytes, f.SHA256
}

// private fails where a text holds what nobody else needs to know.
func private(t *testing.T, what, text, dir string) {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{hubtest.Token, dir, host} {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds %q: %s", what, secret, text)
		}
	}
}

// TestKillPublish kills an upload of 30 parts at a random moment, then gives the command again, twenty times: each time
// the repository has the file by one commit and the card by another, and at most 1.05 times the file's bytes were sent.
func TestKillPublish(t *testing.T) {
	dir, size, sum := shelve(t)
	h := slowHub(t, 200*time.Microsecond)
	h.ChunkSize = (size + 29) / 30
	c := &transfer{h, t.TempDir(), []string{"publish", dir, "--repo", "me/trial-GGUF"}}
	c.finish(t)
	trials, atWork, worst := 20, 0, 0.0
	if testing.Short() {
		trials = 4
	}
	for i := range trials {
		h.Forget(sum)
		repo := fmt.Sprintf("me/noise%d-GGUF", i)
		c.args[3] = repo
		before := h.Received()
		at := before + rand.Int64N(size)
		if c.killWhen(t, func() bool { return h.Received() >= at }) {
			atWork++
		}
		checkState(t, dir)
		out := c.finish(t)
		private(t, "the output", out, dir)
		sent := h.Received() - before
		worst = max(worst, float64(sent)/float64(size))
		if float64(sent) > 1.05*float64(size) {
			t.Errorf("trial %d: %d bytes sent of %d", i, sent, size)
		}
		history := h.History(repo)
		if len(history) != 3 || history[2].Files["noise-BF16.gguf"] != sum || len(history[2].Files) != 3 {
			t.Errorf("trial %d: %+v", i, history)
		}
		for _, commit := range history {
			private(t, "a commit", commit.Title+commit.Description, dir)
		}
		if i > 0 {
			continue
		}
		again := c.finish(t)
		if h.Received()-before != sent || !strings.Contains(again, "0 commits, 0 bytes sent") || len(h.History(repo)) != 3 {
			t.Errorf("trial %d, once more: %s", i, again)
		}
	}
	t.Logf("%d of %d killed at work; at most %.4f times the file was sent", atWork, trials, worst)
	if atWork < trials/4 {
		t.Errorf("only %d of %d were killed at work", atWork, trials)
	}
}

// checkState looks at the journals that a killed upload leaves.
func checkState(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, ".publish"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		private(t, d.Name(), string(data), dir)
		if info, statErr := d.Info(); statErr == nil && filepath.Ext(name) == ".parts" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s is readable for others: %v", d.Name(), info.Mode())
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestKillUpload kills one upload twenty times: of a thousand parts at most 1.05 times the file is sent, of few parts one more
// at each kill.
func TestKillUpload(t *testing.T) {
	dir, size, sum := shelve(t)
	for _, parts := range []int64{30, 1000} {
		h := slowHub(t, time.Millisecond)
		h.ChunkSize = (size + parts - 1) / parts
		c := &transfer{h, t.TempDir(), []string{"publish", dir, "--repo", "me/noise-GGUF"}}
		kills := 0
		for ; kills < 20; kills++ {
			at := h.Received() + rand.Int64N(size/10)
			if !c.killWhen(t, func() bool { return h.Received() > at }) {
				break
			}
		}
		c.finish(t)
		got, most := h.Received(), size+int64(kills)*h.ChunkSize
		if parts == 1000 {
			most = size + size/20
		}
		t.Logf("%d parts, %d kills: %.4f times the file was sent", parts, kills, float64(got)/float64(size))
		if got > most {
			t.Errorf("%d parts, %d kills: %d bytes sent of %d", parts, kills, got, size)
		}
		if history := h.History("me/noise-GGUF"); len(history) != 3 || history[2].Files["noise-BF16.gguf"] != sum {
			t.Errorf("%+v", history)
		}
		if err := os.RemoveAll(filepath.Join(dir, ".publish")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKillDownload kills a download at random moments, then gives the command again: the file is whole, and nothing was
// fetched again of what had arrived but the blocks under way: one of 1 MiB a range, of eight ranges at most, together half
// a part of 16 MiB.
func TestKillDownload(t *testing.T) {
	weights := make([]byte, 40<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(weights); i += 8 {
		binary.LittleEndian.PutUint64(weights[i:], r.Uint64())
	}
	sum := sha256.Sum256(weights)
	h := slowHub(t, 200*time.Microsecond)
	h.AddRepo("me/moe", true, map[string][]byte{"config.json": []byte("{}"), "model.safetensors": weights})
	trials, resumed := 5, 0
	if testing.Short() {
		trials = 2
	}
	for i := range trials {
		c := &transfer{h, t.TempDir(), []string{"download", "me/moe", "--json"}}
		before := h.Served()
		if i > 0 {
			blocks := 1 + rand.Int64N(30)
			c.killWhen(t, func() bool { return arrivedBlocks(t, c.home, sum) >= blocks })
		}
		arrived := arrivedBlocks(t, c.home, sum)
		var doc struct {
			Dir     string `json:"directory"`
			Fetched int64  `json:"fetched_bytes"`
		}
		if err := json.Unmarshal([]byte(c.finish(t)), &doc); err != nil {
			t.Fatal(err)
		}
		got, err := hashOf(filepath.Join(doc.Dir, "model.safetensors"))
		if err != nil || got != hex.EncodeToString(sum[:]) {
			t.Errorf("trial %d: %s, %v", i, got, err)
		}
		if arrived > 0 {
			resumed++
			if doc.Fetched != int64(len(weights))-arrived<<20 {
				t.Errorf("trial %d: %d blocks had arrived, %d bytes fetched afterwards", i, arrived, doc.Fetched)
			}
		}
		t.Logf("trial %d: %d of 40 blocks before the kill, %d bytes after it; %d served", i, arrived, doc.Fetched, h.Served()-before)
	}
	if resumed == 0 {
		t.Error("no download was killed at work")
	}
}

// arrivedBlocks counts the blocks of a file that the journal of a killed download has.
func arrivedBlocks(t *testing.T, home string, sum [sha256.Size]byte) int64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(home, "hub", "models--me--moe", "blobs", hex.EncodeToString(sum[:])+".moeconv.incomplete.journal"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // it goes when the file is whole
		t.Fatal(err)
	}
	return int64(max(0, bytes.Count(data, []byte("\n"))-1))
}
