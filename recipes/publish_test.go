package recipes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/recipes/hub/hubtest"
	"github.com/moeconv/moeconv/verify"
)

// stub is a model of an architecture that nobody knows.
type stub struct {
	license string
	seed    byte
}

func (s stub) Metadata() *gguf.Metadata {
	md := &gguf.Metadata{}
	md.Set("general.architecture", "stub")
	md.Set("general.license", s.license)
	return md
}

func (s stub) Tensors() []gguf.TensorInfo {
	return []gguf.TensorInfo{{Name: "a", Type: gguf.F32, Shape: gguf.Shape{256, 100}}, {Name: "b", Type: gguf.F32, Shape: gguf.Shape{256, 100}}}
}

func (s stub) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	for i := range dst {
		dst[i] = s.seed + byte(tensor+row+i/4)&0x1f
	}
	return nil
}

// shelf is a folder to publish, the report of a run in it, and the Hub.
type shelf struct {
	t   *testing.T
	dir string
	rep Report
	hub *hubtest.Hub
}

const shelfCard = "---\nlicense: mit\nbase_model: org/base\n---\n# M\n[file](m-Q8_0.gguf)\n"

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, dir: t.TempDir(), hub: hubtest.New()}
	t.Cleanup(s.hub.Close)
	s.hub.ChunkSize = 50_000
	s.rep = Report{Name: "m", Source: Source{Repo: "org/base"}}
	s.model("Q8_0", "m-Q8_0.gguf", gguf.FileOptions{})
	s.model("Q4_K_M", "m-Q4_K_M/m-Q4_K_M.gguf", gguf.FileOptions{SplitMaxSize: 120_000})
	s.write("README.md", shelfCard)
	s.write("LICENSE", "MIT")
	s.write("notes.txt", "mine")
	s.write("m.evidence/a.json", "{}")
	s.write("m.evidence/b/c.json", "{}")
	s.save()
	return s
}

func (s *shelf) write(name, text string) {
	s.t.Helper()
	name = filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o666)); err != nil {
		s.t.Fatal(err)
	}
}

// model writes an output that has passed.
func (s *shelf) model(label, name string, o gguf.FileOptions) {
	s.t.Helper()
	s.write(filepath.Dir(name)+"/x", "")
	_ = os.Remove(filepath.Join(s.dir, filepath.Dir(name), "x"))
	files, err := gguf.WriteFile(s.t.Context(), filepath.Join(s.dir, name), stub{"mit", label[1]}, o)
	if err != nil {
		s.t.Fatal(err)
	}
	out := Output{Label: label, Verdict: "pass", Verify: &verify.Report{Status: verify.Pass, Checks: []verify.Result{verify.NewResult(verify.Pass, "")}}}
	out.Verify.Checks[0].Name = "kld"
	for _, f := range files {
		rec, err := recordFile(s.dir, f)
		if err != nil {
			s.t.Fatal(err)
		}
		out.Files = append(out.Files, rec)
	}
	s.rep.put(out)
}

func (s *shelf) save() {
	s.t.Helper()
	data, err := json.Marshal(s.rep)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("m.report.json", string(data))
}

// quiet is nobody who watches.
type quiet struct{}

func (quiet) Note(string) {}
func (quiet) Track(string, bool) (func(done, total int64), func()) {
	return func(int64, int64) {}, func() {}
}

func (s *shelf) publish(change func(*Publishing)) (*Publication, error) {
	s.t.Helper()
	env := map[string]string{"HF_ENDPOINT": s.hub.URL(), "HF_TOKEN": hubtest.Token}
	c, err := hub.New(func(key string) string { return env[key] })
	if err != nil {
		s.t.Fatal(err)
	}
	o := Publishing{Dir: s.dir, Repo: hub.Repo{Owner: "me", Name: "m-GGUF", Revision: "main"}, Client: c, Observer: quiet{}}
	if change != nil {
		change(&o)
	}
	return Publish(s.t.Context(), o)
}

func (s *shelf) titles() string {
	var out []string
	for _, c := range s.hub.History("me/m-GGUF") {
		out = append(out, c.Title)
	}
	return strings.Join(out, ", ")
}

