// Package probe asks a model questions and lets criteria, not people, judge the
// answers: is there text, is it text, does it repeat itself or the prompt, does
// it hold what it must, does the code in it parse and compute, does it agree
// with the source model. Sets of probes are data (Set). The first answer is
// greedy, so that the same file always gives the same one.
package probe

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/verify"
)

// Probe is a prompt and what its answer must satisfy.
type Probe struct {
	Spec
	Criteria []Criterion
}

// Answer is what a model wrote.
type Answer struct {
	Prompt string
	Text   string // what is judged: what follows the end of thinking, where the model thinks
	Whole  string // all of it; equal to Text, or empty, where the model does not think
	IDs    []int32
	Cut    bool    // it ended for its length, perhaps within a word
	Chat   bool    // it answers a turn of a conversation, and so has an end of its own
	Source *Answer // the yardstick's own, nil where there is none
	Of     string  // of an answer of a yardstick: whose it is, such as source

	thinking bool // it ended before the end of thinking
	drawn    bool // not greedy: it need not be the source's
}

// Criterion judges answers by one property.
type Criterion interface {
	Name() string
	Judge(Answer) Finding
}

// endless is a criterion that can be met by what a cut answer would have gone on with, or else by its end.
type endless interface{ needsEnd() }

// Finding is a criterion's judgement.
type Finding struct {
	Status  verify.Status
	Figure  verify.Number
	Message string
}

func finding(s verify.Status, figure float64, format string, args ...any) Finding {
	return Finding{s, verify.Number(figure), fmt.Sprintf(format, args...)}
}

// plain is a finding without a figure.
func plain(s verify.Status, format string, args ...any) Finding {
	return finding(s, float64(verify.None()), format, args...)
}

// verdict is what all criteria say of one answer.
type verdict struct {
	status                 verify.Status
	scores                 map[string]verify.Number
	misses                 []miss
	bad, good, open, notes []string // lines of what is wrong; names of criteria met; lines of what could not be judged, and of what the source lacks as well
}

// miss is a criterion that an answer does not meet, or was cut off before it did.
type miss struct {
	Criterion
	Finding
	shared bool // the source's own answer does not meet it either
}

func (m miss) line() string { return m.Name() + ": " + m.Message }

// whose is the yardstick in the possessive.
func (a Answer) whose() string {
	if a.Of == "" {
		return "the source's"
	}
	return a.Of + "'s"
}

func asOf(source Answer) string { return ", as of " + source.whose() + " own answer" }

// judge applies all criteria to an answer. The source's own answer is the yardstick: what it lacks as well, to the same
// degree, is no fault of the file.
func (p Probe) judge(a Answer) verdict {
	v := verdict{status: verify.Pass, scores: map[string]verify.Number{}}
	for _, c := range p.Criteria {
		if a.drawn && comparing(c) {
			continue
		}
		f := judge(c, a)
		if f.Figure.Valid() {
			v.scores[c.Name()] = f.Figure
		}
		m := miss{Criterion: c, Finding: f}
		own := verify.Pass
		if a.Source != nil && !comparing(c) {
			own = judge(c, *a.Source).Status
		}
		switch {
		case f.Status == verify.Pass:
			v.good = append(v.good, c.Name())
		case f.Status == notJudged && own == notJudged:
			v.notes = append(v.notes, m.line()+asOf(*a.Source))
		case missed(f.Status) && missed(own) && verify.Worse(own, f.Status) == own:
			m.shared = true
			v.misses = append(v.misses, m)
			v.notes = append(v.notes, m.line()+asOf(*a.Source))
		case f.Status == notJudged:
			v.misses = append(v.misses, m)
			v.open = append(v.open, m.line())
		case missed(f.Status):
			v.status = verify.Worse(v.status, f.Status)
			v.misses = append(v.misses, m)
			v.bad = append(v.bad, m.line())
		}
	}
	if len(v.open) > 0 && v.status == verify.Pass {
		v.status = verify.NotApplicable
	}
	return v
}

// doubtful reports whether drawn answers are worth their time: a miss may be chance.
func (v verdict) doubtful() bool {
	return slices.ContainsFunc(v.misses, func(m miss) bool {
		return !comparing(m.Criterion) && m.Status != notJudged && (m.Status == verify.Fail || !m.shared)
	})
}

// missed reports whether a criterion is not met.
func missed(s verify.Status) bool { return s == verify.Fail || s == verify.Warn }

// notJudged is the status of a finding that would need the end of an answer that was cut off.
const notJudged verify.Status = "not judged"

func judge(c Criterion, a Answer) Finding {
	if _, ok := c.(endless); ok && a.thinking && a.Cut {
		return plain(notJudged, "the answer was cut off before the end of thinking")
	}
	f := c.Judge(a)
	if _, ok := c.(endless); ok && f.Status == verify.Fail && a.Chat && a.Cut {
		f.Status = notJudged
		f.Message += " before the answer was cut off"
	}
	return f
}

// comparing reports whether a criterion holds the answer against the source's.
func comparing(c Criterion) bool {
	switch c.(type) {
	case Agreement, Edits:
		return true
	}
	return false
}

// Judge is the result for an answer. The headline figure is the repetition score, held against its failing bound.
func (p Probe) Judge(a Answer) verify.Result {
	r := verify.NewResult(verify.Pass, "")
	p.report(&r, a, p.judge(a))
	return r
}
