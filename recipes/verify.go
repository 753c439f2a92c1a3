package recipes

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify"
)

// verify holds the outputs against the checkpoint and against each other, as one set: the checks of those that have a
// verdict of an earlier run are not made again.
func (j *job) verify(ctx context.Context) error {
	if j.verified() && exists(j.pageName(".html")) && exists(j.pageName(".md")) {
		j.report.stage("verify", "every output was verified by an earlier run")
		return j.done()
	}
	set, err := j.set()
	if err != nil {
		return err
	}
	if b := set.Subject.Baseline; b != nil {
		defer b.Close()
	}
	progress, done := j.o.Observer.Track("verify", false)
	defer done()
	set.Progress = func(_, _ string, n, total int64) { progress(n, total) }
	set.Done = func(rep *verify.Report) error {
		o := j.report.output(rep.Label)
		o.Verify, o.Verdict, o.Quality = rep, string(rep.Status), quality(rep)
		j.touch()
		return j.save()
	}
	rel, err := set.Run(ctx)
	if err != nil {
		return err
	}
	return j.judged(rel)
}

// judged keeps the verdict on the set: the comparison with its siblings may have changed a file's.
func (j *job) judged(rel *verify.Release) error {
	for _, f := range rel.Files {
		o := j.report.output(f.Label)
		o.Verify, o.Verdict = f, string(f.Status)
	}
	if b := rel.Baseline; b != nil {
		j.report.Baseline = &Quality{Perplexity: b.PPL, Error: b.Error, Tokens: b.Scored, Top1: 1}
		j.report.Measured = j.r.Verify.describe()
	}
	if _, err := rel.WritePages(j.pageName("")); err != nil {
		return err
	}
	release := *rel
	release.Files = nil // outputs have them
	j.report.Release = &release
	j.touch()
	j.report.stage("verify", rel.Verdict)
	return j.done()
}

// set is the outputs as a release to verify.
func (j *job) set() (*verify.Set, error) {
	text, err := j.r.Verify.text(j.r)
	if err != nil {
		return nil, err
	}
	checks, err := j.r.checks()
	if err != nil {
		return nil, err
	}
	set := &verify.Set{Name: j.name, Source: j.provenance(), Checks: checks, Bounds: j.r.thresholds, HoldRelease: j.r.Publish.OnFailure == verify.HoldRelease, Repo: j.r.Publish.Repo,
		Private: []string{j.o.Out, j.o.Model, j.r.Source.Path},
		Subject: verify.Subject{Text: text, Context: j.r.Verify.Context, Chunks: j.r.Verify.Chunks, Imatrix: j.im, Memory: j.o.Memory,
			Runtime: runtime.Options{Threads: j.o.Threads, Log: j.log.line}}}
	if j.r.Verify.Reference == "source" {
		set.Subject.Reference, set.Subject.Checkpoint = j.source, &verify.Checkpoint{Files: j.fsys}
	}
	v := &j.r.Verify
	if set.Subject.Budget, err = v.budget(); err != nil {
		return nil, err
	}
	set.Subject.Seed = v.Seed
	if v.Baseline != "" {
		o := verify.PerplexityOptions{Context: v.Context, Chunks: v.Chunks, Budget: set.Subject.Budget, Seed: v.Seed}
		if set.Subject.Baseline, err = verify.OpenBaseline(j.r.path(v.Baseline), o); err != nil {
			return nil, err
		}
	}
	for i := range j.report.Outputs {
		set.Members = append(set.Members, j.member(&j.report.Outputs[i]))
	}
	return set, nil
}

// member is an output as a file to verify.
func (j *job) member(o *Output) verify.Member {
	m := verify.Member{Label: o.Label, Scheme: o.Scheme, Away: o.Away, Optional: slices.Contains(j.r.Outputs.Optional, o.Label),
		Open: func() (gguf.Source, error) { return gguf.Open(filepath.Join(j.o.Out, o.Files[0].Path)) }}
	for _, f := range o.Files {
		m.Parts = append(m.Parts, verify.Part{Name: f.Path, Bytes: f.Bytes, SHA256: f.SHA256})
	}
	if o.Verdict != "" {
		m.Known = o.Verify
	}
	return m
}

// checks are the standard ones and the recipe's probes.
func (r *Recipe) checks() ([]verify.Check, error) {
	probes, err := r.Verify.Probes.Suite(r.path)
	if err != nil {
		return nil, err
	}
	return append(verify.Standard(), probes.Checks()...), nil
}

