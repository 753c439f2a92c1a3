package recipes

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/probe"
)

// verify holds every output that has no verdict yet against the checkpoint. The source runs once for all of them.
func (j *job) verify(ctx context.Context) error {
	if j.verified() {
		j.report.stage("verify", "every output was verified by an earlier run")
		return j.done()
	}
	text, err := j.r.Verify.text(j.r)
	if err != nil {
		return err
	}
	base, closeBase, err := j.baseline(ctx, text)
	if err != nil {
		return err
	}
	defer closeBase()
	for i := range j.report.Outputs {
		o := &j.report.Outputs[i]
		if o.Verdict != "" {
			continue
		}
		if err := j.verifyOutput(ctx, o, text, base); err != nil {
			return fmt.Errorf("verify %s: %w", o.Label, err)
		}
		if err := j.save(); err != nil {
			return err
		}
	}
	j.report.stage("verify", j.verdictNote())
	return j.done()
}

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
	return true
}

func (j *job) verdictNote() string {
	n := map[string]int{}
	for _, o := range j.report.Outputs {
		n[o.Verdict]++
	}
	var parts []string
	for _, s := range []verify.Status{verify.Pass, verify.Warn, verify.Fail} {
		if n[string(s)] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[string(s)], s))
		}
	}
	return strings.Join(parts, ", ")
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

// baseline runs the checkpoint over the text, with activations as they are.
func (j *job) baseline(ctx context.Context, text string) (*verify.Baseline, func(), error) {
	nothing := func() {}
	if text == "" || j.r.Verify.Reference == "none" {
		return nil, nothing, nil
	}
	m, err := runtime.Load(j.source, runtime.Options{Threads: j.o.Threads, Activations: runtime.ActivationsF32, KV: gguf.F32})
	if err != nil {
		return nil, nothing, fmt.Errorf("the checkpoint itself: %w", err)
	}
	progress, done := j.o.Observer.Track("run the source", false)
	defer done()
	opts := verify.PerplexityOptions{Context: j.r.Verify.Context, Chunks: j.r.Verify.Chunks, Progress: progress}
	base, err := verify.NewBaseline(ctx, m, text, opts, 0)
	if err != nil {
		m.Close()
		return nil, nothing, err
	}
	if p, ok := base.Perplexity(); ok {
		j.report.Baseline = &Quality{Perplexity: p.PPL, Error: p.Error, Tokens: p.Scored, Top1: 1}
	}
	j.report.Measured = j.r.Verify.describe()
	return base, func() { m.Close() }, nil
}

// describe says on what the figures were measured.
func (v *Verify) describe() string {
	what := strings.TrimPrefix(v.Text, "embedded:")
	if v.Chunks == 0 {
		return fmt.Sprintf("all of %s in chunks of %d tokens", filepath.Base(what), v.Context)
	}
	return fmt.Sprintf("the first %d chunks of %d tokens of %s", v.Chunks, v.Context, filepath.Base(what))
}

func (j *job) verifyOutput(ctx context.Context, o *Output, text string, base *verify.Baseline) error {
	f, err := gguf.Open(filepath.Join(j.o.Out, o.Files[0].Path))
	if err != nil {
		return err
	}
	defer f.Close()
	s := &verify.Subject{Name: o.Name(), Scheme: o.Scheme, Source: f, Text: text, Baseline: base,
		Context: j.r.Verify.Context, Chunks: j.r.Verify.Chunks, Thresholds: j.r.thresholds(o.Scheme),
		Runtime: runtime.Options{Threads: j.o.Threads}}
	if j.r.Verify.Reference == "source" {
		s.Reference = j.source
	}
	checks := verify.Standard()
	for _, p := range j.r.Verify.Probes {
		made, err := probe.New(probe.Spec{Name: p.Name, Prompt: p.Prompt, MaxTokens: p.MaxTokens,
			Language: p.Language, Contains: p.Contains, Agreement: p.Agreement})
		if err != nil {
			return err
		}
		checks = append(checks, made.Check())
	}
	progress, done := j.o.Observer.Track("verify "+o.Label, false)
	defer done()
	s.Progress = func(_ string, n, total int64) { progress(n, total) }
	rep, err := verify.Run(ctx, s, checks)
	if err != nil {
		return err
	}
	o.Verify, o.Verdict, o.Quality = rep, string(rep.Status), quality(rep)
	j.changed = true
	return nil
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