// TestPublish: a type a commit, the card last; shards together; again sends nothing.
func TestPublish(t *testing.T) {
	s := newShelf(t)
	pub, err := s.publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.titles(); got != "initial commit, Add Q8_0, Add Q4_K_M, Add the model card" {
		t.Errorf("commits: %s", got)
	}
	history := s.hub.History("me/m-GGUF")
	head := history[len(history)-1]
	if pub.Commit != head.OID || len(head.Files) != 1+5 || history[1].Files["m-Q4_K_M/m-Q4_K_M-00001-of-00002.gguf"] != "" {
		t.Errorf("head %+v, publication %+v", head, pub)
	}
	for _, o := range s.rep.Outputs {
		for _, f := range o.Files {
			if head.Files[f.Path] != f.SHA256 {
				t.Errorf("%s: %s", f.Path, head.Files[f.Path])
			}
		}
	}
	if pub.Sent != s.hub.Received() || pub.Sent != s.rep.Outputs[0].Files[0].Bytes+s.rep.Outputs[1].Files[0].Bytes+s.rep.Outputs[1].Files[1].Bytes {
		t.Errorf("sent %d, received %d", pub.Sent, s.hub.Received())
	}
	if !slices.Equal(pub.Stay, []string{"m.evidence/", "m.report.json", "notes.txt"}) {
		t.Errorf("stays: %v", pub.Stay)
	}
	received := s.hub.Received()
	again, err := s.publish(nil)
	if err != nil || again.Sent != 0 || again.Made() != 0 || s.hub.Received() != received || len(s.hub.History("me/m-GGUF")) != 4 {
		t.Errorf("again: %+v, %v", again, err)
	}
	s.write("README.md", shelfCard+"More.\n")
	if _, err := s.publish(nil); err != nil || !strings.HasSuffix(s.titles(), "card, Update the model card") || s.hub.Received() != received {
		t.Errorf("new card: %s, %v", s.titles(), err)
	}
	s.hub.Corrupt("me/m-GGUF", "m-Q8_0.gguf", 100_000)
	var corrupt *hub.CorruptError
	if _, err := s.publish(nil); !errors.As(err, &corrupt) || corrupt.What != "m-Q8_0.gguf" {
		t.Errorf("after a byte has changed at the Hub: %v", err)
	}
}

