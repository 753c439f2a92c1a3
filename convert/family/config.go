package family

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// Config is a checkpoint's config.json as it stands, without any library's defaults.
// Its getters remember the first error; ask Err after reading.
type Config struct {
	fields map[string]any
	err    *error
	read   map[string]bool // fields asked for: the others are Unread
}

// maxDim bounds every integer taken from a config, so that products of two stay in range.
const maxDim = 1<<31 - 1

// ParseConfig reads the text of config.json.
func ParseConfig(text []byte) (Config, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // 10000 and 10000.0 are different things here
	var v any
	if err := d.Decode(&v); err != nil {
		return Config{}, fmt.Errorf("config.json: not valid JSON at byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Config{}, fmt.Errorf("config.json: not valid JSON at byte %d: text after the end", d.InputOffset())
	}
	m, ok := v.(map[string]any)
	if !ok {
		return Config{}, fmt.Errorf("config.json: must be an object, got %s", show(v))
	}
	if text, ok := m["text_config"].(map[string]any); ok { // a multimodal model: its text part is the model
		for k, v := range text {
			if k != "architectures" || m[k] == nil {
				m[k] = v
			}
		}
		delete(m, "text_config")
	}
	return Config{fields: m, err: new(error), read: map[string]bool{}}, nil
}

// With is the config with another value of a field: what encoding/json makes of it, with json.Number for numbers.
func (c Config) With(key string, v any) Config {
	c.fields = maps.Clone(c.fields)
	c.fields[key] = v
	return c
}

// WithInt is With for an integer.
func (c Config) WithInt(key string, n int64) Config {
	return c.With(key, json.Number(strconv.FormatInt(n, 10)))
}

// Tied reports whether the embedding serves as output too.
func (c Config) Tied() bool {
	return c.BoolOr("tie_word_embeddings", c.BoolOr("tie_embedding", false))
}

// Class is the first entry of "architectures".
func (c Config) Class() (string, error) {
	v, ok := c.fields["architectures"]
	if !ok || v == nil {
		return "", fmt.Errorf("config.json: no architectures")
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return "", fmt.Errorf("config.json: architectures must be a list of names, got %s", show(v))
	}
	s, ok := list[0].(string)
	if !ok || s == "" {
		return "", fmt.Errorf("config.json: architectures must be a list of names, got %s", show(v))
	}
	return s, nil
}

// get is a field's value; asking makes it known.
func (c Config) get(key string) (v any, ok bool) {
	c.read[key] = true
	v, ok = c.fields[key]
	return v, ok
}

// Err is the first error of the getters, nil if all went well.
func (c Config) Err() error { return *c.err }

func (c Config) fail(format string, args ...any) {
	if *c.err == nil {
		*c.err = fmt.Errorf("config.json: "+format, args...)
	}
}

// Has reports whether a field is there and not null.
func (c Config) Has(key string) bool {
	v, _ := c.get(key)
	return v != nil
}

// First is the first of keys that config.json has, be it null: the converter's aliases ("" if there is none).
func (c Config) First(keys ...string) string {
	for _, k := range keys {
		if _, ok := c.get(k); ok {
			return k
		}
	}
	return ""
}

// harmless are fields that change neither the graph nor the metadata.
var harmless = []string{
	"_name_or_path", "architectures", "attention_dropout", "attn_implementation", "auto_map", "aux_loss_alpha", "bos_token_id",
	"dtype", "embd_pdrop", "eos_token_id", "ep_size", "hidden_dropout", "initializer_range", "model_type", "output_router_logits",
	"pad_token_id", "pretraining_tp", "resid_pdrop", "router_aux_loss_coef", "router_jitter_noise", "seq_aux", "tie_word_embeddings",
	"torch_dtype", "transformers_version", "unk_token_id", "use_cache",
}

// Unread lists, sorted, the fields that are set, that nothing has asked for and that are not known to be harmless.
func (c Config) Unread() []string {
	var out []string
	for k, v := range c.fields {
		if v != nil && v != false && !c.read[k] && !slices.Contains(harmless, k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// Raw is a field's decoded JSON value: nil, bool, string, json.Number, []any or map[string]any.
func (c Config) Raw(key string) any { return c.fields[key] }

// Fields are all fields, decoded with json.Number for numbers. Nobody may change them.
func (c Config) Fields() map[string]any { return c.fields }

// Int is an integer field; it must be there, and within 0 and 2^31-1.
func (c Config) Int(key string) int64 {
	v, ok := c.get(key)
	if !ok {
		c.fail("%s is missing", key)
		return 0
	}
	num, ok := v.(json.Number)
	if !ok {
		c.fail("%s must be an integer, got %s", key, show(v))
		return 0
	}
	if strings.ContainsAny(num.String(), ".eE") {
		c.fail("%s must be an integer, got %s", key, num)
		return 0
	}
	n, err := num.Int64()
	if err != nil || n > maxDim {
		c.fail("%s %s is out of range", key, num)
		return 0
	}
	if n < 0 {
		c.fail("%s must not be negative, got %d", key, n)
		return 0
	}
	return n
}

// Count is an integer field that must be at least 1.
func (c Config) Count(key string) int64 {
	v, ok := c.fields[key].(json.Number)
	if n, err := v.Int64(); ok && err == nil && n < 1 {
		c.fail("%s must be positive, got %d", key, n)
		return 0
	}
	return c.Int(key)
}

// CountOr is Count, or def where the field is absent or null.
func (c Config) CountOr(key string, def int64) int64 {
	if !c.Has(key) {
		return def
	}
	return c.Count(key)
}

// IntOr is Int, or def where the field is absent or null.
func (c Config) IntOr(key string, def int64) int64 {
	if !c.Has(key) {
		return def
	}
	return c.Int(key)
}

// Float is a number field, which must be there and fit a float32 once it is one.
func (c Config) Float(key string) float64 {
	v, ok := c.get(key)
	if !ok {
		c.fail("%s is missing", key)
		return 0
	}
	return c.float(key, v)
}

func (c Config) float(name string, v any) float64 {
	num, ok := v.(json.Number)
	if !ok {
		c.fail("%s must be a number, got %s", name, show(v))
		return 0
	}
	f, err := num.Float64()
	if err != nil || math.IsInf(float64(float32(f)), 0) {
		c.fail("%s %s is out of range", name, num)
		return 0
	}
	return f
}

// BoolOr is a true-or-false field, or def where it is absent or null.
func (c Config) BoolOr(key string, def bool) bool {
	v, _ := c.get(key)
	if v == nil {
		return def
	}
	b, ok := v.(bool)
	if !ok {
		c.fail("%s must be true or false, got %s", key, show(v))
	}
	return b
}

// StringOr is a text field, or def where it is absent or null.
func (c Config) StringOr(key, def string) string {
	v, _ := c.get(key)
	if v == nil {
		return def
	}
	s, ok := v.(string)
	if !ok {
		c.fail("%s must be a string, got %s", key, show(v))
	}
	return s
}

// Object is a field that holds an object, nil where it is absent or null.
func (c Config) Object(key string) map[string]any {
	v, _ := c.get(key)
	if v == nil {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		c.fail("%s must be an object, got %s", key, show(v))
	}
	return m
}

// checkOnly refuses values of which the family implements another alone.
func (c Config) checkOnly(f *Family, class string) error {
	for _, o := range append(slices.Clone(commonOnly), f.Only...) {
		if slices.Contains(f.Reads, o.Key) {
			continue
		}
		v, ok := c.get(o.Key)
		if !ok || v == nil || equalValue(v, o.Value) {
			continue
		}
		if err := sameKind(o, v); err != nil {
			return err
		}
		msg := fmt.Sprintf("config.json: %s %s is not supported for %s", o.Key, show(v), class)
		if o.Why != "" {
			msg += ": " + o.Why
		}
		return &gguf.UnsupportedError{Msg: msg}
	}
	return nil
}

// sameKind fails when v is of another JSON type than the value that is implemented.
func sameKind(o Only, v any) error {
	var ok bool
	var want string
	switch o.Value.(type) {
	case bool:
		_, ok = v.(bool)
		want = "true or false"
	case string:
		_, ok = v.(string)
		want = "a string"
	case int64, float64:
		_, ok = v.(json.Number)
		_, list := v.([]any) // one value a layer: valid, not implemented
		ok = ok || list
		want = "a number"
	default:
		ok = true
	}
	if !ok {
		return fmt.Errorf("config.json: %s must be %s, got %s", o.Key, want, show(v))
	}
	return nil
}

func equalValue(v, want any) bool {
	switch w := want.(type) {
	case int64:
		num, ok := v.(json.Number)
		n, err := num.Float64()
		return ok && err == nil && n == float64(w)
	case float64:
		num, ok := v.(json.Number)
		n, err := num.Float64()
		return ok && err == nil && n == w
	case nil:
		return emptyObject(v)
	}
	return v == want
}

func emptyObject(v any) bool {
	m, ok := v.(map[string]any)
	return ok && len(m) == 0
}

// show prints a JSON value for a message, cut to a readable length.
func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%v", v)
	}
	if s := []rune(string(b)); len(s) > 80 {
		return string(s[:77]) + "..."
	}
	return string(b)
}