// provenance says where the files come from, without a path of this machine.
func (j *job) provenance() verify.Provenance {
	r := j.report
	p := verify.Provenance{Repo: r.Source.Repo, Revision: r.Source.Revision, Arch: r.Arch, Coverage: verify.None(),
		Reference: j.o.Tool.Reference, Tool: strings.TrimSpace("moeconv " + j.o.Tool.Version + " " + j.o.Tool.Commit)}
	if j.o.Model != "" && p.Revision == "" {
		repo, commit := hub.Origin(j.o.Model)
		p.Repo, p.Revision = cmp.Or(p.Repo, repo), commit
	}
	p.Licence, _ = gguf.Value[string](j.source.Metadata(), "general.license")
	if j.r.Verify.Text != "" {
		p.Text = j.r.Verify.describe()
	}
	if p.Repo == "" && r.Source.Embedded != "" {
		p.Repo = r.Source.Embedded + " (embedded)"
	}
	for _, f := range r.Fixes {
		if f.Changed {
			p.Fixes = append(p.Fixes, fmt.Sprintf("%s: %s = %s", f.Name, f.Key, f.After))
		}
	}
	if r.AsReference {
		for _, d := range r.Defects {
			p.Defects = append(p.Defects, d.Key+": "+d.What)
		}
	}
	if name := j.imatrixName(); name != "" {
		p.Imatrix = filepath.Base(name)
		if share, holes, err := ImatrixCoverage(name); err == nil { // it was opened before: the older form has no counts
			p.Coverage, p.Holes = share, holes
		}
	}
	return p
}

// pageName is the report's page beside the outputs.
func (j *job) pageName(ext string) string { return filepath.Join(j.o.Out, j.name+".report"+ext) }

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// touch notes that the report has to be kept.
func (j *job) touch() { j.changed, j.report.acted = true, true }

// done keeps the report of a run that wrote or verified something; a run that found nothing to do writes nothing.
func (j *job) done() error {
	j.report.File = filepath.Base(j.reportName())
	if !j.changed {
		return nil
	}
	return j.save()
}

func (j *job) verified() bool {
	for _, o := range j.report.Outputs {
		if o.Verdict == "" {
			return false
		}
	}
	return j.report.Release != nil
}

// text is what the quality figures are measured on; empty where the recipe names none.
func (v *Verify) text(r *Recipe) (string, error) {
	if v.Text == "" {
		return "", nil
	}
	name, ok := strings.CutPrefix(v.Text, "embedded:")
	if !ok {
		return ReadText(r.path(v.Text))
	}
	if name != "valid.txt" {
		return "", r.errorf("key verify.text: there is no text %q inside", name)
	}
	return testdata.ValidText(), nil
}

// provable fails where the gate wants the model to run and the runtime cannot run it.
func (j *job) provable() error {
	if !j.reaches("verify") || j.r.Verify.Reference == "none" {
		return nil
	}
	if err := runtime.Check(j.source.Metadata()); err != nil {
		return &notRunnableError{err}
	}
	return nil
}

// notRunnableError says that files of this model would be held back, since nothing could prove them.
type notRunnableError struct{ error }

func (e *notRunnableError) Unwrap() error { return e.error }

func (e *notRunnableError) Error() string {
	return fmt.Sprintf("recipes: the files would be held back: %v", e.error)
}

// Hint is advice for the user.
func (e *notRunnableError) Hint() string {
	return "--until quantize writes them without this proof; `moeconv verify FILE --source DIR` then makes the checks that need no run"
}

// budget is the time of each file on the text; 0 for none.
func (v *Verify) budget() (time.Duration, error) {
	if v.Budget == "" {
		return 0, nil
	}
	return time.ParseDuration(v.Budget)
}

// describe says on what the figures were measured.
func (v *Verify) describe() string {
	what := strings.TrimPrefix(v.Text, "embedded:")
	if v.Budget != "" {
		return fmt.Sprintf("chunks of %d tokens of %s, drawn by seed %d for %s a file", v.Context, filepath.Base(what), v.Seed, v.Budget)
	}
	if v.Chunks == 0 {
		return fmt.Sprintf("all of %s in chunks of %d tokens", filepath.Base(what), v.Context)
	}
	return fmt.Sprintf("the first %d chunks of %d tokens of %s", v.Chunks, v.Context, filepath.Base(what))
}

// thresholds are the recipe's bounds for a scheme; what it leaves out takes the defaults.
func (r *Recipe) thresholds(scheme string) verify.Thresholds {
	for name, b := range r.Verify.Bands {
		if strings.EqualFold(name, scheme) {
			return verify.Thresholds{KLDWarn: b.KLDWarn, KLDFail: b.KLDFail, PPLRatioFail: b.PPLRatio, Top1Fail: b.Top1}
		}
	}
	return verify.Thresholds{}
}

// quality takes the figures of the table out of a report; nil where they were not measured.
func quality(rep *verify.Report) *Quality {
	if rep.Measured == nil {
		return nil
	}
	p := rep.Measured.Perplexity
	q := &Quality{Perplexity: p.PPL, Error: p.Error, Tokens: p.Scored}
	if d := rep.Measured.Divergence; d != nil {
		q.MeanKLD, q.Top1 = d.Mean, d.SameTop
	}
	return q
}
