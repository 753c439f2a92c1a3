package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Item is one line of an audit's checklist.
type Item struct {
	Name     string   `json:"name"`
	About    string   `json:"about"`
	Pass     bool     `json:"pass"`
	Problems []string `json:"problems"`
}

// AuditReport is what an audit found. Its score is computed from the checklist.
type AuditReport struct {
	Items  []Item  `json:"checks"`
	Passed int     `json:"passed"`
	Score  float64 `json:"score_percent"`
	Claims int     `json:"claims"`
	Pass   bool    `json:"pass"`
}

// Doc is a document to audit.
type Doc struct {
	Name string
	Data []byte
}

// AuditOptions of Audit.
type AuditOptions struct {
	Claims    []Claim  // instead of the bundle's own
	Card      *Doc     // the model card that the bundle's card.json describes
	Documents []Doc    // other texts, to which the rules about texts apply
	Skip      []string // rules about texts that are not applied
}

// Audit holds a bundle against its manifest, its claims against its evidence, the card against both, and documents
// against the rules about texts. Without a bundle, fsys is nil and the texts alone are audited.
func Audit(fsys fs.FS, o AuditOptions) *AuditReport {
	r := &AuditReport{}
	if fsys != nil {
		r.bundle(fsys, o)
	}
	if o.Card != nil {
		r.add(Document(o.Card.Name, o.Card.Data, o.Skip)...)
	}
	for _, d := range o.Documents {
		r.add(Document(d.Name, d.Data, o.Skip)...)
	}
	for i := range r.Items {
		it := &r.Items[i]
		if it.Pass = len(it.Problems) == 0; it.Pass {
			r.Passed++
			it.Problems = []string{}
		}
	}
	if len(r.Items) > 0 {
		r.Score = 100 * float64(r.Passed) / float64(len(r.Items))
	}
	r.Pass = r.Passed == len(r.Items) && len(r.Items) > 0
	return r
}

// Lines is the checklist for a terminal.
func (r *AuditReport) Lines() []string {
	var out []string
	for _, it := range r.Items {
		mark := "pass"
		if !it.Pass {
			mark = "FAIL"
		}
		out = append(out, fmt.Sprintf("  %s  %-34s %s", mark, it.Name, it.About))
		const most = 20
		for i, p := range it.Problems {
			if i == most {
				out = append(out, fmt.Sprintf("          and %d more", len(it.Problems)-most))
				break
			}
			out = append(out, "          "+p)
		}
	}
	return append(out, fmt.Sprintf("score %.1f%%: %d of %d checks passed", r.Score, r.Passed, len(r.Items)))
}

// Failed names the checks that failed.
func (r *AuditReport) Failed() []string {
	var out []string
	for _, it := range r.Items {
		if !it.Pass {
			out = append(out, it.Name)
		}
	}
	return out
}

func (r *AuditReport) add(items ...Item) { r.Items = append(r.Items, items...) }

func (r *AuditReport) bundle(fsys fs.FS, o AuditOptions) {
	m, err := ReadManifest(fsys)
	if err != nil {
		r.add(Item{Name: "manifest", About: "the bundle lists its files", Problems: []string{err.Error()}})
		return
	}
	r.add(
		Item{Name: "manifest", About: "every file is listed, every listed file is there", Problems: listed(fsys, m)},
		Item{Name: "hashes", About: "every file has the listed size and SHA-256", Problems: hashed(fsys, m)},
		Item{Name: "names", About: "no file that common ignore rules drop", Problems: ignored(m)},
		Item{Name: "environment", About: "machine, program and limits are on record", Problems: environment(fsys)},
		Item{Name: "private", About: "no token, no local path, no host name", Problems: private(fsys, m)},
	)
	r.claims(fsys, o)
	r.add(benches(fsys, m)...)
	r.card(fsys, m, o.Card)
}

