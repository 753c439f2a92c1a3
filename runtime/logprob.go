package runtime

import (
	"cmp"
	"math"
	"slices"
)

// Logprob is a token and the natural logarithm of its probability.
type Logprob struct {
	ID      int32
	Logprob float64
}

// logprobs is the log-probability of id and of the n most likely tokens, best first; among equals the lower id is first.
func logprobs(logits []float32, id int32, n int) (float64, []Logprob) {
	best := float64(slices.Max(logits))
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - best)
	}
	norm := best + math.Log(sum)
	at := func(id int32) float64 { return float64(logits[id]) - norm }
	var top []Logprob
	for i := range int32(len(logits)) {
		if p := at(i); n > 0 && (len(top) < n || p > top[len(top)-1].Logprob) {
			where, _ := slices.BinarySearchFunc(top, p, func(t Logprob, p float64) int {
				if t.Logprob == p {
					return -1
				}
				return cmp.Compare(p, t.Logprob)
			})
			top = slices.Insert(top, where, Logprob{i, p})
			top = top[:min(n, len(top))]
		}
	}
	return at(id), top
}
