package recipes

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/verify"
)

// maxRecord bounds the JSON documents that are looked at for verdicts, in bytes.
const maxRecord = 64 << 20

// verdict is what a verify report says about a file of a certain SHA-256.
type verdict struct {
	label string
	held  string // why it may not go; empty: it may
}

// records are the verdicts found in a folder.
type records struct {
	bySHA   map[string]verdict
	names   map[string]bool       // of files that some report is about
	hashed  map[string]FileRecord // by path: hashes that need no reading while size and time are the same
	order   []string              // SHA-256 in the order of the reports
	sources map[string]bool       // OWNER/NAME of the checkpoints
	license map[string]bool       // of the checkpoints, as far as the reports know
}

// verifyRecord is a document of `moeconv verify --json` or --report.
type verifyRecord struct {
	Schema string `json:"schema"`
	verify.Release
}

// readRecords looks at the JSON documents in a folder.
func readRecords(dir string) (*records, error) {
	r := &records{map[string]verdict{}, map[string]bool{}, map[string]FileRecord{}, nil, map[string]bool{}, map[string]bool{}}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || info.IsDir() || info.Size() > maxRecord {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, ".report.json") {
			var rep Report
			if err := json.Unmarshal(data, &rep); err != nil {
				return nil, fmt.Errorf("recipes: %s: not a report of hf2gguf: %w", filepath.Base(name), err)
			}
			r.addReport(&rep)
			continue
		}
		var v verifyRecord
		if json.Unmarshal(data, &v) == nil && strings.HasPrefix(v.Schema, "moeconv/verify/") {
			r.addVerify(&v.Release)
		}
	}
	return r, nil
}

func (r *records) addReport(rep *Report) {
	if rep.Source.Repo != "" {
		r.sources[rep.Source.Repo] = true
	}
	for _, o := range rep.Outputs {
		v := verdict{o.Label, cmp.Or(judge(o.Verdict, o.Verify), r.release(rep.Release, o.Label))}
		for _, f := range o.Files {
			r.add(f, v)
		}
	}
}

// release notes the source's licence, and says why a model is held for another's sake; empty: it is not.
func (r *records) release(rel *verify.Release, label string) string {
	if rel == nil {
		return ""
	}
	if rel.Source.Licence != "" {
		r.license[rel.Source.Licence] = true
	}
	for _, h := range rel.Held {
		if h.Label == label {
			return h.Reason
		}
	}
	return ""
}

func (r *records) addVerify(rel *verify.Release) {
	for _, f := range rel.Files {
		v := verdict{f.Label, cmp.Or(judge(string(f.Status), f), r.release(rel, f.Label))}
		for _, part := range f.Files {
			r.add(FileRecord{Path: part.Name, Bytes: part.Bytes, SHA256: part.SHA256}, v)
		}
	}
}

func (r *records) add(f FileRecord, v verdict) {
	r.names[f.Path] = true
	if f.Time != "" {
		r.hashed[f.Path] = f
	}
	if f.SHA256 == "" {
		return
	}
	if old, ok := r.bySHA[f.SHA256]; ok { // two verdicts: the worse counts
		if old.held != "" {
			v.held = old.held
		}
		if v.label == "" {
			v.label = old.label
		}
	} else {
		r.order = append(r.order, f.SHA256)
	}
	r.bySHA[f.SHA256] = v
}

// judge says why a file of this verdict may not go; empty: it may.
func judge(status string, rep *verify.Report) string {
	switch {
	case status == "":
		return "verify has not run"
	case rep == nil || len(rep.Checks) == 0:
		return "its verify report holds no checks"
	case status != string(verify.Pass) && status != string(verify.Warn):
		var failed []string
		for _, c := range rep.Checks {
			if c.Status == verify.Fail {
				failed = append(failed, c.Name)
			}
		}
		if len(failed) == 0 {
			return "verify failed"
		}
		return "verify failed: " + strings.Join(failed, ", ")
	}
	for _, name := range []string{"fidelity", "kld"} {
		if c, ok := rep.Check(name); ok && c.Status != verify.NotApplicable {
			return ""
		}
	}
	return "nothing compared it with its source"
}

// modelSet is one model: a file, or all shards of a set.
type modelSet struct {
	label string
	files []hub.Addition // the first shard first
	held  string         // why it stays behind; empty: it goes
	rank  int            // place in the reports
	side  bool           // no model: an importance matrix, a projector

	license, licenseName string
}

