package quantize

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// inventory is a model as testdata/policy lists it: its quantizable tensors and the counts the rules look at.
type inventory struct {
	Arch    string
	Layers  int  `json:"n_layer"`
	Experts int  `json:"n_expert"`
	GQA     int  `json:"n_gqa"`
	Is70B   bool `json:"model_type_70b"`
	Tensors []struct {
		Name     string
		NE0, NE2 int64
	}
}

func (v inventory) model() model {
	return model{arch: v.Arch, blocks: v.Layers, experts: v.Experts, gqa: v.GQA, is70B: v.Is70B}
}

func (v inventory) tensors() []gguf.TensorInfo {
	var ts []gguf.TensorInfo
	for _, t := range v.Tensors {
		ts = append(ts, gguf.TensorInfo{Name: t.Name, Type: gguf.F16, Shape: gguf.Shape{t.NE0, 64, t.NE2}})
	}
	return ts
}

// section is a snapshot's account of one scheme: the tensors whose type is not the base type.
type section struct {
	base  gguf.Type
	moved map[string]gguf.Type
}

func readSnapshot(t *testing.T, name string) map[string]section {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]section{}
	var cur section
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, " ")
		typ, err := gguf.ParseType(value)
		if !ok || err != nil {
			t.Fatalf("%s: line %q: %v", name, line, err)
		}
		if scheme, ok := strings.CutPrefix(key, "["); ok {
			cur = section{typ, map[string]gguf.Type{}}
			out[strings.TrimSuffix(scheme, "]")] = cur
			continue
		}
		cur.moved[key] = typ
	}
	return out
}

// Oracle: llama.cpp's own snapshots of its decisions, all without importance matrix.
func TestPolicySnapshots(t *testing.T) {
	models := []string{"deepseek-v3.1", "gpt-oss-120b", "meta-llama-3.1-70b-instruct", "qwen3.5-397b-a17b"}
	decisions, floats, schemes := 0, 0, map[string]bool{}
	for _, name := range models {
		var inv inventory
		b, err := os.ReadFile(testdata.Path("policy", name+".tensors.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &inv); err != nil {
			t.Fatal(err)
		}
		for scheme, want := range readSnapshot(t, testdata.Path("policy", name+".schema")) {
			s, err := ParseScheme(scheme)
			if err != nil {
				t.Fatal(err)
			}
			if s.Base != want.base {
				t.Errorf("%s: base type %v, want %v", s, s.Base, want.base)
			}
			n := comparePolicy(t, name, inv, s, want)
			if s.Base.Quantized() {
				decisions += n
				schemes[s.Name] = true
			} else {
				floats += n
			}
		}
	}
	if decisions != 65640 || floats != 6564 || len(schemes) != 30 {
		t.Errorf("%d decisions for %d schemes, %d for unquantized ones; want 65640 for 30, 6564", decisions, len(schemes), floats)
	}
}

// comparePolicy counts the decisions that it checked.
func comparePolicy(t *testing.T, name string, inv inventory, s Scheme, want section) int {
	t.Helper()
	ts := inv.tensors()
	a, err := assign(inv.model(), ts, s, Options{})
	if err != nil {
		t.Fatalf("%s: %v: %v", name, s, err)
	}
	missing := maps.Clone(want.moved)
	for k, i := range a.Order {
		wantType, ok := want.moved[ts[i].Name]
		if !ok {
			wantType = s.Base
		}
		delete(missing, ts[i].Name)
		if a.Types[k] != wantType {
			t.Errorf("%s: %v: %s is %v, want %v", name, s, ts[i].Name, a.Types[k], wantType)
		}
	}
	for _, tensor := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("%s: %v: the snapshot lists %s, the inventory does not", name, s, tensor)
	}
	return len(a.Order)
}
