package quantize

import (
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// The forms and limits are those of the reference's string_parse_kv_override; what it lets wrap around is refused.
func TestParseKeyValue(t *testing.T) {
	for s, want := range map[string]any{
		"a.b=int:16": uint32(16), "a.b=int:-3": uint32(3), "a.b=int:4294967295": uint32(4294967295), "a.b=float:0.1": float32(0.1),
		"a.b=bool:true": true, "a.b=bool:false": false, "a.b=str:": "", "a.b=str:x=y:z": "x=y:z",
	} {
		kv, err := ParseKeyValue(s)
		if err != nil || kv.Key != "a.b" || kv.Value != want {
			t.Errorf("%s: %+v, %v; want %v", s, kv, err, want)
		}
	}
	for _, s := range []string{"", "a", "a=1", "=int:1", "a=int:x", "a=int:4294967296", "a=int:1.5", "a=float:x", "a=bool:1", "a=u32:1", "a=Int:1",
		"a=str:" + strings.Repeat("x", 128), strings.Repeat("k", 128) + "=int:1", "split.count=int:3", "general.alignment=int:64"} {
		if kv, err := ParseKeyValue(s); err == nil {
			t.Errorf("%.40s: %+v, want an error", s, kv)
		}
	}
}

// Overrides are read where the reference reads them; the first of a key is read, the last is written.
func TestOverridden(t *testing.T) {
	md := keys("llama", map[string]uint32{"block_count": 2})
	md.Set("llama.attention.head_count_kv", []int32{1, 2})
	var kvs []KeyValue
	for _, s := range []string{"llama.block_count=int:5", "llama.block_count=int:6", "llama.expert_count=int:8", "llama.attention.head_count=int:4", "llama.attention.head_count_kv=int:4"} {
		kv, err := ParseKeyValue(s)
		if err != nil {
			t.Fatal(err)
		}
		kvs = append(kvs, kv)
	}
	seen := overridden(md, kvs)
	for key, want := range map[string]any{"llama.block_count": uint32(5), "llama.expert_count": uint32(8), "llama.attention.head_count": nil} {
		if got, _ := seen.Get(key); got != want {
			t.Errorf("%s: %v is read, want %v", key, got, want)
		}
	}
	if v, _ := seen.Get("llama.attention.head_count_kv"); len(v.([]int32)) != 2 {
		t.Errorf("the array is %v", v)
	}
	out := metadata(md, nil, nil, mustScheme(t, "Q8_0"), Options{KV: kvs})
	if v, _ := gguf.Value[uint32](out, "llama.block_count"); v != 6 {
		t.Errorf("%d is written, want 6", v)
	}
}
