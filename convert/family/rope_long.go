package family

import (
	"fmt"
	"math"
)

// checkLong holds the two lists of factors of a context that was stretched unevenly against the size of a head.
func (r Rope) checkLong(head int64) error {
	if !r.Has("long_factor") {
		return r.c.Err()
	}
	long, short, want := len(r.Floats("long_factor")), len(r.Floats("short_factor")), head/2
	if r.c.Err() == nil && (int64(long) != want || int64(short) != want) {
		return fmt.Errorf("config.json: %s: long_factor and short_factor have %d and %d numbers, heads of %d need %d", r.name, long, short, 2*want, want)
	}
	if r.Type() == "" || r.Type() == "default" {
		return fmt.Errorf("config.json: %s: long_factor without a type", r.name)
	}
	return r.c.Err()
}

// longAttention is by how much attention is scaled for a context longer than the one of training.
// For longrope it is sqrt(1+ln(s)/ln(original)), from LongRoPE (arXiv 2402.13753); for yarn 1+0.1*ln(s).
func (r Rope) longAttention(context int64) float64 {
	original := float64(r.Int("original_max_position_embeddings"))
	scale := float64(context) / original
	switch {
	case !(scale > 1):
		return 1
	case r.Type() == "yarn":
		return 0.1*math.Log(scale) + 1
	}
	return math.Sqrt(1 + math.Log(scale)/math.Log(original))
}

// longComputed are the factors as tensors; none where there are no factors.
func (r Rope) longComputed() []Computed {
	if !r.Has("long_factor") {
		return nil
	}
	return []Computed{{"rope_factors_long", float32s(r.Floats("long_factor"))}, {"rope_factors_short", float32s(r.Floats("short_factor"))}}
}

func float32s(list []float64) []float32 {
	out := make([]float32, len(list))
	for i, v := range list {
		out[i] = float32(v)
	}
	return out
}