// name is the path of the file or of the first shard.
func (m *modelSet) name() string { return m.files[0].Path }

// folder is what lies in the folder to publish.
type folder struct {
	dir     string
	also    []string
	records *records
	sets    []*modelSet
	others  []string // paths of files that are no GGUF
}

// readFolder lists a folder and judges its models. also are files that go as they are, if llama.cpp takes them for no
// model: projectors, drafts.
func readFolder(dir string, also []string) (*folder, error) {
	f := &folder{dir: dir, also: also}
	var err error
	if f.records, err = readRecords(dir); err != nil {
		return nil, err
	}
	groups := map[string]*modelSet{}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := os.Stat(name) // a link counts as what it leads to
		if err != nil || info.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		path := filepath.ToSlash(rel)
		if filepath.Ext(path) != ".gguf" {
			f.others = append(f.others, path)
			return nil
		}
		key := path
		if prefix, _, n, ok := gguf.ParseShardName(path); ok {
			key = fmt.Sprintf("%s of %d", prefix, n)
		}
		if groups[key] == nil {
			groups[key] = &modelSet{}
			f.sets = append(f.sets, groups[key])
		}
		groups[key].files = append(groups[key].files, hub.Addition{Path: path, File: name, Size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, m := range f.sets {
		if err := f.judge(m); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(f.sets, func(a, b *modelSet) int { return a.rank - b.rank })
	return f, nil
}

// judge finds out whether a model may go.
func (f *folder) judge(m *modelSet) error {
	m.rank = len(f.records.order)
	file, err := gguf.Open(m.files[0].File)
	if err != nil {
		m.held = strings.TrimPrefix(strings.ReplaceAll(err.Error(), filepath.Clean(f.dir)+string(filepath.Separator), ""), "gguf: ")
		m.label = hub.Tag(m.name())
		return nil
	}
	defer file.Close()
	md := file.Metadata()
	m.license, _ = gguf.Value[string](md, "general.license")
	m.licenseName, _ = gguf.Value[string](md, "general.license.name")
	kind, _ := gguf.Value[string](md, "general.type")
	arch, _ := gguf.Value[string](md, "general.architecture")
	m.side = kind == "imatrix" || kind == "mmproj" || kind == "adapter" || arch == "clip" || arch == "" ||
		slices.Contains(f.also, m.name()) && hub.SideWord(m.name()) != ""
	for i := range m.files {
		if m.files[i].SHA256, err = f.hash(m.files[i]); err != nil {
			return err
		}
	}
	m.label = hub.Tag(m.name())
	if m.side {
		return nil
	}
	for _, a := range m.files {
		v, ok := f.records.bySHA[a.SHA256]
		switch {
		case !ok && f.records.names[a.Path]:
			m.held = "it is not the file that was verified: it has changed since"
		case !ok:
			m.held = "no verify report in the folder is about it"
		case m.held == "":
			m.held = v.held
		}
		if v.label != "" {
			m.label = v.label
		}
		if at := slices.Index(f.records.order, a.SHA256); at >= 0 {
			m.rank = min(m.rank, at)
		}
	}
	if m.held == "" {
		var unknown *gguf.UnsupportedError
		if err := family.CheckContract(md, file.Tensors()); err != nil && !errors.As(err, &unknown) {
			m.held = err.Error()
		}
	}
	return nil
}

// hash is a file's SHA-256, from the report where size and time are still those of when it was written.
func (f *folder) hash(a hub.Addition) (string, error) {
	info, err := os.Stat(a.File)
	if err != nil {
		return "", err
	}
	if r, ok := f.records.hashed[a.Path]; ok && r.Bytes == info.Size() && r.Time == info.ModTime().UTC().Format(time.RFC3339Nano) {
		return r.SHA256, nil
	}
	return hashFile(os.DirFS(f.dir), a.Path)
}

// addition is a file that is no model.
func (f *folder) addition(path string) (hub.Addition, error) {
	name := filepath.Join(f.dir, filepath.FromSlash(path))
	info, err := os.Stat(name)
	if err != nil {
		return hub.Addition{}, err
	}
	a := hub.Addition{Path: path, File: name, Size: info.Size()}
	a.SHA256, err = hashFile(os.DirFS(f.dir), path)
	return a, err
}

// read is a text of the folder.
func (f *folder) read(path string) ([]byte, error) {
	return os.ReadFile(filepath.Join(f.dir, filepath.FromSlash(path)))
}
