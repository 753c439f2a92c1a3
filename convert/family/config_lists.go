package family

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
)

// Ints is a field that is a list of integers within 0 and 2^31-1; nil where it is absent or null.
func (c Config) Ints(key string) []int64 {
	list := c.list(key, "integers")
	out := make([]int64, 0, len(list))
	for i, v := range list {
		num, ok := v.(json.Number)
		n, err := num.Int64()
		if !ok || err != nil || n < 0 || n > maxDim {
			c.fail("%s[%d] must be an integer, got %s", key, i, show(v))
			return nil
		}
		out = append(out, n)
	}
	return out
}

// Strings is a field that is a list of texts; nil where it is absent or null.
func (c Config) Strings(key string) []string {
	list := c.list(key, "strings")
	out := make([]string, 0, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			c.fail("%s[%d] must be a string, got %s", key, i, show(v))
			return nil
		}
		out = append(out, s)
	}
	return out
}

func (c Config) list(key, of string) []any {
	v, _ := c.get(key)
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		c.fail("%s must be a list of %s, got %s", key, of, show(v))
	}
	return list
}

// checkLayerKinds refuses a layer_types that does not name one of known for each layer.
func (c Config) checkLayerKinds(known ...string) error {
	kinds, layers := c.Strings("layer_types"), c.Count("num_hidden_layers")
	if err := c.Err(); err != nil {
		return err
	}
	if int64(len(kinds)) != layers {
		return fmt.Errorf("config.json: layer_types has %d entries, num_hidden_layers is %d", len(kinds), layers)
	}
	for i, kind := range kinds {
		if !slices.Contains(known, kind) {
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: layer_types: layer %d is %q, supported are %q", i, kind, known)}
		}
	}
	return nil
}

// checkSameInts refuses a list of numbers, one for each layer, that are not all the same.
func (c Config) checkSameInts(key string) error {
	list := c.Ints(key)
	if err := c.Err(); err != nil {
		return err
	}
	if len(list) == 0 || list[0] == 0 {
		return fmt.Errorf("config.json: %s must be a list with a positive number for each layer", key)
	}
	for _, n := range list {
		if n != list[0] {
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: %s %s is not supported: llama.cpp takes one value for all layers", key, show(c.Raw(key)))}
		}
	}
	return nil
}
