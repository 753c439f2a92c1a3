package verify

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Status is the outcome of a check.
type Status string

// The outcomes.
const (
	Pass          Status = "pass"
	Warn          Status = "warn" // worth a person's look, no reason to hold the file
	Fail          Status = "fail"
	NotApplicable Status = "n/a" // the check says nothing about this file; Detail says why
)

// rank orders outcomes by how much they matter.
func (s Status) rank() int {
	switch s {
	case Fail:
		return 3
	case Warn:
		return 2
	case Pass:
		return 1
	}
	return 0
}

// Worse is the one of two outcomes that matters more.
func Worse(a, b Status) Status {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// Number is a float64 that JSON can hold: NaN and infinities are written as null.
type Number float64

// None is no figure.
func None() Number { return Number(math.NaN()) }

// Valid reports whether n is a finite number.
func (n Number) Valid() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// MarshalJSON writes null for what is not finite.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Valid() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads null as None.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = None()
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Problem is one thing found wrong, with its place.
type Problem struct {
	Tensor  string `json:"tensor,omitempty"`
	Expert  int    `json:"expert"` // -1 where the problem is not one expert's
	Message string `json:"message"`
	Damage  string `json:"damage,omitempty"` // the damage's name, where it has one: gate-up-swapped, transposed, experts-shifted ...
	warn    bool   // not enough to fail the file
}

// String is the problem in one line, tensor and expert named.
func (p Problem) String() string {
	switch {
	case p.Tensor == "":
		return p.Message
	case p.Expert < 0:
		return fmt.Sprintf("tensor %q: %s", p.Tensor, p.Message)
	}
	return fmt.Sprintf("tensor %q, expert %d: %s", p.Tensor, p.Expert, p.Message)
}

// Result is what a check found.
type Result struct {
	Name      string            `json:"name"`
	Status    Status            `json:"status"`
	Figure    Number            `json:"figure"`    // the check's headline number, None if it has none
	Threshold Number            `json:"threshold"` // the bound Figure was held against, None if there was none
	Detail    string            `json:"detail"`    // one line for people
	Seconds   float64           `json:"seconds"`
	Figures   map[string]Number `json:"figures,omitempty"`  // further numbers by name
	Problems  []Problem         `json:"problems,omitempty"` // the first maxProblems
	Prompt    string            `json:"prompt,omitempty"`   // what a probe asked
	Output    string            `json:"output,omitempty"`   // a probe's answer
	Original  string            `json:"original,omitempty"` // the source model's answer to the same
	Answers   []Answer          `json:"answers,omitempty"`  // of a probe: all that it looked at, the judged one first
	Count     int               `json:"problem_count"`      // all problems

	experts []Problem // those of single experts, all of them
}

// maxProblems bounds the problems listed in a result; a file full of NaN has millions.
const maxProblems = 100

// NewResult is a result without figures.
func NewResult(s Status, detail string) Result {
	return Result{Status: s, Figure: None(), Threshold: None(), Detail: detail}
}

// Resultf is NewResult with a format.
func Resultf(s Status, format string, args ...any) Result {
	return NewResult(s, fmt.Sprintf(format, args...))
}

// failure is the result of a check that could not be carried out.
func failure(err error) Result { return NewResult(Fail, err.Error()) }

// Find files a problem under the result and lowers its status.
func (r *Result) Find(p Problem) {
	r.Count++
	if p.Expert >= 0 && p.Tensor != "" {
		r.experts = append(r.experts, p)
	}
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
	if p.warn {
		r.Status = Worse(r.Status, Warn)
	} else {
		r.Status = Fail
	}
}

// figure sets a named number.
func (r *Result) figure(name string, v float64) {
	if r.Figures == nil {
		r.Figures = map[string]Number{}
	}
	r.Figures[name] = Number(v)
}

// summarize makes the first problems the detail, sound is the detail without any.
func (r *Result) summarize(sound string) {
	if len(r.Problems) == 0 {
		r.Detail = sound
		return
	}
	const shown = 3
	var parts []string
	for _, p := range r.Problems[:min(shown, len(r.Problems))] {
		parts = append(parts, p.String())
	}
	r.Detail = strings.Join(parts, "; ")
	if r.Count > shown {
		r.Detail += fmt.Sprintf("; and %d more", r.Count-shown)
	}
}

// Report is the outcome of all checks of one file.
type Report struct {
	Label   string   `json:"label,omitempty"` // unique in its release
	Name    string   `json:"name"`            // of the file, or the first of its shards
	Scheme  string   `json:"scheme,omitempty"`
	Status  Status   `json:"status"` // the worst of the checks'
	Notes   []string `json:"notes,omitempty"`
	Checks  []Result `json:"checks"`
	Experts *Experts `json:"experts,omitempty"` // nil for a file that has none, or that could not be opened
	Seconds float64  `json:"seconds"`

	Optional    bool     `json:"optional,omitempty"` // may be held without failing the release
	Files       []Part   `json:"files,omitempty"`    // on disk: one, or the shards
	Bytes       int64    `json:"total_bytes,omitempty"`
	BPW         Number   `json:"bits_per_weight,omitzero"`        // of all tensors
	ExpertBPW   Number   `json:"expert_bits_per_weight,omitzero"` // of routed experts; null for none
	Licence     string   `json:"license,omitempty"`               // the header's
	Imatrix     string   `json:"imatrix,omitempty"`               // name of the importance matrix that made the file
	DominatedBy []string `json:"dominated_by,omitempty"`          // labels of smaller files with a lower mean KL divergence, best first
	Quality     *Quality `json:"quality,omitempty"`               // nil where the model was not run over a text

	Measured *Measurement `json:"-"` // the figures behind the checks on the text, nil where none ran
}

// Quality is the figures of a table's row. Figures that were not measured are null.
type Quality struct {
	MeanKLD    Number   `json:"mean_kld"`       // KL divergence from the source, nats
	KLDError   Number   `json:"mean_kld_error"` // standard error
	KLDLow     Number   `json:"mean_kld_low"`   // 95% interval
	KLDHigh    Number   `json:"mean_kld_high"`
	SameTop    Number   `json:"same_top"` // share of positions with the source's most likely token
	PPL        Number   `json:"ppl"`
	PPLRatio   Number   `json:"ppl_ratio"` // over the source's
	EndRatio   Number   `json:"end_ratio"` // lowest probability of an end, over the source's
	Scored     int      `json:"scored_tokens"`
	Chunks     int      `json:"chunks"`
	ChunkMeans []Number `json:"chunk_means,omitempty"` // mean KL divergence of each chunk
}

// qualityOf takes a row's figures out of a report whose model was run.
func qualityOf(r *Report) *Quality {
	p := r.Measured.Perplexity
	none := None()
	q := &Quality{none, none, none, none, none, Number(p.PPL), none, none, p.Scored, p.Chunks, nil}
	if d := r.Measured.Divergence; d != nil {
		q.MeanKLD, q.KLDError, q.SameTop, q.PPLRatio = Number(d.Mean), Number(d.Error), Number(d.SameTop), Number(d.Ratio)
		q.KLDLow, q.KLDHigh = Number(d.MeanInterval.Low), Number(d.MeanInterval.High)
		for _, m := range d.ChunkMeans {
			q.ChunkMeans = append(q.ChunkMeans, Number(significant(m, 7)))
		}
	}
	if ends, ok := r.Check("ends"); ok {
		q.EndRatio = ends.Figure
	}
	return q
}

// Check finds a result by the check's name.
func (r *Report) Check(name string) (Result, bool) {
	for _, c := range r.Checks {
		if c.Name == name {
			return c, true
		}
	}
	return Result{}, false
}

// Lines is the report for a terminal: the verdict, then a line a check, worst first.
func (r *Report) Lines() []string {
	out := []string{fmt.Sprintf("%s: %s", r.Name, strings.ToUpper(string(r.Status)))}
	for _, s := range []Status{Fail, Warn, Pass, NotApplicable} {
		for _, c := range r.Checks {
			if c.Status == s {
				out = append(out, fmt.Sprintf("  %-4s  %-13s %s", c.Status, c.Name, c.Detail))
			}
		}
	}
	for _, n := range r.Notes {
		out = append(out, "  note  "+n)
	}
	return out
}

// Remarks is Lines without what passed or does not apply.
func (r *Report) Remarks() []string {
	return slices.DeleteFunc(r.Lines(), func(l string) bool {
		return strings.HasPrefix(l, "  "+string(Pass)) || strings.HasPrefix(l, "  "+string(NotApplicable))
	})
}

// Format is the number by a verb of fmt, or a dash where there is none.
func (n Number) Format(verb string) string {
	if !n.Valid() {
		return "-"
	}
	return fmt.Sprintf(verb, float64(n))
}
