package recipes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/verify/card"
	"github.com/moeconv/moeconv/verify/evidence"
)

// RecipeName is the file of a bundle that holds the recipe as it was run.
const RecipeName = "recipe.yaml"

// BundleName is the folder of a release's evidence.
func BundleName(name string) string { return name + ".evidence" }

// CardFile is a release's model card, README.md once it is published.
func CardFile(name string) string { return name + ".card.md" }

// Release is a finished run: what its folder holds, and the recipe it was made by.
type Release struct {
	Dir    string
	Recipe *Recipe
	Report *Report
	Source fs.FS // the checkpoint, to hash its weights; nil: their hashes are taken from an earlier bundle, or left out
	Tool   evidence.Tool
	Track  func(stage string, bytes bool) (progress func(done, total int64), done func())

	inputs  []Input  // the checkpoint's files, hashed; nil: not yet
	log     *runLog  // of the run; nil: there is none, and the bundle's stays
	private []string // folders that the log may not name
}

func (l *Release) bundle() string { return filepath.Join(l.Dir, BundleName(l.Report.Name)) }

// OpenRelease reads the release that lies in a folder, by its report and its bundle.
func OpenRelease(dir string) (*Release, error) {
	names, err := inDir(dir, "*.report.json")
	if err != nil {
		return nil, err
	}
	if len(names) != 1 {
		return nil, &noReleaseError{dir, len(names)}
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		return nil, err
	}
	l := &Release{Dir: dir, Report: &Report{}}
	if err := json.Unmarshal(data, l.Report); err != nil {
		return nil, fmt.Errorf("recipes: %s: %w", filepath.Base(names[0]), err)
	}
	file := filepath.Join(l.bundle(), RecipeName)
	if _, err := os.Stat(file); err != nil {
		return nil, &noReleaseError{dir, len(names)}
	}
	l.Recipe, err = Load(file)
	return l, err
}

// OpenUnfinished is OpenRelease, also of a run that has not come to a report yet.
func OpenUnfinished(dir string) (*Release, error) {
	l, err := OpenRelease(dir)
	var none *noReleaseError
	if err == nil || !errors.As(err, &none) || none.n > 0 {
		return l, err
	}
	names, globErr := inDir(dir, BundleName("*"))
	if globErr != nil || len(names) != 1 {
		return nil, err
	}
	file := filepath.Join(names[0], RecipeName)
	if _, statErr := os.Stat(file); statErr != nil {
		return nil, err
	}
	l = &Release{Dir: dir, Report: &Report{Name: strings.TrimSuffix(filepath.Base(names[0]), BundleName(""))}}
	l.Recipe, err = Load(file)
	return l, err
}

// inDir lists what in a folder, whatever its name, matches a pattern.
func inDir(dir, pattern string) ([]string, error) {
	names, err := fs.Glob(os.DirFS(dir), pattern)
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names, err
}

// noReleaseError says that a folder is not what hf2gguf leaves.
type noReleaseError struct {
	dir string
	n   int
}

func (e *noReleaseError) Error() string {
	if e.n > 1 {
		return fmt.Sprintf("recipes: %s: %d releases lie here", e.dir, e.n)
	}
	return fmt.Sprintf("recipes: %s: no finished release lies here (no report with its evidence)", e.dir)
}

// Hint tells what makes one.
func (e *noReleaseError) Hint() string {
	if e.n > 1 {
		return "give each release a folder of its own"
	}
	return "moeconv hf2gguf writes them"
}

