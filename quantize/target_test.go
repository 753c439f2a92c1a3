package quantize

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/testdata"
)

// inventoried is a model of testdata/policy in BF16, with the sizes of its names alone.
func inventoried(t *testing.T, name string) fakeSource {
	t.Helper()
	b, err := os.ReadFile(testdata.Path("policy", name+".tensors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var inv inventory
	if err := json.Unmarshal(b, &inv); err != nil {
		t.Fatal(err)
	}
	ts := inv.tensors()
	for i := range ts {
		ts[i].Type = gguf.BF16
	}
	ts = append(ts, gguf.TensorInfo{Name: "output_norm.weight", Type: gguf.F32, Shape: gguf.Shape{7168}})
	md := keys(inv.Arch, map[string]uint32{"block_count": uint32(inv.Layers), "expert_count": uint32(inv.Experts)})
	return fakeSource{md: md, ts: ts}
}

func TestForBudget(t *testing.T) {
	models := []string{"deepseek-v3.1", "gpt-oss-120b", "meta-llama-3.1-70b-instruct"}
	if testing.Short() {
		models = models[:1]
	}
	for _, name := range models {
		src := inventoried(t, name)
		for _, bpw := range []float64{2.7, 3.5, 4.6, 6, 16} {
			if name == "gpt-oss-120b" && bpw < 4.6 {
				continue // rows of 2880 divide into blocks of 32 alone
			}
			checkBudget(t, fmt.Sprintf("%s at %v", name, bpw), src, Budget{BitsPerWeight: bpw}, Options{})
		}
	}
}

// checkBudget: the choice keeps the budget, no tensor could have its next larger type, and it is made again from the rules,
// whatever the order of the source's tensors.
func checkBudget(t *testing.T, label string, src fakeSource, b Budget, o Options) {
	t.Helper()
	scheme, rules, err := ForBudget(src, b, o)
	if err != nil {
		t.Fatalf("%s: %v", label, err)
	}
	turned := src
	turned.ts = slices.Clone(src.ts)
	slices.Reverse(turned.ts)
	scheme2, rules2, err := ForBudget(turned, b, o)
	if err != nil || scheme2 != scheme || fmt.Sprint(rules) != fmt.Sprint(rules2) {
		t.Errorf("%s: another order of tensors gives %v and other rules, %v", label, scheme2, err)
	}
	o.TensorTypes = append(slices.Clone(o.TensorTypes), rules...)
	j, err := New(src, scheme, o)
	if err != nil {
		t.Fatalf("%s: %v", label, err)
	}
	sum, err := j.Summary()
	if err != nil {
		t.Fatal(err)
	}
	left := int64(b.BitsPerWeight*float64(sum.Elements)/8) - sum.Bytes
	if left < 0 || len(sum.Fallbacks) > 0 {
		t.Errorf("%s: %d bytes left, %d fallbacks", label, left, len(sum.Fallbacks))
	}
	if float64(left) > 0.002*float64(sum.Bytes) && b.BitsPerWeight < 16 {
		t.Errorf("%s: %d bytes of %d are left", label, left, sum.Bytes)
	}
	noise := map[gguf.Type]float64{}
	for _, e := range squaredError {
		noise[e.typ] = e.noise
	}
	for _, ts := range sum.Tensors {
		for typ, n := range noise {
			row, err := typ.RowBytes(ts.Shape.NE(0))
			if more := row*ts.Shape.Rows() - ts.Bytes; err == nil && !needsMatrix(typ) && n < noise[ts.Type] && more <= left {
				t.Errorf("%s: %s could be %v instead of %v: %d bytes left", label, ts.Name, typ, ts.Type, left)
			}
		}
	}
	bits := map[names.Class]float64{}
	for _, c := range sum.Classes {
		bits[c.Class] = c.BitsPerWeight
	}
	if r, a := bits[names.RoutedExpert], bits[names.Attention]; r > a && b.BitsPerWeight < 16 {
		t.Errorf("%s: routed experts have %v bits, attention %v", label, r, a)
	}
	again, err := j.Rules()
	if err != nil {
		t.Fatal(err)
	}
	k, err := New(src, scheme, Options{TensorTypes: again})
	if err != nil {
		t.Fatalf("%s: rebuilt: %v", label, err)
	}
	for i := range j.tensors {
		if j.tensors[i].Type != k.tensors[i].Type {
			t.Errorf("%s: rebuilt, %s is %v instead of %v", label, j.tensors[i].Name, k.tensors[i].Type, j.tensors[i].Type)
		}
	}
}

func TestForBudgetTooSmall(t *testing.T) {
	src := inventoried(t, "deepseek-v3.1")
	var exceeded *BudgetError
	_, _, err := ForBudget(src, Budget{Bytes: 1 << 20}, Options{})
	if !errors.As(err, &exceeded) || exceeded.Unit != "bytes" {
		t.Fatal(err)
	}
	if _, _, err := ForBudget(src, Budget{Bytes: int64(exceeded.Least)}, Options{}); err != nil {
		t.Errorf("what is said to do does not: %v", err)
	}
	if _, _, err := ForBudget(src, Budget{Bytes: int64(exceeded.Least) - 1}, Options{}); err == nil {
		t.Error("a byte less does, too")
	}
	if _, _, err := ForBudget(src, Budget{BitsPerWeight: 2}, Options{}); err == nil || !strings.Contains(err.Error(), "bits per weight") {
		t.Error(err)
	}
}

// What rules and flags say of tensors stands.
func TestForBudgetFixed(t *testing.T) {
	src := inventoried(t, "deepseek-v3.1")
	o := Options{TensorTypes: []Override{{Pattern: `attn_q_a`, Type: gguf.Q4_0}}, TokenEmbeddingType: new(gguf.Q5_1), LeaveOutputTensor: true}
	scheme, rules, err := ForBudget(src, Budget{BitsPerWeight: 4}, o)
	if err != nil {
		t.Fatal(err)
	}
	o.TensorTypes = append(o.TensorTypes, rules...)
	j, err := New(src, scheme, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, ts := range j.Tensors() {
		want, fixed := gguf.Q4_0, strings.Contains(ts.Name, "attn_q_a.")
		switch ts.Name {
		case tokenEmbdName:
			want, fixed = gguf.Q5_1, true
		case outputName:
			want, fixed = gguf.BF16, true
		}
		if fixed && ts.Type != want {
			t.Errorf("%s is %v, want %v", ts.Name, ts.Type, want)
		}
	}
	if again, err := j.Rules(); err != nil || !slices.ContainsFunc(again, func(r Override) bool { return r.String() == `^output\.weight$=bf16` }) {
		t.Errorf("rules %v, %v", again, err)
	}
}
