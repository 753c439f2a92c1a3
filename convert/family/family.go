// Package family describes the model families moeconv converts and runs, one file
// a family and nothing but data in it: which source tensor becomes which GGUF
// tensor, which metadata keys say so, which tensors a loader insists on, and what
// the graph does that the file itself cannot show.
package family

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Family is one architecture of GGUF files and the checkpoints that become it.
type Family struct {
	Arch    string   // general.architecture
	Variant bool     // another file has the architecture's family proper, whose contract and graph hold for files
	Classes []string // entries of config.json's "architectures"
	Example string   // a repository on the Hub

	// Only lists config fields of which a single value is implemented; a checkpoint with another is refused.
	Only []Only
	// Check fails on a config that contradicts itself (top-k above the number of experts).
	Check func(Config) error
	// Infer adds to the config what only the names of the checkpoint's tensors tell (nil: nothing).
	Infer func(Config, []string) Config
	// Rename gives a source tensor the name that Rules know it by (nil: its own).
	Rename func(Config, string) string
	// Adjust changes what the common keys are made of, where the reference does (nil: nothing). Rules and Check see the config as it is.
	Adjust func(Config) Config
	// Common writes other keys in place of those common to all families (nil: those).
	Common func(Config, *gguf.Metadata)
	// EarlyKeys are written before all others but general.architecture (nil: none).
	EarlyKeys func(Config, *gguf.Metadata) error
	// Keys writes the family's metadata in the reference converter's order.
	Keys func(Config, *gguf.Metadata) error
	// Rules says what becomes of each source tensor; every source tensor matches exactly one.
	Rules func(Config) []Rule
	// Computed lists tensors that config.json alone gives; they are written first (nil: none).
	Computed func(Config) []Computed
	// Beyond is the number of blocks after block_count that are left out, such as those of multi-token prediction (nil: 0).
	Beyond func(Config) int64
	// Contract lists the tensors a loader insists on, names and shapes (types are free and left zero).
	// Its metadata has passed the check of Required.
	Contract func(*gguf.Metadata) []gguf.TensorInfo
	// Required are the integer keys, without the architecture's prefix, that a loader of this family needs beyond the common ones.
	Required []string
	// Optional are the roles of Contract's tensors that a file may lack.
	Optional []names.Role
	// QuantizeRouter is set where the reference gives the output type to routers too, which it else keeps in F32.
	QuantizeRouter bool
	// Vocab are the forms of vocabulary the reference tries, in this order; empty for its usual order.
	Vocab []string
	// Reads are config fields common to all families that this one implements itself, whatever their value.
	Reads []string
	// Pre are the family's pre-tokenizers, the likeliest first, where a tokenizer's structure fits several.
	Pre []string

	// Original is what a checkpoint's model computes otherwise than llama.cpp does; nil: Graph.Original for all.
	Original func(Config) Original
	// Graph is nil for an architecture that the runtime does not run.
	Graph *Graph
}

// Computed is a vector outside of blocks, written as F32.
type Computed struct {
	Role   names.Role
	Values []float32
}

// BeyondBlocks is the number of blocks after block_count that are left out.
func (f *Family) BeyondBlocks(c Config) int64 {
	if f.Beyond == nil {
		return 0
	}
	return f.Beyond(c)
}

// Only is a config field of which one value is implemented. An absent or null field is fine.
type Only struct {
	Key   string
	Value any    // bool, string, or a number as int64 or float64
	Why   string // what another value would mean, for the message; may be empty
}

var (
	byClass  = map[string]*Family{}
	byArch   = map[string]*Family{}
	variants []*Family
)

// register adds a family; families do so from package initialisation, so a clash is a programmer's error.
func register(f Family) {
	switch {
	case f.Variant:
		variants = append(variants, &f)
	case byArch[f.Arch] != nil:
		panic(fmt.Sprintf("family: %s registered twice", f.Arch))
	default:
		byArch[f.Arch] = &f
	}
	for _, c := range f.Classes {
		if byClass[c] != nil {
			panic(fmt.Sprintf("family: class %s registered twice", c))
		}
		byClass[c] = &f
	}
}

// Lookup finds the family of a model class, such as DeepseekForCausalLM.
func Lookup(class string) (*Family, bool) {
	f, ok := byClass[class]
	return f, ok
}

// ForArch finds the family of a file's general.architecture.
func ForArch(arch string) (*Family, bool) {
	f, ok := byArch[arch]
	return f, ok
}

// All lists the families by architecture, variants last.
func All() []*Family {
	out := slices.Clone(variants)
	for _, f := range byArch {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *Family) int {
		return cmp.Or(strings.Compare(a.Arch, b.Arch), strings.Compare(fmt.Sprint(a.Variant), fmt.Sprint(b.Variant)), strings.Compare(a.Example, b.Example))
	})
	return out
}

// CheckConfig fails on a config that is damaged, and with a *gguf.UnsupportedError on one whose graph is not implemented.
func (f *Family) CheckConfig(c Config, class string) error {
	if err := c.checkOnly(f, class); err != nil {
		return err
	}
	if err := f.Check(c); err != nil {
		return err
	}
	return c.Err()
}

// SetKeys writes the architecture's metadata in the reference converter's order, general.file_type in its midst.
// The metadata's general.architecture is set.
func (f *Family) SetKeys(c Config, md *gguf.Metadata, fileType uint32) error {
	common := c
	if f.Adjust != nil {
		common = f.Adjust(c)
	}
	if f.Common != nil {
		f.Common(common, md)
	} else {
		commonKeys(common, md)
	}
	md.Set("general.file_type", fileType)
	if err := f.Keys(c, md); err != nil {
		return err
	}
	return c.Err()
}
