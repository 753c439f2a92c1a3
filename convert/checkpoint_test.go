package convert

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/testdata"
)

// checkpoint is a DeepSeek-MoE v1 checkpoint under construction. Weights depend on tensor names alone.
type checkpoint struct {
	config map[string]any
	dtypes func(name string) string // BF16 where nil
	shards int
	extra  map[string][]int64 // further tensors and their shapes
	files  map[string]string  // further files
	omit   []string           // files of the tiny model that are left out
}

// deepseekConfig is a small config.json with changes; a change to the string "-" removes the field.
func deepseekConfig(changes map[string]any) map[string]any {
	c := map[string]any{
		"architectures": []string{"DeepseekForCausalLM"}, "attention_bias": false, "first_k_dense_replace": 1, "hidden_act": "silu",
		"hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 512, "model_type": "deepseek", "moe_intermediate_size": 64,
		"moe_layer_freq": 1, "n_routed_experts": 4, "n_shared_experts": 1, "norm_topk_prob": false, "num_attention_heads": 4,
		"num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "rope_scaling": nil,
		"rope_theta": json.Number("10000"), "scoring_func": "softmax", "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 1408,
	}
	for k, v := range changes {
		if v == "-" {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	return c
}

func (c *checkpoint) int(key string) int64 {
	n, _ := c.config[key].(int)
	return int64(n)
}

// shapes lists the source tensors of a DeepSeek-MoE with this config, outermost dimension first.
func (c *checkpoint) shapes() map[string][]int64 {
	h, v, ff, moe := c.int("hidden_size"), c.int("vocab_size"), c.int("intermediate_size"), c.int("moe_intermediate_size")
	head := h / c.int("num_attention_heads")
	kv := c.int("num_key_value_heads") * head
	if kv == 0 {
		kv = h
	}
	s := map[string][]int64{"model.embed_tokens.weight": {v, h}, "model.norm.weight": {h}, "lm_head.weight": {v, h}}
	if c.config["tie_word_embeddings"] == true {
		delete(s, "lm_head.weight")
	}
	mlp := func(prefix string, ff int64) {
		s[prefix+".gate_proj.weight"], s[prefix+".up_proj.weight"], s[prefix+".down_proj.weight"] = []int64{ff, h}, []int64{ff, h}, []int64{h, ff}
	}
	for l := range c.int("num_hidden_layers") {
		p := fmt.Sprintf("model.layers.%d", l)
		s[p+".input_layernorm.weight"], s[p+".post_attention_layernorm.weight"] = []int64{h}, []int64{h}
		s[p+".self_attn.q_proj.weight"], s[p+".self_attn.o_proj.weight"] = []int64{h, h}, []int64{h, h}
		s[p+".self_attn.k_proj.weight"], s[p+".self_attn.v_proj.weight"] = []int64{kv, h}, []int64{kv, h}
		if l < c.int("first_k_dense_replace") {
			mlp(p+".mlp", ff)
			continue
		}
		s[p+".mlp.gate.weight"] = []int64{c.int("n_routed_experts"), h}
		for x := range c.int("n_routed_experts") {
			mlp(fmt.Sprintf("%s.mlp.experts.%d", p, x), moe)
		}
		mlp(p+".mlp.shared_experts", moe*c.int("n_shared_experts"))
	}
	maps.Copy(s, c.extra)
	return s
}

// build lays the checkpoint out in memory, with the tokenizer of the tiny model.
func (c *checkpoint) build(t *testing.T) fstest.MapFS {
	t.Helper()
	fsys := tinyFiles(t)
	delete(fsys, "model.safetensors")
	for _, name := range c.omit {
		delete(fsys, name)
	}
	fsys["config.json"] = &fstest.MapFile{Data: mustJSON(t, c.config)}
	for name, text := range c.files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	shapes := c.shapes()
	byShard := make([]map[string][]byte, max(1, c.shards))
	infos := map[string]tensorHeader{}
	for i, name := range slices.Sorted(maps.Keys(shapes)) {
		dtype := "BF16"
		if c.dtypes != nil {
			dtype = c.dtypes(name)
		}
		infos[name] = tensorHeader{DType: dtype, Shape: shapes[name]}
		shard := byShard[i*7919%len(byShard)] // experts of one layer land in different shards
		if shard == nil {
			shard = map[string][]byte{}
			byShard[i*7919%len(byShard)] = shard
		}
		shard[name] = weights(name, dtype, shapes[name])
	}
	if len(byShard) == 1 {
		fsys["model.safetensors"] = &fstest.MapFile{Data: safetensorsFile(t, infos, byShard[0])}
		return fsys
	}
	index := map[string]string{}
	for i, data := range byShard {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(byShard))
		fsys[name] = &fstest.MapFile{Data: safetensorsFile(t, infos, data)}
		for tensor := range data {
			index[tensor] = name
		}
	}
	fsys["model.safetensors.index.json"] = &fstest.MapFile{Data: mustJSON(t, map[string]any{"metadata": map[string]any{}, "weight_map": index})}
	return fsys
}

// tinyFiles copies the embedded checkpoint.
func tinyFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	err := fs.WalkDir(testdata.Tiny(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(testdata.Tiny(), name)
		fsys[name] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

type tensorHeader struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// safetensorsFile encodes tensors; a tensor without data is left out.
func safetensorsFile(t testing.TB, infos map[string]tensorHeader, data map[string][]byte) []byte {
	t.Helper()
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var body []byte
	for _, name := range slices.Sorted(maps.Keys(data)) {
		h := infos[name]
		h.Offsets = [2]int64{int64(len(body)), int64(len(body) + len(data[name]))}
		header[name] = h
		body = append(body, data[name]...)
	}
	text := mustJSON(t, header)
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), body...)
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// weights draws a tensor: mostly values around 0.1, a few large, tiny or zero ones, all below f16's largest.
func weights(name, dtype string, shape []int64) []byte {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	state := h.Sum64()
	var out []byte
	for range n {
		// splitmix64
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		exp := 120 + uint32(z>>40)%7
		switch pick := z >> 50 % 256; {
		case pick == 0:
			exp = 127 + uint32(z>>40)%14
		case pick == 1:
			exp = 40 + uint32(z>>40)%80
		case pick == 2:
			exp = 0
		}
		if strings.HasSuffix(name, "norm.weight") {
			exp = 127
		}
		bits := uint32(z)&0x807fffff | exp<<23
		if exp == 0 {
			bits = 0
		}
		switch dtype {
		case "F32":
			out = binary.LittleEndian.AppendUint32(out, bits)
		case "F16":
			out = binary.LittleEndian.AppendUint16(out, halfBits(bits))
		default:
			out = binary.LittleEndian.AppendUint16(out, uint16(bits>>16))
		}
	}
	return out
}

// halfBits truncates a float32 to f16, subnormal halves included.
func halfBits(b uint32) uint16 {
	sign := uint16(b >> 16 & 0x8000)
	v := math.Float32frombits(b &^ 0x80000000)
	exp := int(b>>23&0xff) - 127
	if exp < -14 {
		return sign | uint16(float64(v)*(1<<24))
	}
	return sign | uint16(exp+15)<<10 | uint16(b>>13&0x3ff)
}
