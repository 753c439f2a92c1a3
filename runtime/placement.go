package runtime

import (
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/runtime/offload"
)

// Needs is what a model takes of a bounded memory, in bytes.
type Needs struct {
	Weights int64 `json:"weights"` // that are resident
	Cache   int64 `json:"kv_cache"`
	Compute int64 `json:"compute"` // an estimate
	Experts int64 `json:"experts"` // of a token in one block, if experts are streamed
}

// Sum is all of them.
func (n Needs) Sum() int64 { return n.Weights + n.Cache + n.Compute + n.Experts }

// MemoryError says that a model does not fit in the memory it may use, even with its experts streamed.
type MemoryError struct {
	RAM   int64 // 0: --expert-ram alone is too small
	Needs Needs
}

func (e *MemoryError) Error() string {
	n := e.Needs
	return fmt.Sprintf("runtime: %.1f MiB of memory are needed at least, %.1f may be used: weights %.1f, KV cache %.1f, computing %.1f, experts of a token %.1f",
		mib(n.Sum()), mib(e.RAM), mib(n.Weights), mib(n.Cache), mib(n.Compute), mib(n.Experts))
}

// Hint is the next step for a user.
func (e *MemoryError) Hint() string {
	return "a smaller context (--ctx) and --kv q8_0 need less; with --mmap weights count as free memory"
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// unasked bounds the positions whose cache is counted when no context was asked for: models claim more than texts have.
const unasked = 4096

// placement is how a model is kept in memory.
type placement struct {
	ledger      *offload.Ledger
	experts     int64 // bytes of the cache of streamed experts
	weightCache int64
	needs       Needs
}

// place decides what is resident, mapped and streamed: all is resident where it fits in the memory; else routed experts are
// streamed, through a cache of what the rest leaves; else, without a bound that the user set, the rest is mapped.
func (o Options) place(src gguf.Source, p nn.Params) (r placement, err error) {
	rules := o.Placement
	rules.Stream = rules.Stream || o.ExpertRAM > 0
	if o.Layers { // blocks are read whole, one after the other
		rules.Stream, rules.Map = false, false
	}
	choices := []offload.Options{rules}
	if o.RAM > 0 && !o.Layers {
		rules.Stream = true
		choices = append(choices, rules)
		if _, files := src.(gguf.Ranger); files && o.Fit {
			rules.Map = true
			choices = append(choices, rules)
		}
	}
	for i, c := range choices {
		r, err = o.try(c, src, p, o.Fit && i == len(choices)-1)
		if _, small := err.(*MemoryError); !small {
			break
		}
	}
	return r, err
}

// try is a choice, if it fits, or must do.
func (o Options) try(rules offload.Options, src gguf.Source, p nn.Params, must bool) (r placement, err error) {
	if r.ledger, err = offload.NewLedger(src.Metadata(), src.Tensors(), rules); err != nil {
		return r, fmt.Errorf("runtime: %w", err)
	}
	r.weightCache = o.weightCache()
	if o.Layers {
		return r, nil
	}
	needs, sizes := o.needs(r.ledger, src, p)
	r.needs = needs
	if sizes.Streamed == 0 && o.ExpertRAM > 0 {
		return r, errors.New("runtime: --expert-ram: the model has no routed experts to stream")
	}
	least := needs.Experts
	if o.ExpertRAM > 0 {
		needs.Experts = o.ExpertRAM
	}
	if o.RAM > 0 && needs.Sum() > o.RAM && !must {
		return r, &MemoryError{o.RAM, needs}
	}
	if sizes.Streamed == 0 {
		if o.RAM > 0 {
			r.weightCache = max(0, min(r.weightCache, o.RAM-needs.Sum()))
		}
		return r, nil
	}
	r.weightCache = 0
	switch {
	case o.ExpertRAM > 0:
		r.experts = o.ExpertRAM
	case o.RAM > 0:
		// Mapped weights are needed for every token: the system should not have to drop them.
		r.experts = max(least, min(sizes.Streamed, o.RAM-needs.Sum()+least-sizes.Mapped))
	default:
		r.experts = max(least, sizes.Streamed/4)
	}
	r.ledger.ExpertRAM = r.experts
	return r, nil
}

// needs is what a placement takes.
func (o Options) needs(l *offload.Ledger, src gguf.Source, p nn.Params) (Needs, offload.Sizes) {
	context := o.Context
	if context == 0 {
		context = min(p.Context, unasked)
	}
	sizes := l.Sizes(src.Tensors())
	vocabulary := 0
	if i := gguf.Find(src.Tensors(), "token_embd.weight"); i >= 0 {
		vocabulary = int(src.Tensors()[i].Shape.NE(1))
	}
	return Needs{Weights: sizes.Resident, Cache: p.CacheBytes(o.KV, context, o.FullWindows) * int64(max(1, o.Sessions)), Compute: p.ComputeBytes(vocabulary), Experts: sizes.Expert * int64(p.Used)}, sizes
}
