package family

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// sample is a fixture's model: a family with a config it accepts.
type sample struct {
	name   string
	f      *Family
	config func() Config // a fresh one each time
}

// samples are the configs of all fixtures, and more than one of some families.
func samples(t testing.TB) []sample {
	t.Helper()
	var out []sample
	for _, ck := range testdata.Checkpoints() {
		text, err := os.ReadFile(filepath.Join(ck.Dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseConfig(text)
		if err != nil {
			t.Fatalf("%s: %v", ck.Family, err)
		}
		class, err := c.Class()
		if err != nil {
			t.Fatalf("%s: %v", ck.Family, err)
		}
		f, ok := Lookup(class)
		if !ok {
			continue // TestEveryFixtureHasAFamily reports it
		}
		out = append(out, sample{ck.Family, f, func() Config { c, _ := ParseConfig(text); return c }})
	}
	return out
}

// model is the sample's metadata and the tensors of its contract.
func (s sample) model(t *testing.T) (*gguf.Metadata, []gguf.TensorInfo) {
	t.Helper()
	c := s.config()
	if err := s.f.CheckConfig(c, s.f.Classes[0]); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	md := &gguf.Metadata{}
	md.Set("general.architecture", s.f.Arch)
	if err := s.f.SetKeys(c, md, 0); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	md.Set("tokenizer.ggml.tokens", make([]string, c.Count("vocab_size")))
	return md, s.f.Contract(md)
}

// Every family has a fixture.
func TestEveryFamilyHasAFixture(t *testing.T) {
	have := map[string]bool{}
	for _, s := range samples(t) {
		have[s.f.Arch] = true
	}
	for _, f := range All() {
		if !have[f.Arch] {
			t.Errorf("%s: no fixture", f.Arch)
		}
	}
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

// Every tensor of a family's contract comes from a rule, and every rule's source matches that rule alone.
func TestRulesMeetContracts(t *testing.T) {
	for _, s := range samples(t) {
		md, contract := s.model(t)
		c := s.config()
		rules := s.f.Rules(c)
		if err := c.Err(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		blocks, _ := md.Int(md.ArchKey("block_count"))
		made := map[string]bool{}
		if s.f.Computed != nil {
			for _, t := range s.f.Computed(c) {
				made[t.Role.Weight()] = true
			}
		}
		m := NewMatcher(rules)
		for _, r := range rules {
			for block := range int(blocks) {
				for _, suffix := range []string{"weight", "bias"} {
					name := strings.Replace(r.Source(block, 0, suffix), "{*}", "any.thing", 1)
					got, err := m.Match(name)
					if err != nil {
						t.Errorf("%s: %v", s.name, err)
						continue
					}
					for _, p := range r.Parts() {
						if _, drop := p.Op.(Drop); !drop {
							made[p.Target(got)] = true
						}
					}
				}
			}
		}
		for _, w := range contract {
			if !made[w.Name] && !s.f.IsOptional(w.Name) {
				t.Errorf("%s: no rule makes %s", s.name, w.Name)
			}
		}
	}
}

func TestCheckContract(t *testing.T) {
	for _, s := range samples(t) {
		md, tensors := s.model(t)
		if err := CheckContract(md, tensors); err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		for i, info := range tensors {
			if len(tensors) > 100 && i%7 != 0 { // a sample of the large ones
				continue
			}
			less := append(append([]gguf.TensorInfo{}, tensors[:i]...), tensors[i+1:]...)
			err := CheckContract(md, less)
			if s.f.IsOptional(info.Name) != (err == nil) {
				t.Errorf("%s without %s: %v", s.name, info.Name, err)
			}
			wrong := append([]gguf.TensorInfo{}, tensors...)
			wrong[i].Shape = wrong[i].Shape.Clone()
			wrong[i].Shape[0]++
			var breach *ContractError
			if err := CheckContract(md, wrong); !errors.As(err, &breach) || breach.Tensor != info.Name || breach.Got == nil || breach.Want == nil {
				t.Errorf("%s with another shape of %s: %v", s.name, info.Name, err)
			}
		}
		more := append(append([]gguf.TensorInfo{}, tensors...), gguf.TensorInfo{Name: "blk.0.mystery.weight", Shape: gguf.Shape{1}})
		var breach *ContractError
		if err := CheckContract(md, more); !errors.As(err, &breach) || breach.Tensor != "blk.0.mystery.weight" {
			t.Errorf("%s with one tensor more: %v", s.name, err)
		}
	}
}

func TestCheckContractKeys(t *testing.T) {
	for _, s := range samples(t) {
		md, tensors := s.model(t)
		for _, key := range append(slices.Clone(commonRequired), s.f.Required...) {
			broken := md.Clone()
			broken.Delete(broken.ArchKey(key))
			if err := CheckContract(broken, tensors); err == nil || !strings.Contains(err.Error(), s.f.Arch+"."+key) {
				t.Errorf("%s without %s: %v", s.name, key, err)
			}
		}
		for key, v := range map[string]any{
			"block_count": uint32(4e9), "attention.head_count": uint32(0), "attention.head_count_kv": uint32(0), "expert_count": uint32(4e9),
			"expert_used_count": uint32(6000), "embedding_length": uint64(1 << 63), "attention.key_length": uint64(1 << 40),
		} {
			broken := md.Clone()
			broken.Set(broken.ArchKey(key), v)
			var breach *ContractError
			if err := CheckContract(broken, tensors); !errors.As(err, &breach) {
				t.Errorf("%s with %s %v: %v", s.name, key, v, err)
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
		"a":                          "a block -1 expert -1 suffix weight",
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
	for _, s := range samples(f) {
		text, err := json.Marshal(s.config().Fields())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
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

// A family is one short file of data: what is shared by several lies elsewhere.
func TestFamilyFilesAreShort(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	families := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\tregister(Family{") {
			continue
		}
		families++
		if lines := strings.Count(string(text), "\n"); lines >= 150 {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
	if families < len(byArch) {
		t.Errorf("%d files for %d architectures", families, len(byArch))
	}
}

// Every fixture's class is converted.
func TestEveryFixtureHasAFamily(t *testing.T) {
	have := map[string]bool{}
	for _, s := range samples(t) {
		have[s.name] = true
	}
	for _, ck := range testdata.Checkpoints() {
		if !have[ck.Family] {
			t.Errorf("%s: no family converts it", ck.Family)
		}
	}
}
