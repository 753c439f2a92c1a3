package stress

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/verify"
)

// Baseline is the figures of an earlier run, by file.
type Baseline struct {
	files []verify.Report
}

// BaselineError says why a file holds no figures to compare with.
type BaselineError struct {
	Name string
	Err  error
}

func (e *BaselineError) Error() string { return fmt.Sprintf("stress: baseline %s: %v", e.Name, e.Err) }

func (e *BaselineError) Unwrap() error { return e.Err }

// Hint is the next step for a user.
func (e *BaselineError) Hint() string {
	return "a baseline is what verify --stress --json printed, or its --report wrote as NAME.verify.json"
}

// maxBaseline bounds a baseline's size in bytes.
const maxBaseline = 256 << 20

// LoadBaseline reads the JSON document of an earlier verify --stress.
func LoadBaseline(name string) (*Baseline, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &BaselineError{name, err}
	}
	defer f.Close()
	var doc struct {
		Files []verify.Report `json:"files"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxBaseline)).Decode(&doc); err != nil {
		return nil, &BaselineError{name, err}
	}
	b := &Baseline{}
	for _, r := range doc.Files {
		if _, ok := r.Check("stress basic"); ok {
			b.files = append(b.files, r)
		}
	}
	if len(b.files) == 0 {
		return nil, &BaselineError{name, fmt.Errorf("no file in it was put under stress")}
	}
	return b, nil
}

// of is the earlier report on the file of that name, or the only one on its scheme, or the only one at all.
func (b *Baseline) of(name, scheme string) (verify.Report, bool) {
	var same []verify.Report
	for _, r := range b.files {
		if r.Name == name {
			return r, true
		}
		if scheme != "" && r.Scheme == scheme {
			same = append(same, r)
		}
	}
	if len(same) == 1 {
		return same[0], true
	}
	return b.files[0], len(b.files) == 1
}

// better says of the figures that are compared whether more of it is better: 1, or less: -1.
var better = map[string]int{
	"tokens/s": 1, "tokens/s alone": 1, "consistency": 1, "answered": 1, "reused": 1, "bytes a token": -1,
	"latency p50": -1, "latency p95": -1, "first token p95": -1, "first token, last turn": -1,
}

// leastDelay is the number of seconds by which a time must differ: less is the machine's.
const leastDelay = 0.05

// baseline compares all phases with the earlier run's.
func (r *run) baseline() verify.Check {
	return verify.Check{Name: "stress baseline", Run: func(_ context.Context, sub *verify.Subject) verify.Result {
		old, ok := r.o.Baseline.of(sub.Name, sub.Scheme)
		done := r.done
		r.done = nil
		if !ok {
			return verify.Resultf(verify.NotApplicable, "the baseline has %d files, none is %s", len(r.o.Baseline.files), sub.Name)
		}
		return compare(done, old, r.Gates.Regression)
	}}
}

// compare holds figures against earlier ones: those that are worse by more than a share of what they were fail.
func compare(done []verify.Result, old verify.Report, most float64) verify.Result {
	res := verify.NewResult(verify.Pass, "")
	res.Figures, res.Threshold = map[string]verify.Number{}, verify.Number(most)
	var worse []string
	for _, now := range done {
		then, ok := old.Check(now.Name)
		if !ok {
			continue
		}
		phase := strings.TrimPrefix(now.Name, "stress ")
		if now.Status == verify.Fail && then.Status != verify.Fail {
			worse = append(worse, phase+" fails, and did not")
		}
		for _, name := range slices.Sorted(maps.Keys(now.Figures)) {
			v, was := now.Figures[name], then.Figures[name]
			change, ok := changed(name, float64(v), float64(was))
			if !ok {
				continue
			}
			res.Figures[phase+": "+name] = verify.Number(change)
			if !res.Figure.Valid() || change < float64(res.Figure) {
				res.Figure = verify.Number(change)
			}
			if change < -most {
				worse = append(worse, fmt.Sprintf("%s: %s %.4g, was %.4g", phase, name, float64(v), float64(was)))
			}
		}
	}
	switch {
	case len(worse) > 0:
		res.Status, res.Detail = verify.Fail, strings.Join(worse, "; ")
	case len(res.Figures) == 0:
		res.Status, res.Detail = verify.NotApplicable, "no figure of the baseline can be compared"
	default:
		res.Detail = fmt.Sprintf("%d figures, the least %+.1f%% of what it was; -%g%% is allowed", len(res.Figures), 100*float64(res.Figure), 100*most)
	}
	return res
}

// changed is how much better a figure is than it was, as a share of that; ok is false for figures that are not compared.
func changed(name string, v, was float64) (change float64, ok bool) {
	sign := better[name]
	if strings.HasPrefix(name, "tokens/s at ") {
		sign = 1
	}
	if sign == 0 || !verify.Number(v).Valid() || !verify.Number(was).Valid() || was <= 0 {
		return 0, false
	}
	if strings.Contains(name, "latency") || strings.Contains(name, "first token") {
		if math.Abs(v-was) < leastDelay {
			return 0, true
		}
	}
	return float64(sign) * (v/was - 1), true
}
