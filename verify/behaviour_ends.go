package verify

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
)

// Kinds of tokens that end something.
const (
	endOfText     = "eos"
	endOfTurn     = "end_of_turn"
	endOfThinking = "end_of_thinking"
)

// endRatio is the share of the source's probability of an end below which a file is warned of: a model that forgets
// to stop answers on and on, and no mean over all tokens shows it.
const endRatio = 0.5

// endPrompts are asked of the source. Their answers are short.
var endPrompts = []string{
	"What is the capital of France? Answer with one word.",
	"What is 17 + 25? Answer with the number only.",
	"Write one short sentence about the sea.",
}

// endAnswers are right and short, for a source that only reads.
var endAnswers = []string{"Paris.", "42", "The sea is wide and blue."}

const (
	answerTokens = 96   // of an answer without thinking
	thoughtLimit = 384  // of an answer that may think first
	endWindows   = 6    // parts of the text in which a model without a template may end
	windowTokens = 256  // of each
	endPlaces    = 8    // where no answer ends by itself: the places where the source is nearest to ending
	leastEnd     = 0.01 // the probability it must have there
)

// ThinkingMarks are the tokens by which models begin and end their thinking, as their chat templates write them.
var ThinkingMarks = []struct{ Open, Close string }{
	{"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"},
	{"<|START_THINKING|>", "<|END_THINKING|>"}, {"<thought>", "</thought>"}, {"<|begin_of_thought|>", "<|end_of_thought|>"},
}

// ending is a place where the source ends, or nearly: after position at of a sequence the token id comes with probability p.
type ending struct {
	kind string
	id   int32
	at   int
	p    float64
}

// recorded is a sequence of tokens with the places where the source ends it.
type recorded struct {
	tokens []int32
	ends   []ending
}

// endings is what the source does at ends, found once for all files.
type endings struct {
	sequences []recorded
	scope     string // what they were taken from
	err       error
}

// checkEnds asks whether the file ends where the source does: the probability of the ending token, at the recorded ends
// of the source's own answers, against the source's.
func checkEnds(ctx context.Context, s *Subject) Result {
	if s.Reference == nil {
		return NewResult(NotApplicable, "no source to compare with")
	}
	m, err := s.Model()
	if err != nil {
		return cannot(err)
	}
	e := s.endings(ctx)
	if e.err != nil {
		return cannot(e.err)
	}
	got, want, n := map[string]float64{}, map[string]float64{}, map[string]int{}
	for _, q := range e.sequences {
		logits, err := prefill(ctx, m, q.tokens[:lastEnd(q)+1])
		if err != nil {
			return cannot(err)
		}
		for _, end := range q.ends {
			if int(end.id) >= len(logits[end.at]) {
				return Resultf(Fail, "the vocabulary has no token %d, which ends the source's answers", end.id)
			}
			got[end.kind] += probability(logits[end.at], end.id)
			want[end.kind] += end.p
			n[end.kind]++
		}
	}
	return judgeEnds(got, want, n, e.scope)
}

// judgeEnds judges sums of probabilities by kind; the kind that lost most is the headline.
func judgeEnds(got, want map[string]float64, n map[string]int, scope string) Result {
	r := NewResult(Pass, "")
	r.Threshold = endRatio
	var parts []string
	for _, kind := range []string{endOfText, endOfTurn, endOfThinking} {
		if n[kind] == 0 {
			continue
		}
		ratio := got[kind] / want[kind]
		r.figure(kind, got[kind]/float64(n[kind]))
		r.figure(kind+"_source", want[kind]/float64(n[kind]))
		r.figure(kind+"_places", float64(n[kind]))
		if !r.Figure.Valid() || ratio < float64(r.Figure) || math.IsNaN(ratio) {
			r.Figure = Number(ratio)
		}
		parts = append(parts, fmt.Sprintf("p(%s) %.3g, source %.3g at %d places", strings.ReplaceAll(kind, "_", " "), got[kind]/float64(n[kind]), want[kind]/float64(n[kind]), n[kind]))
		if !(ratio >= endRatio) {
			r.Status = Warn
			parts[len(parts)-1] += fmt.Sprintf(" (%.2g of it; %.2g is wanted)", ratio, endRatio)
		}
	}
	if len(parts) == 0 {
		return NewResult(NotApplicable, "the source ends nowhere: "+scope)
	}
	r.Detail = strings.Join(parts, "; ") + "; " + scope
	return r
}

