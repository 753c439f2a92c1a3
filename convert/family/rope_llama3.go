package family

import (
	"encoding/json"
	"math"

	"github.com/moeconv/moeconv/gguf/names"
)

// maxRotated bounds the size of heads for which divisors of frequencies are made.
const maxRotated = 1 << 16

// llama3Rope makes the divisors of rotary frequencies that Llama-3's scaling calls for; none where config.json has another.
func llama3Rope(c Config) []Computed {
	r := c.Rope().Full()
	if r.Type() != "llama3" {
		return nil
	}
	dim := c.headDim()
	s := llama3Scaling{
		factor: float32(r.floatOr("factor", 8)), low: float32(r.floatOr("low_freq_factor", 1)),
		span: float32(r.floatOr("high_freq_factor", 4) - r.floatOr("low_freq_factor", 1)),
	}
	context := r.floatOr("original_max_position_embeddings", 8192)
	s.context = float32(context)
	s.longest, s.shortest = float32(context/r.floatOr("low_freq_factor", 1)), float32(context/r.floatOr("high_freq_factor", 4))
	base := float64(float32(r.floatOr("rope_theta", 10000)))
	if dim > maxRotated {
		c.fail("heads of %d elements are too large", dim)
	}
	if c.Err() != nil {
		return nil
	}
	out := make([]float32, 0, dim/2)
	for i := int64(0); i < dim; i += 2 {
		freq := 1 / float32(math.Pow(base, float64(float32(i)/float32(dim))))
		out = append(out, s.divisor(1/freq*float32(2*math.Pi)))
	}
	return []Computed{{names.RopeFreqs, out}}
}

// llama3Scaling is the scaling in F32, operation by operation as the reference's tensors compute it.
type llama3Scaling struct{ factor, low, span, context, longest, shortest float32 }

// divisor is that of the frequency with the given wavelength.
func (s llama3Scaling) divisor(wavelength float32) float32 {
	switch {
	case wavelength < s.shortest:
		return 1
	case wavelength > s.longest:
		return s.factor
	}
	smooth := (float32(1/wavelength*s.context) - s.low) / s.span
	return 1 / (float32((1-smooth)/s.factor) + smooth)
}

// withTheta gives rotary embedding a base where config.json has none: that of the model's class in transformers.
func (c Config) withTheta(theta string) Config {
	if c.Rope().Full().Has("rope_theta") {
		return c
	}
	return c.With("rope_theta", json.Number(theta))
}

// floatOr is Float, or def where the field is absent or null.
func (r Rope) floatOr(key string, def float64) float64 {
	if !r.Has(key) {
		return def
	}
	return r.Float(key)
}
