package stress

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/verify"
)

// turns holds one conversation, which the server may keep in mind from turn to turn, and asks the last turn again when others
// have taken its place: the answer must be the same. A context that is full ends the conversation before.
func (r *run) turns(ctx context.Context, res *verify.Result) error {
	conversation, answers, err := r.converse(ctx)
	if err != nil {
		return err
	}
	n := len(answers)
	if n < 2 {
		res.Status, res.Detail = verify.NotApplicable, "the context has no room for two turns"
		return nil
	}
	last := answers[n-1]
	for i := range r.Concurrent.Sessions {
		if _, err := r.t.ask(ctx, r.Protocol, fmt.Sprintf("%d. %s", i+1, r.Categories[i%len(r.Categories)].Prompts[0]), r.Soak.Tokens, 0); err != nil {
			return err
		}
	}
	again, err := r.t.say(ctx, r.Protocol, conversation[:2*n-1], r.Turns.Tokens, uint64(n-1), nil)
	if err != nil {
		return fmt.Errorf("the last turn again: %w", err)
	}
	likeness := alike(last.text, again.text)
	res.Figure, res.Threshold = verify.Number(likeness), verify.Number(r.Gates.Consistency)
	figures := map[string]float64{"turns": float64(n), "consistency": likeness, "first token, turn 2": answers[1].first().Seconds(), "first token, last turn": last.first().Seconds()}
	if n == len(r.Turns.Messages) && len(r.Turns.Recall) > 0 {
		figures["recalled"] = recalled(last.text, r.Turns.Recall)
	}
	before := answers[n-2].prompt
	if last.cached > 0 || r.t.model != nil {
		figures["reused"] = min(1, float64(last.cached)/float64(before))
	}
	for name, v := range figures {
		res.Figures[name] = verify.Number(v)
	}
	if reused, ok := figures["reused"]; ok && reused < r.Gates.Reuse {
		note(res, "%.0f%% of the conversation before the last turn was not read again", 100*reused)
	}
	if likeness < r.Gates.Consistency {
		return fmt.Errorf("the answer of turn %d is %.1f%% the one that is given without what the server kept of the turns before, %g%% are demanded", n, 100*likeness, 100*r.Gates.Consistency)
	}
	sum(res, "%d turns, %d tokens at the last; the last answer again is %.4g%% the same; %.3g s to its first token, %.3g s at turn 2", n, last.prompt,
		100*likeness, last.first().Seconds(), answers[1].first().Seconds())
	return nil
}

// converse asks turn after turn; the conversation ends with the last answer.
func (r *run) converse(ctx context.Context) (conversation []message, answers []*answer, err error) {
	for i, text := range r.Turns.Messages {
		conversation = append(conversation, message{"user", text})
		a, err := r.t.say(ctx, r.Protocol, conversation, r.Turns.Tokens, uint64(i), nil)
		var refused *server.Error
		if errors.As(err, &refused) && i > 0 && refused.Status/100 == 4 && strings.Contains(refused.Message, "context") {
			return conversation[:2*i], answers, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("turn %d: %w", i+1, err)
		}
		conversation = append(conversation, message{"assistant", a.text})
		answers = append(answers, a)
	}
	return conversation, answers, nil
}

// recalled is the share of words that a text has.
func recalled(text string, words []string) float64 {
	n := 0
	for _, w := range words {
		if strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
			n++
		}
	}
	return float64(n) / float64(len(words))
}
