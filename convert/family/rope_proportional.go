package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// checkProportionalRope refuses rotary embedding other than proportional for full attention and plain for sliding.
func (c Config) checkProportionalRope() error {
	if !c.Has("rope_parameters") {
		return fmt.Errorf("config.json: rope_parameters is missing")
	}
	full, sliding := c.Rope().Full(), c.Rope().Sliding()
	full.Float("rope_theta")
	if f := full.Float("partial_rotary_factor"); c.Err() == nil && (f < 0 || f > 1) {
		c.fail("rope_parameters: partial_rotary_factor must be within 0 and 1, got %v", f)
	}
	kind, other := full.Type(), sliding.Type()
	if err := c.Err(); err != nil {
		return err
	}
	if kind != "proportional" || other != "default" && other != "" {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: rope_parameters of types %q and %q are not supported for this architecture: it must be proportional for full and default for sliding attention", kind, other)}
	}
	return nil
}

// proportionalRope rotates the first part of each half of a head of dim elements and leaves the others where they
// are: their frequencies are divided to nothing.
func proportionalRope(c Config, dim int64) []Computed {
	rotated := int64(float64(dim) * c.Rope().Full().Float("partial_rotary_factor") / 2)
	if dim > maxRotated {
		c.fail("heads of %d elements are too large", dim)
	}
	if c.Err() != nil {
		return nil
	}
	out := make([]float32, dim/2)
	for i := range out {
		if out[i] = 1; int64(i) >= rotated {
			out[i] = 1e30
		}
	}
	return []Computed{{names.RopeFreqs, out}}
}
