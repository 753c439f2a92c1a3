package family

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
)

// counts are integer fields that must be there and at least 1.
func (c Config) counts(keys ...string) {
	for _, k := range keys {
		c.Count(k)
	}
}

// checkSame holds a field against another name of it, where config.json has both.
func (c Config) checkSame(key, as string) error {
	if c.Has(key) && c.Has(as) && c.Int(key) != c.Int(as) {
		return fmt.Errorf("config.json: %s %d is not %s %d, and both say the same thing", key, c.Int(key), as, c.Int(as))
	}
	return c.Err()
}

// checkRopeType refuses kinds of scaled rotary embedding that are not among types, and those without the factor they need.
func (c Config) checkRopeType(types ...string) error {
	r := c.Rope().Full()
	kind := r.Type()
	if err := c.Err(); err != nil {
		return err
	}
	if kind != "" && kind != "default" && !slices.Contains(types, kind) {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: %s of type %s is not supported for this architecture: the positions would be wrong", r.name, kind)}
	}
	switch kind {
	case "yarn":
		r.Int("original_max_position_embeddings")
		r.positive("factor")
	case "linear":
		r.positive("factor")
	}
	return c.Err()
}

// positive is a number above 0, which must be there.
func (r Rope) positive(key string) float64 {
	f := r.Float(key)
	if r.c.Err() == nil && !(f > 0) {
		r.c.fail("%s.%s must be positive, got %v", r.name, key, f)
	}
	return f
}

// checkLayerTypes holds layer_types against the kinds of attention that llama.cpp takes for granted.
func (c Config) checkLayerTypes(want func(block int) string) error {
	v, _ := c.get("layer_types")
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok || int64(len(list)) != c.Count("num_hidden_layers") {
		return fmt.Errorf("config.json: layer_types must be a list of num_hidden_layers names, got %s", show(v))
	}
	for b, kind := range list {
		if kind != want(b) {
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: layer_types: layer %d is %s, llama.cpp takes it for %s in this architecture", b, show(kind), want(b))}
		}
	}
	return c.Err()
}
