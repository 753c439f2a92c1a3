package family

import (
	"strings"

	"github.com/moeconv/moeconv/gguf/names"
)

// Newer Qwen models keep their blocks of multi-token prediction apart, as mtp.layers.0 and so on, with what belongs to
// the first of them beside; files have them behind the other blocks.

// inferMTP counts the blocks of multi-token prediction where config.json does not.
func inferMTP(c Config, tensors []string) Config {
	n := 0
	for _, name := range tensors {
		parts := strings.SplitN(strings.TrimPrefix(name, "model."), ".", 4)
		if len(parts) < 4 || parts[0] != "mtp" || parts[1] != "layers" {
			continue
		}
		if i, ok := number(parts[2]); ok {
			n = max(n, i+1)
		}
	}
	if c.IntOr("mtp_num_hidden_layers", 0) > 0 || n > maxBlocks || c.Err() != nil {
		return c
	}
	return c.WithInt("mtp_num_hidden_layers", int64(n))
}

// mtpParts are the names in a block of what stands beside the blocks of multi-token prediction.
var mtpParts = map[string]string{"fc": "eh_proj", "pre_fc_norm_embedding": "enorm", "pre_fc_norm_hidden": "hnorm", "norm": "shared_head.norm"}

// renameMTP gives tensors of multi-token prediction the names of blocks behind the others.
func renameMTP(c Config, name string) string {
	layers := c.Int("num_hidden_layers")
	block := func(i int64, rest string) string {
		return Rule{From: "model.layers.{b}." + rest}.Source(int(layers+i), -1, "")
	}
	parts := strings.SplitN(strings.TrimPrefix(name, "model."), ".", 4)
	if parts[0] != "mtp" {
		return name
	}
	if len(parts) == 4 && parts[1] == "layers" {
		if i, ok := number(parts[2]); ok {
			return block(int64(i), parts[3])
		}
	}
	if len(parts) == 3 && mtpParts[parts[1]] != "" {
		return block(0, mtpParts[parts[1]]+"."+parts[2])
	}
	return name
}

// mtpBlocks is the number of blocks of multi-token prediction.
func (c Config) mtpBlocks() int64 { return c.IntOr("mtp_num_hidden_layers", 0) }

// mtpRules are what a block of multi-token prediction has beyond the others.
func mtpRules() []Rule {
	return []Rule{
		{"model.layers.{b}.eh_proj.weight", "nextn.eh_proj", Copy{}},
		{"model.layers.{b}.enorm.weight", "nextn.enorm", plusOne},
		{"model.layers.{b}.hnorm.weight", "nextn.hnorm", plusOne},
		{"model.layers.{b}.shared_head.norm.weight", "nextn.shared_head_norm", plusOne},
	}
}

// plusOne is for norms that the checkpoint has as differences from 1.
var plusOne = Map{Func: func(v float32) float32 { return v + 1 }}

// deltaOptional are the tensors that files of models with gated delta nets may lack.
var deltaOptional = []names.Role{names.OutputWeight, "nextn.shared_head_norm"}
