package recipes

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
)

// Fix is a defect of the reference that a recipe mends, as it was found in one model.
type Fix struct {
	Name    string `json:"name"`
	Key     string `json:"key"`
	Before  string `json:"before"` // the reference's value, empty: no such key
	After   string `json:"after"`
	Changed bool   `json:"changed"` // false: the reference already writes this value
}

// fixKinds maps the names of fixes to the metadata they mend and how their value is read.
var fixKinds = map[string]struct {
	key   string
	value func(r *Recipe, v any) (any, error)
}{
	"tokenizer.add_bos": {"tokenizer.ggml.add_bos_token", boolFix},
	"tokenizer.add_eos": {"tokenizer.ggml.add_eos_token", boolFix},
	"chat_template":     {"tokenizer.chat_template", textFix},
	allDefects:          {"", boolFix},
}

// allDefects is the fix that mends every defect which the conversion reproduced and whose right value is known.
const allDefects = "reference_defects"

func boolFix(_ *Recipe, v any) (any, error) {
	b, ok := v.(bool)
	if !ok {
		return nil, fmt.Errorf("want true or false, got %v", v)
	}
	return b, nil
}

// textFix is a string, or the content of file:NAME beside the recipe.
func textFix(r *Recipe, v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("want text or file:NAME, got %v", v)
	}
	name, ok := strings.CutPrefix(s, "file:")
	if !ok {
		return s, nil
	}
	b, err := os.ReadFile(r.path(name))
	return string(b), err
}

// path is a file name of the recipe, taken relative to the recipe's own folder.
func (r *Recipe) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.origin), name)
}

func (r *Recipe) checkFixes() error {
	for i, f := range r.Fixes {
		if len(f) != 1 {
			return r.errorf("key fixes[%d]: want one NAME: value", i)
		}
		for name := range f {
			if _, ok := fixKinds[name]; !ok {
				return r.errorf("key fixes[%d]: fix %q is not known; there are %s", i, name, strings.Join(slices.Sorted(maps.Keys(fixKinds)), ", "))
			}
		}
	}
	return nil
}

// applyFixes mends md, whose conversion reproduced the given defects, and tells what it changed.
func (r *Recipe) applyFixes(md *gguf.Metadata, defects []convert.Quirk) ([]Fix, error) {
	var out []Fix
	for _, f := range r.Fixes {
		for name, v := range f {
			kind := fixKinds[name]
			val, err := kind.value(r, v)
			if err != nil {
				return nil, r.errorf("fix %s: %v", name, err)
			}
			switch {
			case name != allDefects:
				out = append(out, mend(md, name, kind.key, val))
			case val == true:
				for _, d := range defects {
					if d.Right != nil {
						out = append(out, mend(md, name, d.Key, d.Right))
					}
				}
			}
		}
	}
	return out, nil
}

func mend(md *gguf.Metadata, name, key string, val any) Fix {
	fix := Fix{Name: name, Key: key, After: brief(val)}
	before, had := md.Get(key)
	if had {
		fix.Before = brief(before)
	}
	fix.Changed = !had || before != val
	md.Set(key, val)
	return fix
}

func brief(v any) string {
	s := fmt.Sprint(v)
	if len(s) > 60 {
		return fmt.Sprintf("%.57s... (%d bytes)", s, len(s))
	}
	return s
}

// valueTypes reads a recipe's {type: value} into the metadata type of that name.
var valueTypes = map[string]func(any) (any, bool){
	"str":  func(v any) (any, bool) { s, ok := v.(string); return s, ok },
	"bool": func(v any) (any, bool) { b, ok := v.(bool); return b, ok },
	"u32":  func(v any) (any, bool) { n, ok := v.(int); return uint32(n), ok && n >= 0 && n < 1<<32 },
	"i32":  func(v any) (any, bool) { n, ok := v.(int); return int32(n), ok && n >= -1<<31 && n < 1<<31 },
	"f32": func(v any) (any, bool) {
		switch n := v.(type) {
		case float64:
			return float32(n), true
		case int:
			return float32(n), true
		}
		return nil, false
	},
}

func (r *Recipe) checkMetadata() error { return r.applyMetadata(&gguf.Metadata{}) }

// applyMetadata sets the recipe's own keys, in key order.
func (r *Recipe) applyMetadata(md *gguf.Metadata) error {
	for _, key := range slices.Sorted(maps.Keys(r.Metadata)) {
		if len(r.Metadata[key]) != 1 {
			return r.errorf("key metadata.%s: want {TYPE: value}", key)
		}
		for typ, v := range r.Metadata[key] {
			read, ok := valueTypes[typ]
			if !ok {
				return r.errorf("key metadata.%s: type %q is not one of %s", key, typ, strings.Join(slices.Sorted(maps.Keys(valueTypes)), ", "))
			}
			val, ok := read(v)
			if !ok {
				return r.errorf("key metadata.%s: %v is not a %s", key, v, typ)
			}
			md.Set(key, val)
		}
	}
	return nil
}
