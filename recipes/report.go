package recipes

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/evidence"
)

// runFormat changes whenever an equal recipe may give other files than before.
const runFormat = 1

// Report is what a run did and measured. It holds no path, host or user of the machine it ran on.
type Report struct {
	Name        string          `json:"name"`
	Recipe      string          `json:"recipe"`
	Arch        string          `json:"architecture"`
	Source      Source          `json:"source"`
	Key         string          `json:"key"` // of recipe, inputs and options: equal keys give equal files
	AsReference bool            `json:"as_reference"`
	Inputs      []Input         `json:"inputs"`
	Fixes       []Fix           `json:"fixes"`
	Defects     []Defect        `json:"reference_defects"` // of the conversion, before the fixes
	Experts     *expert.Summary `json:"experts,omitempty"`
	Stages      []Stage         `json:"stages"`
	Baseline    *Quality        `json:"baseline,omitempty"` // of the source checkpoint
	Outputs     []Output        `json:"outputs"`
	Matrix      *MatrixRecord   `json:"imatrix,omitempty"`   // that this release's own text gave
	Others      []OtherRecord   `json:"files,omitempty"`     // made elsewhere
	Measured    string          `json:"measured,omitempty"`  // what the quality figures were measured on
	Release     *verify.Release `json:"release,omitempty"`   // the verdict on all outputs together; its files are the outputs' verify
	Written     int64           `json:"written_bytes"`       // by the latest run
	Published   *Publication    `json:"published,omitempty"` // by the latest run; not kept
	File        string          `json:"-"`                   // the report's own name below the output directory

	started time.Time
	log     *runLog
	acted   bool // the run wrote, checked, measured or sent something
}

// Idle says that a run found all that it was to make.
func (r *Report) Idle() bool { return !r.acted && len(r.Outputs) > 0 }

// Standing is what an idle run found.
func (r *Report) Standing() string {
	for _, o := range r.Outputs {
		if o.Verdict == "" {
			return "every output is there"
		}
	}
	return "every output is there and verified"
}

// Input is one file of the checkpoint.
type Input struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Time   string `json:"time,omitempty"`   // of last change: weights are told apart by size and time
	SHA256 string `json:"sha256,omitempty"` // of the small files
}

// Defect is a defect of the reference that the conversion reproduces.
type Defect struct {
	Key  string `json:"key"`
	What string `json:"what"`
}

// Stage is one stage of a run.
type Stage struct {
	Name    string  `json:"name"`
	Note    string  `json:"note"`
	Seconds float64 `json:"elapsed_s"` // since the run began
}

// Output is one published file, or one set of shards.
type Output struct {
	Label   string         `json:"label"`
	Scheme  string         `json:"type"`
	Files   []FileRecord   `json:"files"`
	Bytes   int64          `json:"total_bytes"`
	BPW     float64        `json:"bits_per_weight"`
	Seconds float64        `json:"write_s"`
	Away    bool           `json:"away,omitempty"` // published, and deleted here to make room
	Verdict string         `json:"verdict"`        // pass, warn, fail, or empty before verify
	Quality *Quality       `json:"quality,omitempty"`
	Verify  *verify.Report `json:"verify,omitempty"`
}

// Quality is measured on the recipe's text.
type Quality struct {
	Perplexity float64 `json:"ppl"`
	Error      float64 `json:"ppl_error"`
	Tokens     int     `json:"scored_tokens"`
	MeanKLD    float64 `json:"mean_kld"`
	Top1       float64 `json:"same_top"`
}

// FileRecord is one file on disk.
type FileRecord struct {
	Path   string `json:"path"` // below the output directory
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Time   string `json:"time"`
}

// Name is the output's file, or the first of its shards.
func (o *Output) Name() string {
	if len(o.Files) == 0 {
		return o.Label
	}
	return o.Files[0].Path
}

func (r *Report) stage(name, note string) {
	r.Stages = append(r.Stages, Stage{name, note, time.Since(r.started).Seconds()})
	r.log.line(fmt.Sprintf("%-8s %s", name, note))
}

func (r *Report) output(label string) *Output {
	for i := range r.Outputs {
		if r.Outputs[i].Label == label {
			return &r.Outputs[i]
		}
	}
	return nil
}

func (r *Report) put(o Output) {
	if old := r.output(o.Label); old != nil {
		*old = o
		return
	}
	r.Outputs = append(r.Outputs, o)
}

