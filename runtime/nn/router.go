package nn

import (
	"math"
	"slices"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// routing says which experts each token uses, and in which order uses are computed: sorted by expert.
type routing struct {
	used   int       // slots of a token
	logits []float32 // [token][expert]
	score  []float32 // [expert] by which a token's are chosen
	expert []int     // [token][slot]
	weight []float32 // [token][slot]
	starts []int     // [expert+1] first use of an expert
	use    []int     // [token][slot] -> use
	token  []int     // [use-base] -> token
	only   []bool    // [expert] whose uses are being computed; nil: all
	base   int       // the first of these uses
}

func growInts(buf []int, n int) []int {
	if cap(buf) < n {
		return make([]int, n)
	}
	return buf[:n]
}

// choose takes the top experts of n tokens from the router's logits, with a bias that counts for the choice alone.
func (r *routing) choose(p Params, bias vector, n int) {
	r.used = p.Used
	r.expert, r.weight, r.score = growInts(r.expert, n*p.Used), grow(r.weight, n*p.Used), grow(r.score, p.Experts)
	for t := range n {
		logits := r.logits[t*p.Experts:][:p.Experts]
		chosen, weights := r.expert[t*p.Used:][:p.Used], r.weight[t*p.Used:][:p.Used]
		if p.Original.Jitter > 0 {
			sparseMixer(logits, chosen, weights, p.Original.Jitter)
			continue
		}
		copy(r.score, logits)
		gate(logits, p.Gate)
		if !p.Graph.WeightFirst { // Llama 4 chooses by logits
			copy(r.score, logits)
		}
		if bias != nil {
			add(r.score, bias)
		}
		maskGroups(r.score, p.Groups, p.GroupsUsed)
		top(r.score, chosen)
		for i, e := range chosen {
			weights[i] = logits[e]
		}
		p.finishWeights(weights)
	}
}

// gate turns logits into what experts weigh.
func gate(logits []float32, f family.GatingFunc) {
	switch f {
	case family.Softmax:
		kernel.Softmax(logits, 1)
	case family.Sigmoid:
		for i, v := range logits {
			logits[i] = sigmoid(v)
		}
	}
}

func (p *Params) finishWeights(weights []float32) {
	if p.Gate == family.SoftmaxUsed {
		kernel.Softmax(weights, 1)
	}
	if p.Normalize {
		sum := float32(0)
		for _, w := range weights {
			sum += w
		}
		sum = max(sum, 6.103515625e-5) // the reference's: the smallest normal f16
		for i := range weights {
			weights[i] /= sum
		}
	}
	if p.WeightScale != 1 {
		scale(weights, p.WeightScale)
	}
}

// maskGroups leaves the experts of the groups whose two best have the largest sums.
func maskGroups(score []float32, groups, used int) {
	if groups <= 1 {
		return
	}
	size := len(score) / groups
	sums, best, kept := make([]float32, groups), make([]int, 2), make([]int, used)
	for g := range sums {
		group := score[g*size:][:size]
		top(group, best)
		sums[g] = group[best[0]] + group[best[1]]
	}
	top(sums, kept)
	for g := range sums {
		if !slices.Contains(kept, g) {
			for i := range size {
				score[g*size+i] = float32(math.Inf(-1))
			}
		}
	}
}

// sparseMixer is Phi-3.5-MoE's own choice of experts (arXiv 2409.12136, as in transformers): each of the largest
// logits is weighed by softmax over those that lie within twice jitter of it, in proportion.
func sparseMixer(logits []float32, chosen []int, weights []float32, jitter float32) {
	top(logits, chosen)
	near := make([]float32, 0, len(logits))
	for i, e := range chosen {
		largest := logits[e]
		near = append(near[:0], largest)
		for j, v := range logits {
			magnitude := max(float32(math.Abs(float64(v))), largest)
			if !slices.Contains(chosen[:i+1], j) && !((largest-v)/magnitude > 2*jitter) {
				near = append(near, v)
			}
		}
		kernel.Softmax(near, 1)
		weights[i] = near[0]
	}
}

// top fills chosen with the indices of the largest values, largest first; of equals the first. Any values are safe.
func top(values []float32, chosen []int) {
	for i := range chosen {
		best := -1
		for e, v := range values {
			if (best < 0 || v > values[best]) && !slices.Contains(chosen[:i], e) {
				best = e
			}
		}
		chosen[i] = best
	}
}

// sort orders the uses by expert, and by token within: those of the experts in only, nil for all. They count on from base;
// the places of other uses stay.
func (r *routing) sort(experts int, only []bool, base int) {
	r.only, r.base = only, base
	r.starts, r.use = growInts(r.starts, experts+1), growInts(r.use, len(r.expert))
	clear(r.starts)
	for slot, e := range r.expert {
		if r.has(slot) {
			r.starts[e+1]++
		}
	}
	for e := range experts {
		r.starts[e+1] += r.starts[e]
	}
	r.token = growInts(r.token, r.starts[experts])
	next := slices.Clone(r.starts)
	for slot, e := range r.expert {
		if r.has(slot) {
			r.use[slot] = base + next[e]
			r.token[next[e]] = slot / r.used
			next[e]++
		}
	}
}

// has reports whether a use is among those being computed.
func (r *routing) has(slot int) bool { return r.only == nil || r.only[r.expert[slot]] }