func listed(fsys fs.FS, m *Manifest) []string {
	var out []string
	// The manifest proves itself by being, byte for byte, what Seal writes.
	data, err := readFile(fsys, ManifestName)
	if again, werr := encode(m); err != nil || werr != nil || !bytes.Equal(data, again) || m.Seal != m.seal() {
		out = append(out, ManifestName+" was changed after it was sealed")
	}
	there, err := files(fsys)
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range there {
		if _, ok := m.File(p); !ok {
			out = append(out, p+" is not in the manifest")
		}
	}
	for i, f := range m.Files {
		if !fs.ValidPath(f.Path) {
			out = append(out, fmt.Sprintf("path %q", f.Path))
			continue
		}
		if !slices.Contains(there, f.Path) {
			out = append(out, f.Path+" is missing")
		}
		if slices.ContainsFunc(m.Files[:i], func(g File) bool { return g.Path == f.Path }) {
			out = append(out, f.Path+" is listed twice")
		}
	}
	return out
}

func hashed(fsys fs.FS, m *Manifest) []string {
	var out []string
	for _, f := range m.Files {
		got, err := hashFile(fsys, f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // listed says so
		case err != nil:
			out = append(out, err.Error())
		case got.Bytes != f.Bytes:
			out = append(out, fmt.Sprintf("%s has %d bytes, the manifest says %d", f.Path, got.Bytes, f.Bytes))
		case got.SHA256 != f.SHA256:
			out = append(out, fmt.Sprintf("%s has SHA-256 %s, the manifest says %s", f.Path, got.SHA256, f.SHA256))
		}
	}
	return out
}

func ignored(m *Manifest) []string {
	var out []string
	for _, f := range m.Files {
		if rule := Ignored(f.Path); rule != "" {
			out = append(out, fmt.Sprintf("%s is dropped by the rule %s", f.Path, rule))
		}
	}
	return out
}

// EnvironmentName is the file of a bundle that describes the machine.
const EnvironmentName = "environment.json"

func environment(fsys fs.FS) []string {
	var e Environment
	if err := readJSON(fsys, EnvironmentName, &e); err != nil {
		return []string{err.Error()}
	}
	var out []string
	for name, v := range map[string]string{"cpu": e.CPU, "os": e.OS, "arch": e.Arch, "kernel": e.Kernel, "go": e.Go, "tool.version": e.Tool.Version,
		"tool.reference": e.Tool.Reference} {
		if v == "" {
			out = append(out, EnvironmentName+": no "+name)
		}
	}
	if e.Cores <= 0 {
		out = append(out, EnvironmentName+": no cores")
	}
	slices.Sort(out)
	return out
}

func (r *AuditReport) claims(fsys fs.FS, o AuditOptions) {
	list, name := o.Claims, "given claims"
	backed := Item{Name: "claims", About: "every claim is borne out by its evidence"}
	if list == nil {
		var err error
		if list, err = ReadClaims(fsys, ClaimsName); err != nil {
			backed.Problems = []string{err.Error()}
			r.add(backed)
			return
		}
		name = ClaimsName
	}
	if len(list) == 0 {
		backed.Problems = []string{name + " holds no claim"}
	}
	docs := cached(fsys)
	for i := range list {
		if p := list[i].check(docs); p != "" {
			backed.Problems = append(backed.Problems, fmt.Sprintf("%q: %s", list[i].Text, p))
		}
	}
	r.Claims = len(list)
	r.add(backed, Item{Name: "claims agree", About: "one value for one metric and scope", Problems: contradictions(list)})
}

// cached opens each document once.
func cached(fsys fs.FS) func(string) (*document, error) {
	docs := map[string]*document{}
	return func(name string) (*document, error) {
		if d, ok := docs[name]; ok {
			return d, nil
		}
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("%q is no path below the bundle", name)
		}
		d, err := open(fsys, name)
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "evidence: "))
		}
		docs[name] = d
		return d, nil
	}
}

// isText reports whether a file of a bundle is read for what may not be in it.
func isText(name string) bool {
	return slices.Contains([]string{".json", ".jsonl", ".txt", ".md", ".yaml", ".yml", ".csv", ".html", ".svg"}, path.Ext(name))
}
