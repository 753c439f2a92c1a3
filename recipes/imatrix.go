package recipes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime"
)

// Imatrix says which importance matrix the outputs are made with: a file made elsewhere, or a text that is run.
type Imatrix struct {
	File        string  `yaml:"file"`
	Text        Text    `yaml:"text"`         // the calibration text
	Chunks      int     `yaml:"chunks"`       // the first N chunks of 512 tokens; 0: all
	From        string  `yaml:"from"`         // the model that is run: source (default), or a scheme
	MinCoverage float64 `yaml:"min_coverage"` // share of the experts that the text must reach
	Holes       string  `yaml:"holes"`        // what stands in for what it lacks: reference (default), mean, neighbour or refuse
	Publish     string  `yaml:"publish"`      // the matrix' file name; {name}-imatrix.gguf by default
}

// MatrixRecord is the matrix that a run has made.
type MatrixRecord struct {
	FileRecord
	Key      string  `json:"key"` // of text, source and options
	Chunks   int64   `json:"chunks"`
	Dataset  string  `json:"dataset"`
	Coverage float64 `json:"coverage"` // share of the experts
	// Text is where the dataset came from, if that was an address.
	Text *LockedText `json:"text,omitempty"`
}

// fromCheckpoint is the value of imatrix.from that runs the checkpoint itself.
const fromCheckpoint = "source"

func (r *Recipe) checkImatrix() error {
	m := &r.Imatrix
	if m.From == "" {
		m.From = fromCheckpoint
	}
	if m.Publish == "" {
		m.Publish = "{name}-imatrix.gguf"
	}
	if err := m.Text.check(); err != nil {
		return r.errorf("key imatrix.text: %v", err)
	}
	switch {
	case m.File != "" && m.Text.named():
		return r.errorf("key imatrix: file and text exclude each other")
	case m.Chunks < 0:
		return r.errorf("key imatrix.chunks: %d", m.Chunks)
	case !(m.MinCoverage >= 0 && m.MinCoverage <= 1):
		return r.errorf("key imatrix.min_coverage: %v; want 0 to 1", m.MinCoverage)
	case m.Publish != filepath.Base(m.Publish) || !strings.Contains(m.Publish, "imatrix") || filepath.Ext(m.Publish) != ".gguf":
		return r.errorf("key imatrix.publish: %q: want a file name that contains imatrix and ends in .gguf", m.Publish)
	}
	if m.From != fromCheckpoint {
		if s, err := quantize.ParseScheme(m.From); err != nil || s.Copy {
			return r.errorf("key imatrix.from: %q; want source or a scheme", m.From)
		}
	}
	if m.Holes != "" {
		if _, err := quantize.ParseHoles(m.Holes); err != nil {
			return r.errorf("key imatrix.holes: %v", err)
		}
	}
	return nil
}

// CoverageError says that a calibration text reaches too few experts.
type CoverageError struct{ Seen, Least float64 }

func (e *CoverageError) Error() string {
	return fmt.Sprintf("recipes: the calibration text reaches %.2f%% of the experts, less than %.2f%%", 100*e.Seen, 100*e.Least)
}

// Hint tells how to go on.
func (e *CoverageError) Hint() string {
	return "a longer or more varied text reaches more; key imatrix.min_coverage"
}

// noMatrixError says that a job lacks what all jobs need.
type noMatrixError struct{ name string }

func (e *noMatrixError) Error() string {
	return fmt.Sprintf("recipes: %s is not there, or was gathered from something else", filepath.Base(e.name))
}

// Hint tells how to get it.
func (e *noMatrixError) Hint() string {
	return "one run with --until imatrix gathers it for all jobs"
}

// matrixName is the file that the recipe's own matrix has.
func (j *job) matrixName() string {
	return filepath.Join(j.o.Out, strings.ReplaceAll(j.r.Imatrix.Publish, "{name}", j.name))
}

// matrix opens the recipe's importance matrix; one that is to be gathered is, unless an equal run has done so.
func (j *job) matrix(ctx context.Context) error {
	m := &j.r.Imatrix
	if !m.Text.named() {
		return nil
	}
	text, err := j.read(ctx, &m.Text)
	if err != nil {
		return fmt.Errorf("recipes: %s: key imatrix.text: %w", j.r.origin, err)
	}
	key, err := j.matrixKey(text)
	if err != nil {
		return err
	}
	rec := j.oldMatrix()
	if rec == nil || rec.Key != key || j.o.Force || !(&Output{Files: []FileRecord{rec.FileRecord}}).intact(j.o.Out) {
		if j.o.Job.N > 0 {
			return &noMatrixError{j.matrixName()}
		}
		if rec, err = j.gather(ctx, text, key); err != nil {
			return err
		}
		j.report.acted = true
		j.report.stage("imatrix", fmt.Sprintf("%s: %d chunks of %s, %.2f%% of the experts", rec.Path, rec.Chunks, rec.Dataset, 100*rec.Coverage))
	} else {
		j.report.stage("imatrix", rec.Path+" was gathered by an earlier run")
	}
	j.report.Matrix = rec
	if rec.Coverage < m.MinCoverage {
		return &CoverageError{rec.Coverage, m.MinCoverage}
	}
	j.im, err = imatrix.Open(j.matrixName())
	return err
}