// Gather writes the release's bundle anew: environment, inputs, outputs, headers, placements, results of bench, claims.
// It returns how many files the bundle has; 0 where it was up to date.
func (l *Release) Gather(ctx context.Context) (int, error) {
	report, err := os.ReadFile(filepath.Join(l.Dir, l.Report.Name+".report.json"))
	if err != nil {
		return 0, err
	}
	docs := map[string]any{card.ReleaseName: json.RawMessage(report)}
	extra, err := l.extra()
	if err != nil {
		return 0, err
	}
	if l.current(report, extra) {
		return 0, nil
	}
	docs[evidence.EnvironmentName] = evidence.ThisMachine(l.Tool)
	if l.inputs, err = l.hashInputs(ctx); err != nil {
		return 0, err
	}
	src := l.Report.Source
	src.Path = ""
	docs[sourceName] = sourceDoc{src, l.inputs}
	found, err := l.look(ctx, extra)
	if err != nil {
		return 0, err
	}
	docs[card.FilesName], docs[card.PlacementName] = found.headers, found.placements
	if found.facts != nil {
		docs[card.FactsName] = found.facts
	}
	docs["commands.json"] = l.commands()
	claims, err := releaseClaims(l.Report, &found.headers)
	if err != nil {
		return 0, err
	}
	docs[evidence.ClaimsName] = claims
	return l.seal(docs, extra)
}

