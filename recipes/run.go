package recipes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify/card"
	"github.com/moeconv/moeconv/verify/evidence"
)

// Stages are the stages of a run, in order.
var Stages = []string{"source", "convert", "tag", "imatrix", "quantize", "verify", "bench", "evidence", "card", "publish"}

// Options of Run that are not the recipe's.
type Options struct {
	Model       string // the checkpoint's directory; overrides the recipe's source
	Out         string // directory of the outputs
	AsReference bool   // reproduce the reference's defects: no fixes
	UpdateLock  bool   // take the checkpoint as it is, whatever the lock file says
	Force       bool   // write everything anew, replacing what is there
	Until       string // the last stage to run; empty: all but publish
	Hub         *hub.Client
	Disk        int64 // bytes that the outputs may take at any time; 0: no bound
	Job         Share // write this job's files alone; the zero value: all
	Collect     bool  // take over what jobs have written
	Threads     int
	Memory      int64 // bytes of rows in flight
	Pre         string
	Observer    Observer
	Tool        evidence.Tool // what evidence names as the program

	again bool // a bundle's release is made again: no lock is read or written
}

// Observer is told how a run goes on.
type Observer interface {
	Note(line string)
	Track(stage string, bytes bool) (progress func(done, total int64), done func())
}

// job is one run: what was opened, and the report that grows.
type job struct {
	r      *Recipe
	o      Options
	fsys   fs.FS
	name   string
	plan   *convert.Plan
	source gguf.Source // the plan with fixes and the recipe's metadata
	im     *imatrix.Matrix
	report *Report

	log     *runLog
	texts   []LockedText    // that were read from addresses
	inputs  []Input         // the checkpoint's files with all hashes, once a lock has asked for them
	commit  string          // of the checkpoint that was downloaded
	redone  map[string]bool // outputs that this run has written, under Force
	changed bool            // something was written or verified
	covered bool            // the importance matrix' holes have been told
}

// Run carries the recipe's model through the stages and returns the report, also of a run whose gate held files
// back. Finished outputs of an earlier, equal run are kept; Report.Written counts what this one wrote.
func Run(ctx context.Context, r *Recipe, o Options) (*Report, error) {
	if o.Until == "" {
		o.Until = "card"
	}
	log := &runLog{Observer: o.Observer, started: time.Now()}
	o.Observer = log
	j := &job{r: r, o: o, log: log, redone: map[string]bool{}}
	if j.reaches("publish") && r.Publish.Repo == "" {
		return nil, r.errorf("key publish.repo: the recipe does not say where to publish")
	}
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	defer j.plan.Close()
	if err := j.prepare(); err != nil {
		return nil, err
	}
	if !j.reaches("imatrix") {
		return j.report, nil
	}
	if err := j.provable(); err != nil { // before hours of quantizing
		return nil, err
	}
	if err := j.matrix(ctx); err != nil {
		return nil, err
	}
	if !j.reaches("quantize") {
		return j.report, nil
	}
	if err := j.checkWeights(ctx); err != nil {
		return nil, err
	}
	if err := j.restore(); err != nil {
		return nil, err
	}
	if j.o.Job.N > 0 {
		return j.report, j.share(ctx)
	}
	if j.o.Collect {
		if err := j.collect(ctx); err != nil {
			return j.report, err
		}
	}
	if err := j.release().keepRecipe(); err != nil { // status of an unfinished run needs it
		return nil, err
	}
	return j.report, j.finish(ctx)
}

