package quantize

import (
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

func TestSplitRules(t *testing.T) {
	text := "# a comment\nattn_v=q8_0 ffn_(up|gate)=q4_K\t#another\n\n  ^output\\.weight$=q6_K\r\na#b=q4_0"
	want := []string{"attn_v=q8_0", "ffn_(up|gate)=q4_K", `^output\.weight$=q6_K`, "a#b=q4_0"}
	if got := SplitRules(text); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A pattern matches anywhere, in any case, and classes mean what they say: llama-quantize makes \d of \D.
func TestRulesMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{`attn_v`, "blk.3.attn_v.weight", true},
		{`ATTN_V`, "blk.3.attn_v.weight", true},
		{`^attn_v`, "blk.3.attn_v.weight", false},
		{`blk\.\d\.\D+weight$`, "blk.3.attn_v.weight", true},
		{`blk\.\D`, "blk.3.attn_v.weight", false},
		{`blk\.\d\S+\Wweight`, "blk.3.attn_v.weight", true},
	} {
		match, err := Override{Pattern: c.pattern, Type: gguf.Q8_0}.matcher()
		if err != nil {
			t.Fatal(err)
		}
		if got := match(c.name); got != c.want {
			t.Errorf("%s on %s: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

// Rules name each type of a role once; no two match the same tensor; what they match has their type.
func TestRulesOf(t *testing.T) {
	var ts []gguf.TensorInfo
	add := func(name string, typ gguf.Type) {
		ts = append(ts, gguf.TensorInfo{Name: name, Type: typ, Shape: gguf.Shape{256, 1}})
	}
	add("output.weight", gguf.Q6_K)
	for _, b := range []string{"0", "1", "11"} {
		add("blk."+b+".attn_v.weight", gguf.Q8_0)
		add("blk."+b+".ffn_up.weight", map[string]gguf.Type{"1": gguf.Q4_K}[b])
	}
	rules := RulesOf(ts)
	var got []string
	for _, r := range rules {
		got = append(got, r.String())
	}
	want := []string{`^output\.weight$=q6_K`, `^blk\.[0-9]+\.attn_v\.weight$=q8_0`, `^blk\.(0|11)\.ffn_up\.weight$=f32`, `^blk\.(1)\.ffn_up\.weight$=q4_K`}
	if !slices.Equal(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	for _, tensor := range ts {
		n := 0
		for _, r := range rules {
			match, err := r.matcher()
			if err != nil {
				t.Fatal(err)
			}
			if match(tensor.Name) {
				n++
				if r.Type != tensor.Type {
					t.Errorf("%v matches %s, which is %v", r, tensor.Name, tensor.Type)
				}
			}
		}
		if n != 1 {
			t.Errorf("%d rules match %s", n, tensor.Name)
		}
	}
}

// FuzzRules: any text is rules or an error, and a rule that is read is written the same.
func FuzzRules(f *testing.F) {
	f.Add("attn_v=q8_0 # comment\n(=q4_0 x=q9 =q8_0 a==q4_k")
	f.Add("llama.x=int:3 a=str:b=c")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range SplitRules(text) {
			if strings.ContainsAny(s, " \n") || s[0] == '#' {
				t.Fatalf("rule %q", s)
			}
			if o, err := ParseOverride(s); err == nil {
				if again, err := ParseOverride(o.String()); err != nil || again.Pattern != o.Pattern || again.Type != o.Type {
					t.Fatalf("%q reads as %v, and that as %v, %v", s, o, again, err)
				}
			}
			if kv, err := ParseKeyValue(s); err == nil && kv.Value == nil {
				t.Fatalf("%q has no value", s)
			}
		}
	})
}