// oldMatrix is what the report of an earlier run says of its matrix.
func (j *job) oldMatrix() *MatrixRecord {
	var old Report
	data, err := os.ReadFile(j.reportName())
	if err == nil && json.Unmarshal(data, &old) == nil && old.Matrix != nil {
		return old.Matrix
	}
	var rec MatrixRecord
	if data, err = os.ReadFile(j.matrixState()); err == nil && json.Unmarshal(data, &rec) == nil {
		return &rec
	}
	return nil
}

// matrixState keeps the record of a matrix until the report has it: quantizing may take hours, and be interrupted.
func (j *job) matrixState() string { return j.matrixName() + ".json" }

// matrixKey identifies what a matrix depends on.
func (j *job) matrixKey(text string) (string, error) {
	doc, err := json.Marshal(struct {
		Format      int
		Inputs      []Input
		Text, From  string
		Chunks      int
		AsReference bool
	}{runFormat, j.report.Inputs, text, j.r.Imatrix.From, j.r.Imatrix.Chunks, j.o.AsReference})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}

// gather runs the text.
func (j *job) gather(ctx context.Context, text, key string) (*MatrixRecord, error) {
	src, err := j.calibrated()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(j.o.Out, 0o777); err != nil {
		return nil, err
	}
	model, err := runtime.Load(src, runtime.Options{Threads: j.o.Threads, Activations: runtime.ActivationsIntegers, KV: gguf.F16}.Fitted())
	if err != nil {
		return nil, err
	}
	defer model.Close()
	const chunk = 512
	chunks := j.r.Imatrix.Chunks
	if chunks == 0 {
		chunks = -1
	}
	c, err := model.Calibration(text, runtime.CalibrationOptions{ChunkSize: chunk, Chunks: chunks})
	if err != nil {
		return nil, err
	}
	progress, done := j.o.Observer.Track("imatrix", false)
	defer done()
	g := &Gathering{Model: model, Sums: imatrix.NewSums(chunk), Job: key, Output: j.matrixName(), Dataset: j.r.Imatrix.Text.base(), NoScore: true, Every: 10,
		Force: j.o.Force, Progress: progress, Note: j.o.Observer.Note}
	if err := g.Run(ctx, c); err != nil {
		return nil, err
	}
	if err := g.Conclude(ctx); err != nil {
		return nil, err
	}
	return j.recordMatrix(g, key)
}

func (j *job) recordMatrix(g *Gathering, key string) (*MatrixRecord, error) {
	sum, err := hashFile(os.DirFS(j.o.Out), filepath.Base(g.Output))
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(g.Output)
	if err != nil {
		return nil, err
	}
	f, err := recordFile(j.o.Out, gguf.Written{Path: g.Output, Bytes: info.Size(), SHA256: sum})
	if err != nil {
		return nil, err
	}
	rec := &MatrixRecord{FileRecord: f, Key: key, Chunks: g.Sums.Chunks(), Dataset: g.Dataset, Coverage: imatrix.Seen(g.Sums.Coverage())}
	if len(j.texts) > 0 {
		rec.Text = &j.texts[0]
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	return rec, os.WriteFile(j.matrixState(), data, 0o666)
}

// calibrated is the model that the text is run through: the checkpoint, or what a scheme would make of it.
func (j *job) calibrated() (gguf.Source, error) {
	if j.r.Imatrix.From == fromCheckpoint {
		return j.source, nil
	}
	s, err := quantize.ParseScheme(j.r.Imatrix.From)
	if err != nil {
		return nil, err
	}
	return quantize.New(j.source, s, quantize.Options{})
}

// imatrixName is the file of the matrix in use, for messages and metadata; empty without one.
func (j *job) imatrixName() string {
	switch {
	case j.r.Imatrix.File != "":
		return j.r.path(j.r.Imatrix.File)
	case j.r.Imatrix.Text.named():
		return j.matrixName()
	}
	return ""
}

// matrixSum identifies the content of the matrix in use; empty without one.
func (j *job) matrixSum() (string, error) {
	if j.report.Matrix != nil {
		return j.report.Matrix.Key, nil
	}
	name := j.imatrixName()
	if name == "" {
		return "", nil
	}
	return hashFile(os.DirFS(filepath.Dir(name)), filepath.Base(name))
}
