package convert

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// overrideFile is what messages call the file of Options.Metadata.
const overrideFile = "metadata override"

// override replaces what a model says about itself by the keys of a metadata file, JSON in the reference converter's
// form: names of GGUF keys, lists of objects under general.base_models and general.datasets. A null takes a key away.
// It returns the keys that nothing was done with; the reference passes over them in silence.
func (c *modelCard) override(text []byte) (ignored []string, err error) {
	v, err := cardJSON(bytes.TrimPrefix(text, []byte("\ufeff")))
	if err != nil {
		return nil, cardErrorf(overrideFile, "not valid JSON: %v", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, cardErrorf(overrideFile, "is %s, not an object", describeValue(v))
	}
	m = maps.Clone(m)
	take := func(key string) (any, bool) {
		v, ok := m[key]
		delete(m, key)
		return v, ok
	}
	c.overrideSampling(take)
	c.overridden = map[string]bool{}
	for _, k := range scalarKeys {
		key := "general." + cmp.Or(k[1], k[0])
		if k[0] == "license" { // not among the keys that the reference takes
			continue
		}
		if v, ok := take(key); ok {
			c.set(k[0], v)
			c.overridden[key] = true
		}
	}
	if err := c.overrideLists(take); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(m)), nil
}

// overrideSampling replaces sampling defaults, in file order.
func (c *modelCard) overrideSampling(take func(string) (any, bool)) {
	var fs []cardField
	for _, k := range samplingKeys {
		key := "general.sampling." + k.key
		v, ok := take(key)
		if !ok {
			if i := slices.IndexFunc(c.sampling, func(f cardField) bool { return f.key == key }); i >= 0 {
				fs = append(fs, c.sampling[i])
			}
			continue
		}
		if v != nil && (k.typ != gguf.String || pyTruthy(v)) {
			fs = append(fs, cardField{key, k.typ, v, overrideFile})
		}
	}
	c.sampling = fs
}

func (c *modelCard) overrideLists(take func(string) (any, bool)) error {
	for _, l := range []struct {
		key string
		to  **[]map[string]any
	}{{"general.base_models", &c.bases}, {"general.datasets", &c.datasets}} {
		v, ok := take(l.key)
		if !ok {
			continue
		}
		entries, err := overrideEntries(l.key, v)
		if err != nil {
			return err
		}
		*l.to = entries
	}
	for _, l := range []struct {
		key string
		to  *[]any
	}{{"general.tags", &c.tags}, {"general.languages", &c.langs}} {
		v, ok := take(l.key)
		if !ok {
			continue
		}
		list, isList := v.([]any)
		if !isList && v != nil { // of a text the reference would make a list of its letters
			return cardErrorf(overrideFile, "%s is %s, not a list", l.key, describeValue(v))
		}
		for i := range list {
			list[i] = overrideNumber(list[i])
		}
		*l.to = list
		c.overridden[l.key] = true
	}
	return nil
}

// overrideNumber is a number as the model card's YAML has it.
func overrideNumber(v any) any {
	num, ok := v.(json.Number)
	if !ok {
		return v
	}
	if n, err := num.Int64(); err == nil {
		return n
	}
	if x, err := num.Float64(); err == nil && strings.ContainsAny(num.String(), ".eE") {
		return x
	}
	return v
}

// origin is the file that a key's value comes from, for messages.
func (c *modelCard) origin(key string) string {
	if c.overridden[key] {
		return overrideFile
	}
	return "README.md"
}

// overrideEntries reads a list of models or datasets; nil for null.
func overrideEntries(key string, v any) (*[]map[string]any, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, cardErrorf(overrideFile, "%s is %s, not a list of objects", key, describeValue(v))
	}
	entries := []map[string]any{}
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil, cardErrorf(overrideFile, "%s holds %s, not an object", key, describeValue(e))
		}
		entries = append(entries, m)
	}
	return &entries, nil
}