// finish makes the outputs and carries them through the stages behind.
func (j *job) finish(ctx context.Context) error {
	if err := j.others(); err != nil {
		return err
	}
	if j.o.Disk > 0 {
		if err := j.inWaves(ctx); err != nil {
			return err
		}
	}
	if err := j.outputs(ctx); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{{"verify", j.verify}, {"bench", j.bench}, {"evidence", j.document}, {"publish", j.publish}} {
		if !j.reaches(s.name) {
			return nil
		}
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// release is the run as what it leaves.
func (j *job) release() *Release {
	return &Release{Dir: j.o.Out, Recipe: j.r, Report: j.report, Source: j.fsys, Tool: j.o.Tool, Track: j.o.Observer.Track, inputs: j.inputs, log: j.log, private: []string{j.o.Out, j.o.Model, j.r.Source.Path}}
}

// document writes the bundle of the release's evidence and, from that alone, its card.
func (j *job) document(ctx context.Context) error {
	l := j.release()
	n, err := l.Gather(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		j.report.stage("evidence", "up to date")
	} else {
		j.report.acted = true
		j.report.stage("evidence", fmt.Sprintf("%d files in %s", n, BundleName(j.report.Name)))
	}
	if n > 0 || j.o.UpdateLock {
		inputs, err := l.hashInputs(ctx)
		if err != nil {
			return err
		}
		if err := j.writeLock(inputs); err != nil {
			return err
		}
	}
	if !j.reaches("card") {
		return nil
	}
	fresh, err := l.WriteCard()
	switch {
	case missingLicense(err), errors.Is(err, card.ErrHeld):
		j.report.stage("card", "none: "+strings.TrimPrefix(strings.TrimPrefix(err.Error(), "recipes: "), "card: "))
		return nil
	case err != nil:
		return err
	case fresh:
		j.report.acted = true
		j.report.stage("card", CardFile(j.report.Name))
	default:
		j.report.stage("card", "up to date")
	}
	return nil
}

// reaches reports whether the run goes as far as a stage.
func (j *job) reaches(stage string) bool {
	for _, s := range Stages {
		if s == stage {
			return true
		}
		if s == j.o.Until {
			return false
		}
	}
	return false
}

// open finds the checkpoint, downloads it where it is on the Hub, and plans its conversion from headers alone.
func (j *job) open(ctx context.Context) error {
	dir := j.o.Model
	if dir == "" {
		dir = j.r.Source.Path
	}
	opts := convert.Options{OutType: "auto", Pre: j.o.Pre}
	var err error
	switch {
	case dir != "":
		if j.plan, err = convert.OpenDir(dir, opts); err != nil {
			return err
		}
		j.fsys = os.DirFS(dir)
	case j.r.Source.Embedded == testdata.TinyName:
		opts.Name = testdata.TinyName
		j.fsys = testdata.Tiny()
		if j.plan, err = convert.NewPlan(j.fsys, opts); err != nil {
			return err
		}
	case j.r.Source.Embedded != "":
		return j.r.errorf("key source.embedded: there is no checkpoint %q inside", j.r.Source.Embedded)
	default:
		if opts.Name, err = j.download(ctx); err != nil {
			return err
		}
		if j.plan, err = convert.NewPlan(j.fsys, opts); err != nil {
			return err
		}
	}
	j.name = j.r.Name
	if j.name == "" {
		j.name = j.plan.Name()
	}
	return nil
}

// prepare runs the stages that need headers only: source check, convert, tag.
func (j *job) prepare() error {
	j.report = &Report{Name: j.name, Recipe: j.r.origin, Arch: j.plan.Family.Arch, AsReference: j.o.AsReference,
		Source: j.r.Source, started: time.Now(), log: j.log}
	if j.commit != "" {
		j.report.Source.Revision = j.commit
	}
	if f := j.r.Family; f != "auto" && f != j.plan.Family.Arch {
		return j.r.errorf("key family: the recipe is for %s, the checkpoint is %s", f, j.plan.Family.Arch)
	}
	var err error
	if j.report.Inputs, err = fingerprint(j.fsys); err != nil {
		return err
	}
	if err := j.checkLock(); err != nil {
		return err
	}
	j.report.stage("source", fmt.Sprintf("%d files, every header and range checked", len(j.report.Inputs)))
	if err := family.CheckContract(j.plan.Metadata(), j.plan.Tensors()); err != nil {
		return err
	}
	if j.source, err = j.dress(j.plan); err != nil {
		return err
	}
	j.report.stage("convert", fmt.Sprintf("%d tensors planned; converted on the way, no intermediate file", len(j.plan.Tensors())))
	j.report.stage("tag", j.tagNote())
	if j.r.Imatrix.File != "" {
		if j.im, err = imatrix.Open(j.r.path(j.r.Imatrix.File)); err != nil {
			return err
		}
	}
	return nil
}

// dress is the plan as it is to be published: mended, with the recipe's metadata and tags.
func (j *job) dress(p *convert.Plan) (gguf.Source, error) {
	md := p.Metadata().Clone()
	j.report.Defects = nil
	for _, q := range p.Quirks() {
		j.report.Defects = append(j.report.Defects, Defect{q.Key, q.What})
	}
	if !j.o.AsReference {
		fixes, err := j.r.applyFixes(md, p.Quirks())
		if err != nil {
			return nil, err
		}
		j.report.Fixes = fixes
	}
	if err := j.r.applyMetadata(md); err != nil {
		return nil, err
	}
	src := gguf.WithMetadata(p, md)
	_, err := j.tag(src)
	return src, err
}

// tag marks the experts of src. It runs on the checkpoint, where a refusal costs nothing, and again on each
// output, whose bytes it records.
func (j *job) tag(src gguf.Source) (gguf.Source, error) {
	if !j.tagged() {
		return src, nil
	}
	out, sum, err := expert.Tag(src)
	if errors.Is(err, expert.ErrNone) {
		return src, nil
	}
	if err != nil {
		return nil, err
	}
	if j.report.Experts == nil {
		j.report.Experts = &sum
	}
	return out, nil
}

func (j *job) tagged() bool { return j.r.Tag == nil || *j.r.Tag }

func (j *job) tagNote() string {
	switch s := j.report.Experts; {
	case s != nil:
		return fmt.Sprintf("%d routed expert tensors in %d layers, %d experts, %d used", len(s.Names), len(s.Layers), s.Count, s.Used)
	case !j.tagged():
		return "not wanted by the recipe"
	}
	return "the model has no routed experts"
}
