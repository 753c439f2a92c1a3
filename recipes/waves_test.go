package recipes

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/recipes/hub/hubtest"
	"github.com/moeconv/moeconv/verify/evidence"
)

// gauge watches how much the models in a folder take.
type gauge struct {
	silent
	dir  string
	most int64
}

func (g *gauge) Track(string, bool) (func(done, total int64), func()) {
	return func(int64, int64) { g.look() }, g.look
}

func (g *gauge) look() {
	var n int64
	entries, err := os.ReadDir(g.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.Contains(e.Name(), ".gguf") {
			n += info.Size()
		}
	}
	g.most = max(g.most, n)
}

// TestWaves: outputs of more than twice what the disk may hold are verified, published and deleted wave by wave; the Hub
// has the files of a run in one go, and the card has all of them. A second run does nothing.
func TestWaves(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a model nine times; the plain run has it")
	}
	h := hubtest.New()
	t.Cleanup(h.Close)
	dir := t.TempDir()
	recipe := func() *Recipe {
		r, err := Parse([]byte("moeconv: 1\nsource: {embedded: tiny-moe-go}\noutputs: {types: [Q8_0, Q6_K, Q4_K_M, Q2_K]}\nverify: {reference: source}\npublish: {repo: 'me/{name}-GGUF'}\n"), "waves")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	c, err := hub.New(func(key string) string {
		return map[string]string{"HF_ENDPOINT": h.URL(), "HF_TOKEN": hubtest.Token, "HF_HUB_CACHE": filepath.Join(dir, "cache")}[key]
	})
	if err != nil {
		t.Fatal(err)
	}
	const disk = 5e6
	run := func(out, until string, disk int64) (*Report, *gauge, error) {
		g := &gauge{dir: out}
		rep, err := Run(t.Context(), recipe(), Options{Out: out, Memory: 1 << 26, Hub: c, Observer: g, Until: until, Disk: disk, Tool: evidence.Tool{Version: "1", Reference: "llama.cpp"}})
		return rep, g, err
	}
	out, one := filepath.Join(dir, "out"), filepath.Join(dir, "one")
	for _, d := range []string{out, one} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	var waves *WavesError
	if _, _, err := run(out, "card", disk); !errors.As(err, &waves) {
		t.Fatalf("without a way out: %v", err)
	}
	rep, g, err := run(out, "publish", disk)
	if err != nil {
		t.Fatal(err)
	}
	if g.most > disk || g.most < 4e6 {
		t.Errorf("%d bytes of models at once, %d allowed", g.most, int64(disk))
	}
	whole, _, err := run(one, "quantize", 0)
	if err != nil {
		t.Fatal(err)
	}
	card := h.Read("me/tiny-moe-go-GGUF", "README.md")
	for i, o := range whole.Outputs {
		if o.Files[0].SHA256 != rep.Outputs[i].Files[0].SHA256 {
			t.Errorf("%s differs from the run in one go", o.Label)
		}
		if data := h.Read("me/tiny-moe-go-GGUF", o.Name()); int64(len(data)) != o.Bytes {
			t.Errorf("%s: the Hub has %d bytes of %d", o.Name(), len(data), o.Bytes)
		}
		if !strings.Contains(string(card), "| "+o.Name()+" |") {
			t.Errorf("the card lacks %s", o.Name())
		}
	}
	away := slices.DeleteFunc(slices.Clone(rep.Outputs), func(o Output) bool { return !o.Away })
	if len(away) < 2 {
		t.Errorf("%d outputs away", len(away))
	}
	l, err := OpenRelease(out)
	if err != nil {
		t.Fatal(err)
	}
	if audit, err := l.Audit(evidence.AuditOptions{}); err != nil || !audit.Pass {
		t.Errorf("%v\n%s", err, strings.Join(audit.Lines(), "\n"))
	}
	before := h.Received()
	again, _, err := run(out, "publish", disk)
	if err != nil || again.Written != 0 || h.Received() != before {
		t.Errorf("again: %v, %d bytes written, %d sent", err, again.Written, h.Received()-before)
	}
	if _, err := gguf.Open(filepath.Join(out, rep.Outputs[0].Name())); err == nil {
		t.Error("the first wave's file is still there")
	}
}