// seal writes the documents and the files to be copied, removes what an earlier bundle held besides, and hashes all.
func (l *Release) seal(docs map[string]any, extra map[string]string) (int, error) {
	root := l.bundle()
	for _, name := range []string{evidence.ManifestName, evidence.CardName} {
		if err := os.Remove(filepath.Join(root, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	made := map[string]string{}
	command := strings.Join(l.argv(), " ")
	for name, doc := range docs {
		made[name] = command
		if err := evidence.WriteJSON(filepath.Join(root, name), doc); err != nil {
			return 0, err
		}
	}
	if err := l.keepRecipe(); err != nil {
		return 0, err
	}
	if l.log != nil {
		text, err := appendLog(filepath.Join(root, logName), l.log.take(command, l.private))
		if err != nil {
			return 0, err
		}
		if err := evidence.WriteFile(filepath.Join(root, logName), text); err != nil {
			return 0, err
		}
		made[logName] = command
	}
	for name, from := range extra {
		data, err := os.ReadFile(from)
		if err != nil {
			return 0, err
		}
		if err := evidence.WriteFile(filepath.Join(root, filepath.FromSlash(name)), data); err != nil {
			return 0, err
		}
	}
	m, err := evidence.Seal(root, made)
	if err != nil {
		return 0, err
	}
	return len(m.Files), nil
}

// keepRecipe writes the recipe and the texts it names into the bundle, where they differ from what is there.
func (l *Release) keepRecipe() error {
	text, files, err := l.Recipe.portable()
	if err != nil {
		return err
	}
	files[RecipeName] = []byte(text)
	for name, data := range files {
		to := filepath.Join(l.bundle(), name)
		if old, err := os.ReadFile(to); err == nil && bytes.Equal(old, data) {
			continue
		}
		if err := evidence.WriteFile(to, data); err != nil {
			return err
		}
	}
	return nil
}

// extra are the files of the release's folder that belong into the bundle, by their names there: results and traces
// of bench, reports of verify.
func (l *Release) extra() (map[string]string, error) {
	out := map[string]string{}
	for pattern, folder := range map[string]string{"*.bench.json": card.BenchDir, "*.trace.jsonl": card.BenchDir, "*.verify.json": "verify"} {
		names, err := inDir(l.Dir, pattern)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			out[folder+"/"+filepath.Base(n)] = n
		}
	}
	return out, nil
}

// current reports whether the bundle is of this report and holds these files.
func (l *Release) current(report []byte, extra map[string]string) bool {
	fsys := os.DirFS(l.bundle())
	m, err := evidence.ReadManifest(fsys)
	if err != nil {
		return false
	}
	sum, err := hashFile(fsys, RecipeName)
	if f, ok := m.File(RecipeName); err != nil || !ok || f.SHA256 != sum {
		return false
	}
	var old bytes.Buffer
	kept, err := fs.ReadFile(fsys, card.ReleaseName)
	if err != nil || json.Compact(&old, kept) != nil {
		return false
	}
	var now bytes.Buffer
	if json.Compact(&now, report) != nil || !bytes.Equal(old.Bytes(), now.Bytes()) {
		return false
	}
	for name, from := range extra {
		sum, err := hashFile(os.DirFS(filepath.Dir(from)), filepath.Base(from))
		if f, ok := m.File(name); err != nil || !ok || f.SHA256 != sum {
			return false
		}
	}
	return true
}

// sourceName is the file of a bundle that lists the checkpoint's files.
const sourceName = "source.json"

// sourceDoc is that file.
type sourceDoc struct {
	Source Source  `json:"source"`
	Files  []Input `json:"files"`
}

// hashInputs are the checkpoint's files with the SHA-256 of all of them.
func (l *Release) hashInputs(ctx context.Context) ([]Input, error) {
	if l.inputs != nil {
		return l.inputs, nil
	}
	known := map[string]Input{}
	var old sourceDoc
	if readOld(l.Dir, l.Report, sourceName, &old) {
		for _, f := range old.Files {
			known[f.Name] = f
		}
	}
	list := slices.Clone(l.Report.Inputs)
	var total int64
	for _, in := range list {
		total += in.Bytes
	}
	progress, done := func(int64, int64) {}, func() {}
	if l.Track != nil {
		progress, done = l.Track("hash the source", true)
	}
	defer done()
	var read int64
	for i := range list {
		in := &list[i]
		if was := known[in.Name]; in.SHA256 == "" && was.Bytes == in.Bytes && was.Time == in.Time {
			in.SHA256 = was.SHA256
		}
		if in.SHA256 == "" && l.Source != nil {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			var err error
			if in.SHA256, err = hashFile(l.Source, in.Name); err != nil {
				return nil, err
			}
		}
		read += in.Bytes
		progress(read, total)
	}
	return list, nil
}

// argv is the command that makes the release again, beside the bundle's recipe.
func (l *Release) argv() []string {
	out := []string{"moeconv", "hf2gguf", RecipeName}
	if l.Report.Source.Embedded == "" {
		out = append(out, "--model", "SOURCE")
	}
	if l.Report.AsReference {
		out = append(out, "--as-reference")
	}
	return append(out, "--out", "OUT")
}

func (l *Release) commands() any {
	return map[string]any{"commands": []map[string]any{{"argv": l.argv(), "makes": l.Report.Name + ".report.json and every file it lists"}}}
}

// WriteCard writes the model card from the bundle; it reports whether the card is new.
func (l *Release) WriteCard() (bool, error) {
	tmpl, err := l.Recipe.cardTemplate()
	if err != nil {
		return false, err
	}
	root, name := l.bundle(), CardFile(l.Report.Name)
	if _, err := os.Stat(filepath.Join(root, card.FactsName)); err != nil {
		return false, &NoLicenseError{l.Report.Name}
	}
	plots, err := l.plots()
	if err != nil {
		return false, err
	}
	text, record, err := card.Render(os.DirFS(root), name, tmpl, plots)
	if err != nil {
		return false, err
	}
	old, _ := os.ReadFile(filepath.Join(l.Dir, name))
	m, err := evidence.ReadManifest(os.DirFS(root))
	if err != nil {
		return false, err
	}
	if _, ok := m.File(evidence.CardName); ok && bytes.Equal(old, text) {
		return false, nil
	}
	if err := evidence.WriteFile(filepath.Join(l.Dir, name), text); err != nil {
		return false, err
	}
	if err := evidence.WriteJSON(filepath.Join(root, evidence.CardName), record); err != nil {
		return false, err
	}
	_, err = evidence.Seal(root, map[string]string{evidence.CardName: "moeconv card"})
	return true, err
}

// Audit audits the release's bundle and card.
func (l *Release) Audit(o evidence.AuditOptions) (*evidence.AuditReport, error) {
	name := CardFile(l.Report.Name)
	data, err := os.ReadFile(filepath.Join(l.Dir, name))
	switch {
	case err == nil:
		o.Card = &evidence.Doc{Name: name, Data: data}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return evidence.Audit(os.DirFS(l.bundle()), o), nil
}