// TestPublishRefuses: whatever is wrong is named, and the Hub hears of nothing.
func TestPublishRefuses(t *testing.T) {
	card := func(text string) func(*shelf) { return func(s *shelf) { s.write("README.md", text) } }
	link := func(target string) func(*shelf) { return card(shelfCard + "[x](" + target + ")\n") }
	for name, c := range map[string]struct {
		prepare func(s *shelf)
		want    string
	}{
		"no card":            {func(s *shelf) { _ = os.Remove(filepath.Join(s.dir, "README.md")) }, "README.md: there is no model card"},
		"no verify at all":   {func(s *shelf) { _ = os.Remove(filepath.Join(s.dir, "m.report.json")) }, "m-Q8_0.gguf: no verify report"},
		"verify has not run": {func(s *shelf) { s.rep.Outputs[0].Verdict, s.rep.Outputs[1].Verdict = "", ""; s.save() }, "m-Q8_0.gguf: verify has not run"},
		"a failed verify":    {failAll, "m-Q4_K_M/m-Q4_K_M-00001-of-00002.gguf: verify failed: scan"},
		"nothing compared": {func(s *shelf) {
			s.rep.Outputs[0].Verify.Checks[0].Name = "perplexity"
			s.rep.Outputs[1].Verify = nil
			s.save()
		}, "m-Q8_0.gguf: nothing compared it with its source"},
		"changed since": {change, "m-Q8_0.gguf: it is not the file that was verified"},
		"a missing shard": {func(s *shelf) {
			failAll(s)
			_ = os.Remove(filepath.Join(s.dir, "m-Q4_K_M/m-Q4_K_M-00002-of-00002.gguf"))
		}, "m-Q4_K_M-00002-of-00002.gguf"},
		"another licence": {card(strings.Replace(shelfCard, "mit", "apache-2.0", 1)), `README.md: license "apache-2.0", but the source's is "mit" (general.license of m-Q8_0.gguf)`},
		"a licence in the report": {func(s *shelf) {
			s.rep.Release = &verify.Release{Source: verify.Provenance{Licence: "gpl-3.0"}}
			s.save()
		}, `README.md: license "mit", but the source's is "gpl-3.0" (verify report)`},
		"no licence":        {card(strings.Replace(shelfCard, "license: mit\n", "", 1)), "README.md: the front matter has no license"},
		"another base":      {card(strings.Replace(shelfCard, "org/base", "org/other", 1)), "README.md: base_model org/other, but the files were made from org/base"},
		"a byte order mark": {card("\ufeff" + shelfCard), "README.md: it begins with a byte order mark"},
		"no front matter":   {card("# M\n"), "README.md: no front matter"},
		"a key twice":       {card("---\nlicense: mit\nlicense: mit\n---\n"), "README.md: the front matter is not valid YAML"},
		"a held file on the card": {func(s *shelf) {
			s.rep.Outputs[0].Verdict, s.rep.Outputs[0].Verify.Status = "fail", verify.Fail
			s.save()
			s.write("README.md", strings.Replace(shelfCard, "[file](m-Q8_0.gguf)", "| m-Q8_0.gguf | 8 GB |", 1))
		}, "README.md: it names m-Q8_0.gguf, which stays behind (verify failed)"},
		"a link to nothing":   {link("m-Q2_K.gguf"), "README.md: the link m-Q2_K.gguf leads to no file"},
		"a link at the Hub":   {link("https://huggingface.co/me/m-GGUF/blob/main/none.md"), "none.md leads to no file"},
		"a link upwards":      {link("../other/README.md"), "../other/README.md leads out of the repository"},
		"a link to this disk": {link("/home/me/plot.png"), "/home/me/plot.png leads to a path of this machine"},
		"a file: link":        {link("file:///etc/hosts"), "only works here"},
		"an image":            {card(shelfCard + "<img alt='x' src=\"plots/none.svg\">\n"), "plots/none.svg leads to no file"},
		"a reference":         {card(shelfCard + "[1]: gone.md\n"), "gone.md leads to no file"},
		"names that collide": {func(s *shelf) {
			s.model("F16", "m-F16.gguf", gguf.FileOptions{})
			s.model("BF16", "m-BF16.gguf", gguf.FileOptions{})
			s.save()
		}, "m-F16.gguf: llama-server -hf finds m-BF16.gguf by the tag F16"},
		"no GGUF": {func(s *shelf) { s.write("m-Q5_K_M.gguf", "no"); failAll(s) }, "m-Q5_K_M.gguf: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			c.prepare(s)
			_, err := s.publish(nil)
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || refused.Hint() == "" {
				t.Errorf("%v, want %q", err, c.want)
			}
			if strings.Contains(fmt.Sprint(err), s.dir) {
				t.Errorf("a path of this machine: %v", err)
			}
			if s.hub.Received() > 0 || s.hub.History("me/m-GGUF") != nil {
				t.Error("the Hub heard of it")
			}
		})
	}
}

func failAll(s *shelf) {
	for i := range s.rep.Outputs {
		o := &s.rep.Outputs[i]
		o.Verdict, o.Verify.Status, o.Verify.Checks[0].Name, o.Verify.Checks[0].Status = "fail", verify.Fail, "scan", verify.Fail
	}
	s.save()
}

func change(s *shelf) {
	s.rep.Outputs[1].Verdict = ""
	s.save()
	name := filepath.Join(s.dir, "m-Q8_0.gguf")
	data, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(name, data, 0o666); err != nil {
		s.t.Fatal(err)
	}
}

// TestPublishHolds: a model that failed stays behind, the others go; or none goes.
func TestPublishHolds(t *testing.T) {
	s := newShelf(t)
	s.rep.Outputs[1].Verdict = "fail"
	s.save()
	if _, err := s.publish(func(o *Publishing) { o.HoldRelease = true }); err == nil || s.hub.Received() > 0 {
		t.Errorf("hold-release: %v", err)
	}
	pub, err := s.publish(nil)
	if err != nil || len(pub.Held) != 2 || s.titles() != "initial commit, Add Q8_0, Add the model card" {
		t.Errorf("%+v, %s, %v", pub, s.titles(), err)
	}
	s.write("README.md", shelfCard+"[x](m-Q4_K_M/m-Q4_K_M-00001-of-00002.gguf)\n")
	if _, err := s.publish(nil); err == nil || !strings.Contains(err.Error(), "a file that stays behind (verify failed") {
		t.Errorf("a link to it: %v", err)
	}
}

