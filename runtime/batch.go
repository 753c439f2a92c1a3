package runtime

import (
	"context"
	"fmt"
	"sync"

	"github.com/moeconv/moeconv/runtime/nn"
)

// Batch lets generations of a model take their steps together, so that each weight is read once for all of them.
// What each writes does not depend on the others. One goroutine uses it at a time.
type Batch struct {
	m     *Model
	state *nn.State // for its memory
}

// NewBatch is a batch without anything in it.
func (m *Model) NewBatch() *Batch { return &Batch{m, m.decoder.NewState()} }

// leastShare is the fewest tokens of a prompt that are worth a step: each expert's weights are used for several of them.
const leastShare = 16

// Step takes a step of each generation: those that write draw a token; those that still read share prompt, the number of
// tokens evaluated of all their prompts together, and draw when they have read all. Each has a session of its own.
// The errors are each generation's own; one that failed or is Done is not to be given again.
func (b *Batch) Step(ctx context.Context, gs []*Generator, prompt int) []error {
	errs := make([]error, len(gs))
	var parts []nn.Part
	var of []int
	reading := 0
	for _, g := range gs {
		if g.Unread() > 0 {
			reading++
		}
	}
	share := max(prompt/max(1, reading), leastShare)
	for i, g := range gs {
		if g.Unread() > 0 && prompt <= 0 {
			continue
		}
		tokens, err := g.next(share)
		if err != nil {
			errs[i] = err
			continue
		}
		if g.Unread() > 0 {
			prompt -= len(tokens)
		}
		parts, of = append(parts, nn.Part{State: g.s.state, Tokens: tokens, First: g.first(tokens)}), append(of, i)
	}
	logits, failed := b.eval(ctx, parts)
	var draws sync.WaitGroup
	for i, k := range of {
		if errs[k] = failed[i]; errs[k] == nil {
			draws.Go(func() { errs[k] = gs[k].took(parts[i].Tokens, logits[i]) })
		}
	}
	draws.Wait()
	return errs
}

// eval computes the parts together. Where that fails it computes them one by one: a text whose values are not finite
// is no reason for others to fail.
func (b *Batch) eval(ctx context.Context, parts []nn.Part) (logits [][][]float32, errs []error) {
	logits, errs = make([][][]float32, len(parts)), make([]error, len(parts))
	if len(parts) == 0 {
		return logits, errs
	}
	all, err := b.state.EvalParts(ctx, parts)
	if err == nil {
		return all, errs
	}
	for i := range parts {
		if len(parts) > 1 && ctx.Err() == nil {
			all, err = b.state.EvalParts(ctx, parts[i:i+1])
		}
		if errs[i] = err; err == nil {
			logits[i] = all[0]
		} else {
			errs[i] = fmt.Errorf("runtime: %w", err)
		}
	}
	return logits, errs
}