func lastEnd(q recorded) int {
	last := 0
	for _, e := range q.ends {
		last = max(last, e.at)
	}
	return last
}

// probability is the softmax of logits at id.
func probability(logits []float32, id int32) float64 { return math.Exp(-negLogProb(logits, id)) }

// endings are the source's, found by the first file that asks.
func (s *Subject) endings(ctx context.Context) *endings {
	if s.common().ends == nil {
		e := &endings{}
		e.err = e.record(ctx, s)
		if ctx.Err() != nil {
			return e // not the answer for other files
		}
		s.shared.ends = e
	}
	return s.shared.ends
}

// record lets the source answer prompts by its own template. Where there is none, or no answer comes to its end, the
// places count where the source is nearest to ending, in its answers or in the text.
func (e *endings) record(ctx context.Context, s *Subject) error {
	ref, err := s.ReferenceModel()
	if err != nil {
		return err
	}
	tk, err := ref.Tokenizer()
	if err != nil {
		return fmt.Errorf("verify: ends: %w", err)
	}
	kinds := endKinds(tk)
	if len(kinds) == 0 {
		e.scope = "its vocabulary has no token for it"
		return nil
	}
	if ref.NeedsSource() {
		return e.given(ctx, ref, tk, kinds)
	}
	answers, how, err := answerPrompts(ctx, ref, tk, kinds)
	if err != nil {
		return err
	}
	for _, q := range answers {
		if len(q.ends) > 0 {
			e.sequences = append(e.sequences, q)
		}
	}
	if len(e.sequences) > 0 {
		e.scope = fmt.Sprintf("ends of %d of the source's own %d answers, greedy, %s", len(e.sequences), len(answers), how)
		return nil
	}
	e.scope = fmt.Sprintf("none of %d greedy answers ended, %s", len(answers), how)
	if s.Text == "" {
		e.scope += "; a text (--text) has more places"
	} else {
		parts, err := windows(ref, tk, s.Text)
		if err != nil {
			return err
		}
		answers = append(answers, parts...)
	}
	e.sequences, err = nearest(ctx, ref, answers, kinds)
	if len(e.sequences) > 0 {
		e.scope += fmt.Sprintf("; measured where the source is nearest to ending, in %d sequences", len(e.sequences))
	}
	return err
}

// endKinds sorts the tokens that end something.
func endKinds(tk *token.Tokenizer) map[int32]string {
	kinds := map[int32]string{}
	eos, hasEOS := tk.EOS()
	eot, hasEOT := tk.EOT()
	for id := range int32(tk.Size()) {
		switch text := tk.TokenText(id); {
		case hasEOT && id == eot && !(hasEOS && id == eos):
			kinds[id] = endOfTurn
		case hasEOS && id == eos:
			kinds[id] = endOfText
		case tk.IsEOG(id):
			kinds[id] = endOfTurn
		case slices.ContainsFunc(ThinkingMarks, func(m struct{ Open, Close string }) bool { return m.Close == text }):
			kinds[id] = endOfThinking
		}
	}
	return kinds
}

// nearest are the places of each kind at which the source gives an end the most probability.
func nearest(ctx context.Context, ref *runtime.Model, sequences []recorded, kinds map[int32]string) ([]recorded, error) {
	type candidate struct {
		sequence int
		ending
	}
	best := map[string][]candidate{}
	for i, q := range sequences {
		logits, err := prefill(ctx, ref, q.tokens)
		if err != nil {
			return nil, err
		}
		for at, row := range logits {
			top, sum := softmaxSum(row)
			for id, kind := range kinds {
				if p := math.Exp(float64(row[id]-top)) / sum; p >= leastEnd {
					best[kind] = append(best[kind], candidate{i, ending{kind, id, at, p}})
				}
			}
		}
	}
	for _, list := range best {
		slices.SortFunc(list, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.at, b.at))
		})
		for _, c := range list[:min(len(list), endPlaces)] {
			sequences[c.sequence].ends = append(sequences[c.sequence].ends, c.ending)
		}
	}
	return slices.DeleteFunc(sequences, func(q recorded) bool { return len(q.ends) == 0 }), nil
}
