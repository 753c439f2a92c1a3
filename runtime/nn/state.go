package nn

import (
	"context"
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// batchTokens is how many tokens are computed together; longer inputs are cut.
const batchTokens = 512

// State is one text being evaluated: its KV cache, and memory to compute in that grows to the largest batch seen.
type State struct {
	sequence
	parts  []part          // the texts whose tokens are being computed, in the order of rows
	routes [][]int64       // [block][expert]; nil: not counted
	sums   InputSums       // nil: not summed
	ctx    context.Context // of the Eval that runs
	loaded [][][]byte      // [expert][part] of streamed experts that are in memory

	ahead     routing   // of the next block, as far as it can be foreseen
	aheadNorm []float32 // [token][embedding]: what its router would see
	aheadIn   input

	x, norm, tmp []float32 // [token][embedding]
	q, attn      []float32 // [token][head][head dim]
	k, v         []float32 // [token][kv head][head dim]
	wide         []float32 // [token][projections that are split]
	window       []float32 // [position][channel]
	convolved    []float32 // [token][channel]
	rates        []float32 // [token][2*head] of gated delta nets
	nope         []float32 // [token][head]: what is not rotated of a query of latent attention
	before       []float32 // [token][embedding]: what the block was given
	gate, up     []float32 // [token or use][width]

	route                  routing
	gathered, experts      []float32 // [use][embedding]: what experts are given and what they return
	shared                 []float32 // [token][embedding]: what shared experts return
	sharedGate, sharedWide []float32 // [token][width]
	sharedWeight           []float32 // [token]

	in, heads, hidden, gatheredIn, sharedHidden input

	tileEnds []int
	tiles    [][]float32      // by worker: decoded tile
	scores   [][]float32      // by worker: attention weights
	kv       [][2][]float32   // by worker: keys and values of a head, as they are multiplied
	queries  []kernel.Inputs  // by worker: rounded for keys in blocks
	scratch  []kernel.Scratch // by worker: unpacked rows
	rounders []kernel.Rounder // by worker
}

// NewState starts an empty text.
func (d *Decoder) NewState() *State {
	n := d.workers.n
	s := &State{sequence: sequence{d: d, caches: make([]cache, d.Params.Blocks), past: make([]recurrent, d.Params.Blocks)},
		tiles: make([][]float32, n), scores: make([][]float32, n), kv: make([][2][]float32, n),
		queries: make([]kernel.Inputs, n), scratch: make([]kernel.Scratch, n), rounders: make([]kernel.Rounder, n)}
	for i := range s.caches {
		s.caches[i] = d.newCache(&d.w.layers[i])
	}
	for _, f := range d.freqs {
		s.ropes = append(s.ropes, ropeTable{frequencies: f})
	}
	return s
}

// Number says where a value stopped being finite.
type Number struct {
	Position int    // in the text
	Where    string // "the embedding", "block 2", "the logits"
}

func (e *Number) Error() string {
	return fmt.Sprintf("nn: position %d: a value of %s is not finite", e.Position, e.Where)
}

// Result is what Eval computes.
type Result struct {
	Logits [][]float32 // [token wanted][vocabulary]
	Routes [][]int64   // [block][expert]; rows of dense blocks are nil
}

// Eval appends tokens, each below Vocabulary, to the text and computes the logits of those from index first on;
// first may be len(tokens). The text stays as it was if it fails: with ctx's error or a *Number.
// The caller sees to it that the text does not outgrow Options.Context.
func (s *State) Eval(ctx context.Context, tokens []int32, first int, routes bool) (Result, error) {
	var r Result
	if s.d.opts.Layers {
		return r, errors.New("nn: a model whose blocks are read one after the other runs whole texts alone")
	}
	s.routes = nil
	if err := s.replay(ctx, &s.sequence); err != nil {
		return r, err
	}
	if routes {
		r.Routes = make([][]int64, s.d.Params.Blocks)
		s.routes = r.Routes
	}
	start := s.n
	for lo := 0; lo < len(tokens); lo += batchTokens {
		hi := min(len(tokens), lo+batchTokens)
		s.parts = append(s.parts[:0], part{&s.sequence, 0, hi - lo})
		logits, err := s.forward(ctx, tokens[lo:hi], upTo(max(0, first-lo), hi-lo))
		if err != nil {
			s.n = start
			return Result{}, err
		}
		r.Logits = append(r.Logits, logits...)
	}
	return r, nil
}

// grow is buf with room for n, which is its length; contents are lost when it has to move.
func grow(buf []float32, n int) []float32 {
	if cap(buf) < n {
		return make([]float32, n)
	}
	return buf[:n]
}

// mat makes *buf hold n rows of cols elements.
func mat(buf *[]float32, n, cols int) kernel.Mat {
	*buf = grow(*buf, n*cols)
	return kernel.Mat{Data: *buf, Stride: cols}
}
