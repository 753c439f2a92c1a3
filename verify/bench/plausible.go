package bench

import (
	"fmt"
	"math"
)

// ImplausibleError says that a measurement cannot be what it claims to be.
type ImplausibleError struct{ Msg string }

func (e *ImplausibleError) Error() string { return "implausible: " + e.Msg }

// Hint is the next step for a user.
func (e *ImplausibleError) Hint() string {
	return "nothing is reported of such a run; the trace file shows what came when"
}

func implausible(format string, args ...any) error {
	return &ImplausibleError{fmt.Sprintf(format, args...)}
}

// ratioSpread is the least relative spread of the times to the first token as shares of the totals: clocks that were
// read, and not calculated, differ by more.
const ratioSpread = 1e-6

// most is the most tokens that an answer to the prompt of a name may have.
func (o *Options) most(prompt string) int {
	for _, p := range o.Suite.Prompts {
		if p.Name == prompt {
			return p.most(*o)
		}
	}
	return o.MaxTokens
}

// plausible refuses rows that no measurement yields.
func plausible(rows []Row, o Options) error {
	ratios, totals := map[string]float64{}, map[float64]int{}
	var all []float64
	for _, r := range rows {
		where := fmt.Sprintf("%s, %s, run %d", r.Prompt, r.Mode, r.Run)
		switch {
		case r.Tokens != nil && *r.Tokens > o.most(r.Prompt):
			return implausible("%s: %d tokens, %d were the most allowed", where, *r.Tokens, o.most(r.Prompt))
		case r.Tokens != nil && *r.Tokens < 1, r.PromptTokens != nil && *r.PromptTokens < 1:
			return implausible("%s: no tokens", where)
		case !(r.Total > 0):
			return implausible("%s: it took %v s", where, r.Total)
		case r.TTFT != nil && (*r.TTFT <= 0 || *r.TTFT > r.Total):
			return implausible("%s: the first token came after %v of %v s", where, *r.TTFT, r.Total)
		}
		totals[r.Total]++
		if r.TTFT != nil && *r.Chunks > 1 {
			ratios[where] = *r.TTFT / r.Total
			all = append(all, ratios[where])
		}
	}
	if s := newStat(all); s != nil && s.N >= LeastRuns && s.Stddev <= ratioSpread*math.Abs(s.Mean) {
		return implausible("the first token came after the same share of the time, %.4f, in all of %d runs", s.Mean, s.N)
	}
	if len(rows) >= LeastRuns && len(totals) == 1 {
		return implausible("all %d runs took %v s", len(rows), rows[0].Total)
	}
	return nil
}