// Held lists the outputs that may not be published.
func (r *Report) Held() []string {
	var held []string
	if r.Release != nil {
		for _, h := range r.Release.Held {
			held = append(held, h.Label)
		}
	}
	return held
}

// Failed lists the held outputs that fail the run: all but the optional ones.
func (r *Report) Failed() []string {
	var failed []string
	if r.Release != nil && r.Release.Status == verify.Fail {
		for _, h := range r.Release.Held {
			if !h.Optional {
				failed = append(failed, h.Label)
			}
		}
	}
	return failed
}

// fingerprint records the checkpoint's files. Small ones are hashed, weights are told apart by size and time.
func fingerprint(fsys fs.FS) ([]Input, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	var out []Input
	for _, e := range entries {
		info, err := fs.Stat(fsys, e.Name())
		if err != nil {
			return nil, err
		}
		ext := filepath.Ext(e.Name())
		if info.IsDir() || !slices.Contains([]string{".safetensors", ".json", ".jinja", ".md", ".model"}, ext) {
			continue
		}
		in := Input{Name: e.Name(), Bytes: info.Size()}
		if ext == ".safetensors" {
			in.Time = info.ModTime().UTC().Format(time.RFC3339Nano)
		} else if in.SHA256, err = hashFile(fsys, e.Name()); err != nil {
			return nil, err
		}
		out = append(out, in)
	}
	return out, nil
}

func hashFile(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func recordFile(out string, w gguf.Written) (FileRecord, error) {
	info, err := os.Stat(w.Path)
	if err != nil {
		return FileRecord{}, err
	}
	rel, err := filepath.Rel(out, w.Path)
	if err != nil {
		return FileRecord{}, err
	}
	return FileRecord{filepath.ToSlash(rel), w.Bytes, w.SHA256, info.ModTime().UTC().Format(time.RFC3339Nano)}, nil
}

// intact reports whether every file of o is still what was written. A file touched since is hashed again.
func (o *Output) intact(dir string) bool {
	if o.Away {
		return true
	}
	for _, f := range o.Files {
		info, err := os.Stat(filepath.Join(dir, f.Path))
		if err != nil || info.Size() != f.Bytes {
			return false
		}
		if info.ModTime().UTC().Format(time.RFC3339Nano) == f.Time {
			continue
		}
		if sum, err := hashFile(os.DirFS(dir), f.Path); err != nil || sum != f.SHA256 {
			return false
		}
	}
	return len(o.Files) > 0
}

// reportName is where a run keeps its report, which is also its memory.
func (j *job) reportName() string { return filepath.Join(j.o.Out, j.name+".report.json") }

// restore takes over the outputs of an earlier run with the same key.
func (j *job) restore() error {
	key, err := j.key()
	if err != nil {
		return err
	}
	j.report.Key = key
	data, err := os.ReadFile(j.reportName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var old Report
	if err := json.Unmarshal(data, &old); err != nil {
		return fmt.Errorf("recipes: %s: not a report of an earlier run: %w", filepath.Base(j.reportName()), err)
	}
	if old.Key == key && !j.o.Force {
		j.report.Outputs, j.report.Baseline, j.report.Measured, j.report.Release = old.Outputs, old.Baseline, old.Measured, old.Release
	}
	return nil
}

func (j *job) key() (string, error) {
	r := *j.r
	r.Publish, r.Files, r.Bench, r.Card, r.Disk = Target{}, nil, Bench{}, Card{}, "" // change no file
	if t := &r.Imatrix.Text; t.named() {                                             // its content counts, by the matrix, and its name, which files have
		*t = Text{File: t.base()}
	}
	matrix, err := j.matrixSum()
	if err != nil {
		return "", err
	}
	doc, err := json.Marshal(struct {
		Format      int
		Recipe      Recipe
		Inputs      []Input
		AsReference bool
		Pre         string
		Imatrix     string // its hash, or that of what it is gathered from
	}{runFormat, r, j.report.Inputs, j.o.AsReference, j.o.Pre, matrix})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}

// save replaces the report in one step, so that a crash leaves the old or the new one.
func (j *job) save() error {
	if err := evidence.WriteJSON(j.reportName(), j.report); err != nil {
		return err
	}
	if j.report.Matrix != nil {
		os.Remove(j.matrixState()) // the report has it now
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Print writes the recipe as YAML, merged and with defaults.
func (r *Recipe) Print(w io.Writer) error {
	data, err := marshal(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, strings.NewReader(data))
	return err
}
