package verify

import (
	"math"
	"math/rand/v2"
	"testing"
)

// heavy is a text whose chunks differ, and of whose divergence a twentieth of the chunks make a third: in each of them a token
// goes to another expert.
func heavy(rng *rand.Rand, chunks int) (*text, [][]position) {
	t := &text{context: 128, chunks: chunks, tokens: make([]int32, 128*chunks)}
	out := make([][]position, chunks)
	for i := range out {
		harder, noise := math.Exp(0.4*rng.NormFloat64()), math.Exp(0.3*rng.NormFloat64())
		for range t.scored() {
			base := 2.4 * harder * rng.ExpFloat64()
			p := position{base: base, nll: base + 0.02*noise*rng.NormFloat64() + 0.002, kld: 2e-4 * noise * math.Exp(rng.NormFloat64()), same: rng.Float64() > 0.03*harder}
			out[i] = append(out[i], p)
		}
		if rng.Float64() < 0.05 {
			out[i][rng.IntN(t.scored())].kld += 0.1 * math.Exp(0.5*rng.NormFloat64())
		}
	}
	return t, out
}

// Of skewed chunks intervals hold the whole text's figures for 93% of seeds at least: the divergence's mean, of which a
// sample may miss what makes much of it, from four times as many chunks on as the others.
func TestCoverageOfIntervals(t *testing.T) {
	const seeds = 300
	names := []string{"perplexity", "ratio", "same top token", "median", "99%", "mean divergence"}
	var held, of [6]int
	for population := range uint64(3) {
		x, chunks := heavy(rand.New(rand.NewPCG(population, 1)), 400)
		var all []position
		for _, c := range chunks {
			all = append(all, c...)
		}
		whole := x.statistics(all)
		for seed := range uint64(seeds) {
			for _, n := range []int{minChunks, 4 * minChunks} {
				drawn := *x
				drawn.pick(PerplexityOptions{Random: true, Seed: seed, Chunks: n})
				var some []position
				for _, i := range drawn.picks {
					some = append(some, chunks[i]...)
				}
				d := drawn.statistics(some)
				for k, c := range []struct {
					*Interval
					v float64
				}{{&d.PPL.Interval, whole.PPL.PPL}, {&d.RatioInterval, whole.Ratio}, {&d.SameTopInterval, whole.SameTop}, {d.MedianInterval, whole.Median}, {d.P99Interval, whole.P99}, {&d.MeanInterval, whole.Mean}} {
					if c.Interval == nil || k == 5 && n == minChunks {
						continue
					}
					of[k]++
					if c.Low <= c.v && c.v <= c.High {
						held[k]++
					}
				}
			}
		}
	}
	for k, name := range names {
		share := float64(held[k]) / float64(of[k])
		t.Logf("%s: %.3f", name, share)
		if share < 0.93 {
			t.Errorf("%s: its interval holds for %.3f of seeds", name, share)
		}
	}
}
