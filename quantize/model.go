package quantize

import (
	"fmt"
	"reflect"

	"github.com/moeconv/moeconv/gguf"
)

// model is what the rules need to know about a model besides its tensors.
type model struct {
	arch    string
	blocks  int // MTP blocks included
	experts int
	gqa     int
	is70B   bool
}

// readModel takes the model's counts from its metadata; a *gguf.KeyError when one is missing.
func readModel(md *gguf.Metadata) (model, error) {
	var m model
	var err error
	if m.arch, err = md.Architecture(); err != nil {
		return m, fmt.Errorf("quantize: %w", err)
	}
	blocks, err := md.Int(md.ArchKey("block_count"))
	if err != nil {
		return m, fmt.Errorf("quantize: %w", err)
	}
	experts, err := optionalInt(md, "expert_count", 0)
	if err != nil {
		return m, err
	}
	nextn, err := optionalInt(md, "nextn_predict_layers", 0)
	if err != nil {
		return m, err
	}
	heads, err := optionalInt(md, "attention.head_count", 0)
	if err != nil {
		return m, err
	}
	headsKV, err := optionalInt(md, "attention.head_count_kv", heads)
	if err != nil {
		return m, err
	}
	if blocks < 1 || blocks > 1<<20 || experts < 0 || experts > 1<<20 {
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

// optionalInt is an integer key of the architecture, the first element where it is an array (one a block), def where missing.
func optionalInt(md *gguf.Metadata, key string, def int64) (int64, error) {
	key = md.ArchKey(key)
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
