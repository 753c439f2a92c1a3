package family

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// Rope is what config.json says of rotary embedding, wherever it says it: transformers 5 writes
// rope_parameters, before it was rope_scaling beside single fields.
type Rope struct {
	c      Config
	name   string
	fields map[string]any
}

// Rope gathers the fields of rotary embedding as the reference converter does.
func (c Config) Rope() Rope {
	r := Rope{c: c, name: c.First("rope_parameters", "rope_scaling"), fields: map[string]any{}}
	if r.name != "" {
		maps.Copy(r.fields, c.Object(r.name))
	}
	theta := c.First("global_rope_theta", "rope_global_theta", "rope_theta_global", "rope_theta", "rotary_emb_base")
	local := c.First("local_rope_theta", "rope_local_theta", "rope_theta_local", "swa_rope_theta", "rope_local_base_freq")
	if r.fields["full_attention"] != nil || r.fields["sliding_attention"] != nil {
		return r
	}
	if local != "" && c.Raw(local) != nil {
		r.fields["sliding_attention"] = map[string]any{"rope_theta": c.Raw(local)}
	}
	for key, from := range map[string]string{"rope_theta": theta, "rope_type": "", "partial_rotary_factor": c.First("partial_rotary_factor", "rope_pct", "rope_percent"),
		"original_max_position_embeddings": c.First("original_max_position_embeddings")} {
		if _, ok := r.fields[key]; !ok && from != "" && c.Raw(from) != nil {
			r.fields[key] = c.Raw(from)
		}
	}
	if _, ok := r.fields["rope_type"]; !ok && r.fields["type"] != nil {
		r.fields["rope_type"] = r.fields["type"]
	}
	return r
}

// Full is the part for full attention, where layers of sliding attention have one of their own.
func (r Rope) Full() Rope { return r.part("full_attention", r) }

// Sliding is the part for layers of sliding attention; it may be empty.
func (r Rope) Sliding() Rope { return r.part("sliding_attention", Rope{c: r.c}) }

func (r Rope) part(key string, def Rope) Rope {
	if m, ok := r.fields[key].(map[string]any); ok {
		return Rope{r.c, r.name + "." + key, m}
	}
	return def
}

// Type is rope_type; empty where there is none.
func (r Rope) Type() string {
	s, ok := r.fields["rope_type"].(string)
	if !ok && r.fields["rope_type"] != nil {
		r.c.fail("%s.rope_type must be a string, got %s", r.name, show(r.fields["rope_type"]))
	}
	return s
}

// Has reports whether a field is there and not null.
func (r Rope) Has(key string) bool { return r.fields[key] != nil }

func (r Rope) isFalse(key string) bool { return r.fields[key] == false }

// Float is a number field, which must be there.
func (r Rope) Float(key string) float64 {
	if !r.Has(key) {
		r.c.fail("%s.%s is missing", r.name, key)
		return 0
	}
	return r.c.float(r.name+"."+key, r.fields[key])
}

// Int is an integer field, which must be there.
func (r Rope) Int(key string) int64 {
	f := r.Float(key)
	if f != math.Trunc(f) || f < 0 || f > maxDim {
		r.c.fail("%s.%s must be an integer, got %s", r.name, key, show(r.fields[key]))
		return 0
	}
	return int64(f)
}

// Floats is a field that is a list of numbers.
func (r Rope) Floats(key string) []float64 {
	list, ok := r.fields[key].([]any)
	if !ok {
		r.c.fail("%s.%s must be a list of numbers, got %s", r.name, key, show(r.fields[key]))
		return nil
	}
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = r.c.float(fmt.Sprintf("%s.%s[%d]", r.name, key, i), v)
	}
	return out
}

// ropeKeys writes what the reference writes of rotary embedding for every model.
func ropeKeys(c Config, md *gguf.Metadata) {
	all := c.Rope()
	r := all.Full()
	set := func(key string, v any) { md.Set(md.ArchKey(key), v) }
	switch kind := r.Type(); {
	case kind == "linear" && r.Has("factor"):
		set("rope.scaling.type", "linear")
		set("rope.scaling.factor", float32(r.Float("factor")))
	case kind == "yarn" && r.Has("factor"):
		yarnKeys(r, set)
	case kind == "su" || kind == "longrope":
		set("rope.scaling.type", "longrope")
	}
	if all.Has("mrope_section") {
		var sections [4]int32
		copySections(sections[:], all.Floats("mrope_section"))
		set("rope.dimension_sections", sections[:])
	}
	if r.Has("rope_theta") {
		set("rope.freq_base", float32(r.Float("rope_theta")))
	}
	if s := all.Sliding(); s.Has("rope_theta") {
		set("rope.freq_base_swa", float32(s.Float("rope_theta")))
	}
}

func copySections(dst []int32, src []float64) {
	for i := range min(len(dst), len(src)) {
		dst[i] = int32(src[i])
	}
}

func yarnKeys(r Rope, set func(string, any)) {
	set("rope.scaling.type", "yarn")
	set("rope.scaling.factor", float32(r.Float("factor")))
	set("rope.scaling.original_context_length", uint32(r.Int("original_max_position_embeddings")))
	for _, o := range []struct{ field, key string }{
		{"extrapolation_factor", "rope.scaling.yarn_ext_factor"},
		{"attention_factor", "rope.scaling.yarn_attn_factor"},
		{"beta_fast", "rope.scaling.yarn_beta_fast"},
		{"beta_slow", "rope.scaling.yarn_beta_slow"},
	} {
		if field := o.field; r.Has(field) {
			set(o.key, float32(r.Float(field)))
		} else if field == "attention_factor" && r.Has("attn_factor") {
			set(o.key, float32(r.Float("attn_factor")))
		}
	}
}

// checkNoRopeScaling refuses scaled rotary embedding for families that have none.
func (c Config) checkNoRopeScaling(class string) error {
	for _, name := range []string{"rope_scaling", "rope_parameters"} {
		for k, v := range c.Object(name) {
			plain := k == "rope_theta" || (k == "type" || k == "rope_type") && v == "default" || v == nil || k == "partial_rotary_factor" && v == json.Number("1.0")
			if !plain {
				return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: %s %s is not supported for %s: the positions would be wrong", name, show(c.Raw(name)), class)}
			}
		}
	}
	return c.Err()
}
