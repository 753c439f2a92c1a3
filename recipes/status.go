package recipes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/evidence"
)

// State is how far a thing of a release is.
type State string

// The states.
const (
	Done    State = "done"
	Stale   State = "stale"   // made from something that has changed since
	Missing State = "missing" // not made, or made and gone
)

// Part is one thing of a release and its state.
type Part struct {
	Stage string `json:"stage"`
	Name  string `json:"name"` // of the file or the bundle
	State State  `json:"state"`
	Why   string `json:"why,omitempty"`
}

// Status says what of a release is there, stale or missing. Files whose time has changed are hashed again.
func (l *Release) Status() ([]Part, error) {
	var out []Part
	wanted := map[string]bool{}
	for _, w := range l.Recipe.Wanted() {
		wanted[w.Label] = true
		o := l.Report.output(w.Label)
		if o == nil {
			out = append(out, Part{"quantize", w.Label, Missing, "not written to its end yet"}, Part{"verify", w.Label, Missing, ""})
			continue
		}
		out = append(out, fileState(l.Dir, o), verdictState(l.Dir, o))
		out = append(out, l.benchStates(o)...)
	}
	for i := range l.Report.Outputs {
		if o := &l.Report.Outputs[i]; !wanted[o.Label] {
			out = append(out, Part{"quantize", o.Name(), Stale, "the recipe no longer lists it"})
		}
	}
	bundle, err := l.bundleState()
	if err != nil {
		return nil, err
	}
	return append(out, bundle, l.cardState(bundle)), nil
}

// benchStates are the measurements that the recipe wants of a file.
func (l *Release) benchStates(o *Output) (out []Part) {
	b := &l.Recipe.Bench
	if b.When != benchAlways || o.Verdict == string(verify.Fail) || o.Verdict == "" || o.Away {
		return nil
	}
	stem := filepath.Join(l.Dir, l.Report.Name+"-"+o.Label)
	state := func(stem string, done func(*benchResult) bool) {
		p := Part{Stage: "bench", Name: filepath.Base(stem) + benchExt, State: Done}
		switch r := benched(stem, o.Files[0].SHA256); {
		case r != nil && done(r):
		case exists(stem + benchExt):
			p.State, p.Why = Stale, "it is of another file, or of other placements"
		default:
			p.State = Missing
		}
		out = append(out, p)
	}
	state(stem, func(*benchResult) bool { return true })
	if len(b.Ladder) > 0 {
		state(stem+ladderStem, func(r *benchResult) bool { return r.Ladder.Is(b.Ladder) })
	}
	return out
}

func fileState(dir string, o *Output) Part {
	p := Part{Stage: "quantize", Name: o.Name(), State: Done}
	if o.Away {
		p.Why = "published, and deleted here"
		return p
	}
	for _, f := range o.Files {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.Path))); err != nil {
			p.State, p.Why = Missing, f.Path+" is not there"
			return p
		}
	}
	if !o.intact(dir) {
		p.State, p.Why = Stale, "it is not what was written"
	}
	return p
}

func verdictState(dir string, o *Output) Part {
	p := Part{Stage: "verify", Name: o.Name(), State: Done, Why: o.Verdict}
	switch {
	case o.Verdict == "":
		p.State, p.Why = Missing, "not verified yet"
	case !o.intact(dir):
		p.State, p.Why = Stale, "the verdict "+o.Verdict+" is of another file"
	}
	return p
}

func (l *Release) bundleState() (Part, error) {
	p := Part{Stage: "evidence", Name: BundleName(l.Report.Name), State: Done}
	report, err := os.ReadFile(filepath.Join(l.Dir, l.Report.Name+".report.json"))
	if errors.Is(err, fs.ErrNotExist) { // the run was interrupted before it wrote one
		p.State = Missing
		return p, nil
	}
	if err != nil {
		return p, err
	}
	extra, err := l.extra()
	if err != nil {
		return p, err
	}
	if _, err := os.Stat(filepath.Join(l.bundle(), evidence.ManifestName)); err != nil {
		p.State = Missing
	} else if !l.current(report, extra) {
		p.State, p.Why = Stale, "the report or results of bench are newer"
	}
	return p, nil
}

func (l *Release) cardState(bundle Part) Part {
	p := Part{Stage: "card", Name: CardFile(l.Report.Name), State: Done}
	if _, err := os.Stat(filepath.Join(l.Dir, p.Name)); err != nil {
		p.State = Missing
		return p
	}
	if bundle.State != Done {
		p.State, p.Why = Stale, "its evidence is "+string(bundle.State)
		return p
	}
	rep, err := l.Audit(evidence.AuditOptions{})
	switch {
	case err != nil:
		p.State, p.Why = Stale, err.Error()
	case !rep.Pass:
		p.State, p.Why = Stale, fmt.Sprintf("the audit fails: %v", rep.Failed())
	}
	return p
}
