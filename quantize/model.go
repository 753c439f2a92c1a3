package quantize

import (
	"cmp"
	"fmt"
	"reflect"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// model is what the rules need to know about a model besides its tensors.
type model struct {
	arch    string
	blocks  int // MTP blocks included
	experts int
	gqa     int
	is70B   bool
}

// readModel takes the model's counts from its metadata, whatever the namespace; a *gguf.KeyError when one is missing.
// With count, for an architecture that nobody knows, tensors are counted for what the metadata do not say.
func readModel(md *gguf.Metadata, ts []gguf.TensorInfo, count bool) (model, error) {
	var m model
	var err error
	var seen counted
	if count {
		seen = countTensors(ts)
	}
	if m.arch, err = md.Architecture(); err != nil && !count {
		return m, fmt.Errorf("quantize: %w", err)
	}
	blocks, err := md.Int(md.ModelKey("block_count"))
	if _, ok := md.Get(md.ModelKey("block_count")); !ok && count {
		blocks, err = seen.blocks, nil
	}
	if err != nil {
		return m, fmt.Errorf("quantize: %w", err)
	}
	experts, err := optionalInt(md, "expert_count", seen.experts)
	if err != nil {
		return m, err
	}
	nextn, err := optionalInt(md, "nextn_predict_layers", 0)
	if err != nil {
		return m, err
	}
	heads, err := optionalInt(md, "attention.head_count", seen.heads)
	if err != nil {
		return m, err
	}
	headsKV, err := optionalInt(md, "attention.head_count_kv", cmp.Or(seen.headsKV, heads))
	if err != nil {
		return m, err
	}
	if blocks < 0 || blocks == 0 && !count || blocks > 1<<20 || experts < 0 || experts > 1<<20 {
		return m, fmt.Errorf("quantize: %d blocks, %d experts", blocks, experts)
	}
	m.blocks, m.experts = int(blocks), int(experts)
	if headsKV > 0 {
		m.gqa = int(heads / headsKV)
	}
	switch layers := blocks - nextn; m.arch {
	case "llama", "llama-embed":
		m.is70B = layers == 80 && experts != 8 && heads != headsKV
	case "qwen2", "deci", "olmo":
		m.is70B = layers == 80
	case "jais2":
		m.is70B = layers == 68
	}
	return m, nil
}

// counted is what names and shapes of tensors say about a model.
type counted struct {
	blocks, experts int64
	heads, headsKV  int64 // rows of the first attn_q and attn_k: their ratio is that of the heads
}

func countTensors(ts []gguf.TensorInfo) counted {
	var c counted
	for _, t := range ts {
		n := names.Parse(t.Name)
		if n.Block < 0 || n.Suffix != "weight" {
			continue
		}
		c.blocks = max(c.blocks, int64(n.Block)+1)
		switch {
		case n.Role.Class() == names.RoutedExpert:
			c.experts = max(c.experts, t.Shape.NE(2))
		case n.Block == 0 && n.Role == names.AttnQ:
			c.heads = t.Shape.NE(1)
		case n.Block == 0 && n.Role == names.AttnK:
			c.headsKV = t.Shape.NE(1)
		}
	}
	if c.heads == 0 || c.headsKV == 0 {
		c.heads, c.headsKV = 0, 0
	}
	return c
}

// optionalInt is an integer key of the architecture, the first element where it is an array (one a block), def where missing.
func optionalInt(md *gguf.Metadata, key string, def int64) (int64, error) {
	key = md.ModelKey(key)
	v, ok := md.Get(key)
	if !ok {
		return def, nil
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Slice && rv.Len() > 0 {
		var first gguf.Metadata
		first.Set(key, rv.Index(0).Interface())
		md = &first
	}
	n, err := md.Int(key)
	if err != nil {
		return 0, fmt.Errorf("quantize: %w", err)
	}
	return n, nil
}
