package quantize

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// KeyValue is a metadata key to set in the output: a uint32, float32, bool or string.
type KeyValue struct {
	Key   string
	Value any
}

// Room that the reference has for a key and for a string.
const maxOverride = 127

// ParseKeyValue reads llama-quantize's KEY=TYPE:VALUE, TYPE being int, float, bool or str. As there, an int becomes
// a UINT32 without its sign; what would not fit is refused.
func ParseKeyValue(s string) (KeyValue, error) {
	key, rest, ok := strings.Cut(s, "=")
	typ, text, typed := strings.Cut(rest, ":")
	kv := KeyValue{Key: key}
	fail := func(format string, args ...any) (KeyValue, error) {
		return KeyValue{}, fmt.Errorf("quantize: override %.80q: "+format, append([]any{s}, args...)...)
	}
	if !ok || !typed || key == "" || len(key) > maxOverride {
		return fail("want KEY=TYPE:VALUE, KEY of at most %d bytes", maxOverride)
	}
	if key == "general.alignment" || strings.HasPrefix(key, "split.") {
		return fail("%s says where tensors lie and cannot be overridden", key)
	}
	switch typ {
	case "int":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < -math.MaxUint32 || n > math.MaxUint32 {
			return fail("want an integer of 32 bits")
		}
		kv.Value = uint32(max(n, -n))
	case "float":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fail("want a number")
		}
		kv.Value = float32(f)
	case "bool":
		if text != "true" && text != "false" {
			return fail("want true or false")
		}
		kv.Value = text == "true"
	case "str":
		if len(text) > maxOverride {
			return fail("strings have at most %d bytes here; set writes longer ones", maxOverride)
		}
		kv.Value = text
	default:
		return fail("unknown type %q: want int, float, bool or str", typ)
	}
	return kv, nil
}

// overridden is md as the rules see it: the reference reads overrides in place of values, but not in place of
// arrays, and head counts only where the file has them.
func overridden(md *gguf.Metadata, kvs []KeyValue) *gguf.Metadata {
	if len(kvs) == 0 {
		return md
	}
	out := md.Clone()
	for i := len(kvs) - 1; i >= 0; i-- { // of two overrides of a key it reads the first, and writes the last
		kv := kvs[i]
		old, ok := md.Get(kv.Key)
		if !ok && strings.Contains(kv.Key, ".attention.head_count") {
			continue
		}
		if t, _, _ := gguf.TypeOf(old); !ok || t != gguf.ArrayType {
			out.Set(kv.Key, kv.Value)
		}
	}
	return out
}