// TestPublishAlso: a draft made elsewhere goes where it is named; a model goes by its verify alone.
func TestPublishAlso(t *testing.T) {
	s := newShelf(t)
	for _, name := range []string{"mtp-m-F16.gguf", "other-F16.gguf"} {
		if _, err := gguf.WriteFile(t.Context(), filepath.Join(s.dir, name), stub{"mit", 7}, gguf.FileOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	pub, err := s.publish(func(o *Publishing) { o.Also = []string{"mtp-m-F16.gguf", "other-F16.gguf", "notes.txt"} })
	if err != nil || len(pub.Held) != 1 || pub.Held[0].Path != "other-F16.gguf" || s.hub.Read("me/m-GGUF", "mtp-m-F16.gguf") == nil || s.hub.Read("me/m-GGUF", "notes.txt") == nil {
		t.Errorf("%+v, %v", pub, err)
	}
}

// TestPublishVerifyDocument: what `moeconv verify --json` says counts as well, bound to the file by its hash.
func TestPublishVerifyDocument(t *testing.T) {
	s := newShelf(t)
	file := s.rep.Outputs[0].Files[0]
	doc := map[string]any{"schema": "moeconv/verify/1", "status": "pass", "files": []any{map[string]any{"label": "Q8_0", "status": "pass",
		"checks": []any{map[string]any{"name": "fidelity", "status": "pass"}}, "files": []any{map[string]any{"name": file.Path, "bytes": file.Bytes, "sha256": file.SHA256}}}}}
	for _, name := range []string{"m.report.json", "m-Q4_K_M/m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M/m-Q4_K_M-00002-of-00002.gguf"} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write := func() {
		data, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		s.write("Q8_0.verify.json", string(data))
	}
	write()
	if pub, err := s.publish(func(o *Publishing) { o.DryRun = true }); err != nil || len(pub.Files) != 3 {
		t.Errorf("%+v, %v", pub, err)
	}
	doc["held"] = []any{map[string]any{"label": "Q8_0", "file": file.Path, "reason": "held with IQ2_M"}}
	write()
	if _, err := s.publish(nil); err == nil || !strings.Contains(err.Error(), "m-Q8_0.gguf: held with IQ2_M") {
		t.Errorf("held: %v", err)
	}
}

// TestPublishDryRun sends nothing and leaves nothing behind.
func TestPublishDryRun(t *testing.T) {
	s := newShelf(t)
	pub, err := s.publish(func(o *Publishing) { o.DryRun, o.Client.Token = true, "" })
	if err != nil || !pub.New || len(pub.Commits) != 3 || pub.Commits[0].Bytes != s.rep.Outputs[0].Files[0].Bytes || len(pub.Notes) != 1 {
		t.Errorf("%+v, %v", pub, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, stateDir)); s.hub.Received() > 0 || s.hub.History("me/m-GGUF") != nil || err == nil {
		t.Error("something was left")
	}
	if _, err := s.publish(func(o *Publishing) { o.Client.Token = "" }); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Errorf("without a token: %v", err)
	}
}

// TestPublishClean: shards of an earlier cut stand in the way, until they are cleaned away in the commit of their type.
func TestPublishClean(t *testing.T) {
	s := newShelf(t)
	if _, err := s.publish(nil); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "m-Q4_K_M")); err != nil {
		t.Fatal(err)
	}
	s.model("Q4_K_M", "m-Q4_K_M.gguf", gguf.FileOptions{})
	s.save()
	_, err := s.publish(nil)
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(refused.Hint(), "--clean") {
		t.Errorf("%v", err)
	}
	if _, err := s.publish(func(o *Publishing) { o.Clean = true }); err != nil {
		t.Fatal(err)
	}
	history := s.hub.History("me/m-GGUF")
	last := history[len(history)-1]
	if last.Title != "Update Q4_K_M" || last.Files["m-Q4_K_M/m-Q4_K_M-00001-of-00002.gguf"] != "" || last.Files["m-Q4_K_M.gguf"] == "" {
		t.Errorf("%+v", last)
	}
}

// TestPublishVisibility: a repository is created as asked for; a public one is not taken for a private one.
func TestPublishVisibility(t *testing.T) {
	s := newShelf(t)
	if pub, err := s.publish(func(o *Publishing) { o.Private = true }); err != nil || !pub.Private {
		t.Errorf("%+v, %v", pub, err)
	}
	s = newShelf(t)
	s.hub.AddRepo("me/m-GGUF", false, nil)
	if _, err := s.publish(func(o *Publishing) { o.Private = true }); err == nil || !strings.Contains(err.Error(), "me/m-GGUF is public already") {
		t.Errorf("%v", err)
	}
}
