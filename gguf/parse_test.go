package gguf_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

func TestParseValue(t *testing.T) {
	for _, c := range []struct {
		typ, text string
		want      any
	}{
		{"u8", "255", uint8(255)}, {"i8", "-128", int8(-128)}, {"u16", "65535", uint16(65535)}, {"i16", "-5", int16(-5)},
		{"u32", "4294967295", uint32(math.MaxUint32)}, {"i32", "-1", int32(-1)},
		{"u64", "18446744073709551615", uint64(math.MaxUint64)}, {"i64", "-9223372036854775808", int64(math.MinInt64)},
		{"f32", "1e-5", float32(1e-5)}, {"f32", "inf", float32(math.Inf(1))}, {"f64", "0.1", 0.1},
		{"bool", "true", true}, {"bool", "false", false},
		{"str", "", ""}, {"str", "a: b=c\n\u2028é", "a: b=c\n\u2028é"},
		{"UINT32", "7", uint32(7)}, {"String", "x", "x"},
		{"arr[u32]", "[1, 2]", []uint32{1, 2}}, {"arr[i32]", "[]", []int32{}}, {"arr[f32]", "[0.5, -1e3]", []float32{0.5, -1000}},
		{"arr[str]", `["a", "\u00e9\n", ""]`, []string{"a", "é\n", ""}}, {"arr[bool]", "[true,false]", []bool{true, false}},
		{"arr[arr[i32]]", "[[1],[2,3],[]]", gguf.Array{[]int32{1}, []int32{2, 3}, []int32{}}},
	} {
		got, err := gguf.ParseValue(c.typ, c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:%s: %#v, %v, want %#v", c.typ, c.text, got, err, c.want)
		}
	}
}

func TestParseValueRefuses(t *testing.T) {
	for _, c := range []struct{ typ, text, want string }{
		{"u8", "256", "out of range"}, {"i8", "-129", "out of range"}, {"u32", "-1", "is no UINT32"}, {"u32", "1.0", "is no UINT32"},
		{"u32", "0x10", "is no UINT32"}, {"u32", "", "is no UINT32"}, {"f32", "1e39", "out of range"}, {"f64", "1e400", "out of range"},
		{"f32", "x", "is no FLOAT32"}, {"bool", "1", "want true or false"}, {"int", "1", "unknown value type"}, {"array", "[1]", "unknown value type"},
		{"str", "a\x00b", "zero byte"}, {"str", "\xff", "not UTF-8"},
		{"arr[u32]", "1", "no JSON array"}, {"arr[u32]", "null", "no JSON array"}, {"arr[u32]", "[1] x", "no JSON array"},
		{"arr[u32]", "[1, -1]", "element 1"}, {"arr[u32]", `["1"]`, "element 0"}, {"arr[str]", "[1]", "element 0"}, {"arr[str]", "[null]", "element 0"},
		{"arr[u32]", "[[1]]", "element 0"}, {"arr[x]", "[]", `unknown type "x"`}, {"arr[arr[u8]]", "[1]", "element 0"},
		{strings.Repeat("arr[", 9) + "u8" + strings.Repeat("]", 9), strings.Repeat("[", 9) + strings.Repeat("]", 9), "nested"},
	} {
		got, err := gguf.ParseValue(c.typ, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:%s: %#v, %v, want %s", c.typ, c.text, got, err, c.want)
		}
	}
}

// An architecture that was renamed finds its parameters under the old name; one that has its own looks nowhere else.
func TestModelKey(t *testing.T) {
	md := func(arch string, keys ...string) *gguf.Metadata {
		m := &gguf.Metadata{}
		m.Set("general.architecture", arch)
		for _, k := range keys {
			m.Set(k, uint32(1))
		}
		return m
	}
	for _, c := range []struct {
		what string
		md   *gguf.Metadata
		want string
	}{
		{"own", md("xyz", "xyz.block_count", "xyz.expert_count"), "xyz.expert_count"},
		{"renamed", md("xyz", "llama.block_count", "llama.expert_count"), "llama.expert_count"},
		{"own namespace without the key", md("xyz", "xyz.block_count", "llama.expert_count"), "xyz.expert_count"},
		{"one own key among others", md("xyz", "llama.block_count", "xyz.expert_count"), "xyz.expert_count"},
		{"two namespaces", md("xyz", "llama.block_count", "qwen2.block_count"), "xyz.expert_count"},
		{"a part of a model", md("clip", "clip.vision.block_count"), "clip.expert_count"},
		{"nothing", md("xyz"), "xyz.expert_count"},
	} {
		if got := c.md.ModelKey("expert_count"); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}
