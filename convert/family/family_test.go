package family

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// sample is a config every family accepts.
const sample = `{"architectures": ["X"], "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3,
"intermediate_size": 96, "moe_intermediate_size": 32, "n_routed_experts": 5, "num_local_experts": 5, "n_shared_experts": 2, "num_experts_per_tok": 2,
"first_k_dense_replace": 1, "vocab_size": 40, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000}`

func sampleConfig(t *testing.T) Config {
	t.Helper()
	c, err := ParseConfig([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sampleModel is a family's metadata and the tensors of its contract.
func sampleModel(t *testing.T, f *Family) (*gguf.Metadata, []gguf.TensorInfo) {
	t.Helper()
	c := sampleConfig(t)
	if err := f.CheckConfig(c, f.Classes[0]); err != nil {
		t.Fatal(err)
	}
	md := &gguf.Metadata{}
	md.Set("general.architecture", f.Arch)
	if err := f.SetKeys(c, md, 0); err != nil {
		t.Fatal(err)
	}
	return md, f.Contract(md)
}

func TestFamiliesAreComplete(t *testing.T) {
	if len(All()) == 0 {
		t.Fatal("no families")
	}
	for _, f := range All() {
		if f.Arch == "" || len(f.Classes) == 0 || f.Example == "" || f.Check == nil || f.Keys == nil || f.Rules == nil || f.Contract == nil {
			t.Errorf("%s: a field is not set", f.Arch)
		}
		if got, ok := ForArch(f.Arch); !ok || got.Arch != f.Arch {
			t.Errorf("%s: not found by architecture", f.Arch)
		}
		for _, c := range f.Classes {
			if got, ok := Lookup(c); !ok || got.Arch != f.Arch {
				t.Errorf("%s: not found by class %s", f.Arch, c)
			}
		}
	}
	if _, ok := Lookup("FooMoeForCausalLM"); ok {
		t.Error("an unknown class was found")
	}
}

// Every tensor of a family's contract comes from exactly one rule, and every rule's tensors are in the contract.
func TestRulesMeetContracts(t *testing.T) {
	for _, f := range All() {
		_, contract := sampleModel(t, f)
		rules := f.Rules(sampleConfig(t))
		m := NewMatcher(rules)
		made := map[string]bool{}
		for _, r := range rules {
			for block := range 3 {
				name := r.Source(block, 0, "weight")
				got, err := m.Match(name)
				if err != nil {
					t.Errorf("%s: %v", f.Arch, err)
					continue
				}
				if _, drop := r.Op.(Drop); !drop {
					made[r.Target(got)] = true
				}
			}
		}
		for _, w := range contract {
			if !made[w.Name] && names.Parse(w.Name).Role != names.RopeFreqs {
				t.Errorf("%s: no rule makes %s", f.Arch, w.Name)
			}
		}
	}
}

func TestCheckContract(t *testing.T) {
	for _, f := range All() {
		md, tensors := sampleModel(t, f)
		if err := CheckContract(md, tensors); err != nil {
			t.Fatalf("%s: %v", f.Arch, err)
		}
		for i, info := range tensors {
			less := append(append([]gguf.TensorInfo{}, tensors[:i]...), tensors[i+1:]...)
			err := CheckContract(md, less)
			optional := strings.HasPrefix(info.Name, "output.") || strings.HasPrefix(info.Name, "rope_freqs.")
			if optional != (err == nil) {
				t.Errorf("%s without %s: %v", f.Arch, info.Name, err)
			}
			wrong := append([]gguf.TensorInfo{}, tensors...)
			wrong[i].Shape = wrong[i].Shape.Clone()
			wrong[i].Shape[0]++
			var breach *ContractError
			if err := CheckContract(md, wrong); !errors.As(err, &breach) || breach.Tensor != info.Name || breach.Got == nil || breach.Want == nil {
				t.Errorf("%s with another shape of %s: %v", f.Arch, info.Name, err)
			}
		}
		more := append(append([]gguf.TensorInfo{}, tensors...), gguf.TensorInfo{Name: "blk.0.mystery.weight", Shape: gguf.Shape{1}})
		var breach *ContractError
		if err := CheckContract(md, more); !errors.As(err, &breach) || breach.Tensor != "blk.0.mystery.weight" {
			t.Errorf("%s with one tensor more: %v", f.Arch, err)
		}
	}
}

func TestCheckContractKeys(t *testing.T) {
	for _, f := range All() {
		md, tensors := sampleModel(t, f)
		required := append([]string{"attention.layer_norm_rms_epsilon"}, append(commonRequired, f.Required...)...)
		for _, key := range required {
			broken := md.Clone()
			broken.Delete(broken.ArchKey(key))
			if err := CheckContract(broken, tensors); err == nil || !strings.Contains(err.Error(), f.Arch+"."+key) {
				t.Errorf("%s without %s: %v", f.Arch, key, err)
			}
		}
		for key, v := range map[string]any{
			"block_count": uint32(4e9), "attention.head_count": uint32(0), "attention.head_count_kv": uint32(0), "expert_count": uint32(4e9),
			"expert_used_count": uint32(6), "embedding_length": uint64(1 << 63), "vocab_size": uint32(41), "attention.key_length": uint64(1 << 40),
		} {
			broken := md.Clone()
			broken.Set(broken.ArchKey(key), v)
			if key == "vocab_size" {
				broken.Set("tokenizer.ggml.tokens", make([]string, 40))
			}
			var breach *ContractError
			if err := CheckContract(broken, tensors); !errors.As(err, &breach) {
				t.Errorf("%s with %s %v: %v", f.Arch, key, v, err)
			}
		}
	}
	md := &gguf.Metadata{}
	var missing *gguf.KeyError
	if err := CheckContract(md, nil); !errors.As(err, &missing) {
		t.Errorf("no architecture: %v", err)
	}
	md.Set("general.architecture", "foo")
	var unsupported *gguf.UnsupportedError
	if err := CheckContract(md, nil); !errors.As(err, &unsupported) {
		t.Errorf("unknown architecture: %v", err)
	}
}

func TestMatch(t *testing.T) {
	m := NewMatcher([]Rule{
		{"a.{b}.w.{s}", "w", Copy{}},
		{"a.{b}.x.{x}.weight", "x", Stack{Experts: 2}},
		{"a.1.w.weight", "w", Copy{}},
		{"a", "a", Copy{}},
	})
	for name, want := range map[string]string{
		"a.0.w.weight":               "w block 0 expert -1 suffix weight",
		"a.12.w.bias":                "w block 12 expert -1 suffix bias",
		"a.3.x.7.weight":             "x block 3 expert 7 suffix weight",
		"a":                          "a block -1 expert -1 suffix ",
		"a.1.w.weight":               "two rules",
		"a.0.w.scale":                "cannot map",
		"a.0.w":                      "cannot map",
		"a.0.w.weight.x":             "cannot map",
		"xa.0.w.weight":              "cannot map",
		"a.-1.w.weight":              "cannot map",
		"a.+1.w.weight":              "cannot map",
		"a.01.w.weight":              "cannot map",
		"a..w.weight":                "cannot map",
		"a.99999999999999999.w.bias": "cannot map",
		"":                           "cannot map",
	} {
		got, err := m.Match(name)
		s := fmt.Sprint(err)
		if err == nil {
			s = fmt.Sprintf("%s block %d expert %d suffix %s", m.rules[got.Rule].To, got.Block, got.Expert, got.Suffix)
		}
		if !strings.Contains(s, want) {
			t.Errorf("%q: %s, want %s", name, s, want)
		}
	}
}

func TestUnread(t *testing.T) {
	c, err := ParseConfig([]byte(`{"torch_dtype": "bfloat16", "hidden_size": 4, "novel_routing": 3, "another": true, "off": false, "none": null}`))
	if err != nil {
		t.Fatal(err)
	}
	c.Count("hidden_size")
	if got := fmt.Sprint(c.Unread()); got != "[another novel_routing]" {
		t.Error(got)
	}
}

// The first error of several reads is the one that stays.
func TestConfigRemembersFirstError(t *testing.T) {
	c, err := ParseConfig([]byte(`{"a": "x", "b": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Int("b") != 1 || c.Err() != nil {
		t.Errorf("b: %v", c.Err())
	}
	c.Int("a")
	c.Int("missing")
	if err := c.Err(); err == nil || err.Error() != `config.json: a must be an integer, got "x"` {
		t.Error(err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"architectures": [null]}`))
	f.Add([]byte(`{"rope_parameters": {"rope_theta": null}, "n_group": [1], "hidden_size": 1e3}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig(text)
		if err != nil {
			return
		}
		c.Class()
		for _, fam := range All() {
			c, _ := ParseConfig(text)
			if fam.CheckConfig(c, "X") != nil {
				continue
			}
			md := &gguf.Metadata{}
			md.Set("general.architecture", fam.Arch)
			if fam.SetKeys(c, md, 0) != nil {
				continue
			}
			fam.Rules(c)
			c.Unread()
			CheckContract(md, make([]gguf.TensorInfo, 4)) // never more work than four tensors justify
		}
	})
}
