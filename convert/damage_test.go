package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// tinyModel is the trained tiny model taken apart, to be damaged.
type tinyModel struct {
	files  fstest.MapFS
	header map[string]map[string]any // of model.safetensors, by tensor
	body   []byte
	config map[string]any
}

func openTiny(t *testing.T) *tinyModel {
	t.Helper()
	m := &tinyModel{files: tinyFiles(t)}
	data := m.files["model.safetensors"].Data
	n := binary.LittleEndian.Uint64(data)
	for text, v := range map[*[]byte]any{ptr(data[8 : 8+n]): &m.header, ptr(m.files["config.json"].Data): &m.config} {
		d := json.NewDecoder(bytes.NewReader(*text))
		d.UseNumber()
		if err := d.Decode(v); err != nil {
			t.Fatal(err)
		}
	}
	m.body = bytes.Clone(data[8+n:])
	delete(m.header, "__metadata__")
	return m
}

func ptr(b []byte) *[]byte { return &b }

// offsets are a tensor's first and last byte in the body.
func (m *tinyModel) offsets(name string) (from, to int64) {
	list := m.header[name]["data_offsets"].([]any)
	from, _ = list[0].(json.Number).Int64()
	to, _ = list[1].(json.Number).Int64()
	return from, to
}

// set16 overwrites one BF16 value of a tensor.
func (m *tinyModel) set16(name string, element int64, bits uint16) {
	from, _ := m.offsets(name)
	binary.LittleEndian.PutUint16(m.body[from+2*element:], bits)
}

// pack writes tensors into one file again, their data side by side.
func (m *tinyModel) pack(t *testing.T, names []string) []byte {
	t.Helper()
	infos, data := map[string]tensorHeader{}, map[string][]byte{}
	for _, name := range names {
		var h tensorHeader
		if err := json.Unmarshal(mustJSON(t, m.header[name]), &h); err != nil {
			t.Fatal(err)
		}
		from, to := m.offsets(name)
		infos[name], data[name] = h, m.body[from:to]
	}
	return safetensorsFile(t, infos, data)
}

// raw writes the header as it stands, however wrong, and the body behind it.
func (m *tinyModel) raw(t *testing.T) []byte {
	text := mustJSON(t, m.header)
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), m.body...)
}

func (m *tinyModel) names() []string { return slices.Sorted(maps.Keys(m.header)) }

// fs is the damaged checkpoint: config and tensors as they now are.
func (m *tinyModel) fs(t *testing.T) fstest.MapFS {
	m.files["config.json"] = &fstest.MapFile{Data: mustJSON(t, m.config)}
	m.files["model.safetensors"] = &fstest.MapFile{Data: m.pack(t, m.names())}
	return m.files
}

const (
	tinyExpert = "model.layers.1.mlp.experts.3."
	tinyEmbed  = "model.embed_tokens.weight"
)

func TestDamagedTinyTensors(t *testing.T) {
	tests := []struct {
		name   string
		damage func(m *tinyModel)
		want   []string
	}{
		{"no gate", func(m *tinyModel) { delete(m.header, tinyExpert+"gate_proj.weight") }, []string{"layer 1: expert 3 has no gate_proj.weight (17 of 18 expert tensors)"}},
		{"no up", func(m *tinyModel) { delete(m.header, tinyExpert+"up_proj.weight") }, []string{"layer 1: expert 3 has no up_proj.weight"}},
		{"no down", func(m *tinyModel) { delete(m.header, tinyExpert+"down_proj.weight") }, []string{"layer 1: expert 3 has no down_proj.weight"}},
		{"no expert", func(m *tinyModel) {
			for _, p := range []string{"gate", "up", "down"} {
				delete(m.header, tinyExpert+p+"_proj.weight")
			}
		}, []string{"layer 1: expert 3 has no down_proj.weight, gate_proj.weight, up_proj.weight (15 of 18"}},
		{"no experts in a layer", func(m *tinyModel) {
			maps.DeleteFunc(m.header, func(k string, _ map[string]any) bool { return strings.Contains(k, "layers.2.mlp.experts.") })
		}, []string{"layer 2 has no routed experts", "model.layers.2.mlp.experts.0"}},
		{"expert too many", func(m *tinyModel) {
			m.header["model.layers.1.mlp.experts.6.up_proj.weight"] = m.header[tinyExpert+"up_proj.weight"]
		}, []string{"model.layers.1.mlp.experts.6.up_proj.weight", "layer 1: expert 6 is beyond the 6 experts"}},
		{"expert shape", func(m *tinyModel) {
			m.header[tinyExpert+"up_proj.weight"]["shape"] = []int{512, 128}
		}, []string{"layer 1: expert 3", tinyExpert + "up_proj.weight", "[512 128]", "[256 256]"}},
		{"unknown tensor", func(m *tinyModel) { m.header["model.layers.0.mystery.weight"] = m.header["model.norm.weight"] }, []string{"cannot map", "model.layers.0.mystery.weight"}},
		{"bias", func(m *tinyModel) { m.header["model.layers.0.self_attn.q_proj.bias"] = m.header["model.norm.weight"] }, []string{"cannot map", "q_proj.bias"}},
		{"extra layer", func(m *tinyModel) { m.header["model.layers.3.input_layernorm.weight"] = m.header["model.norm.weight"] }, []string{"layer 3 is beyond num_hidden_layers 3"}},
		{"missing layer", func(m *tinyModel) {
			maps.DeleteFunc(m.header, func(k string, _ map[string]any) bool { return strings.Contains(k, "layers.2.") })
		}, []string{"num_hidden_layers is 3", "no tensors of layers 2 to 2"}},
		{"missing embedding", func(m *tinyModel) { delete(m.header, tinyEmbed) }, []string{"required tensor", tinyEmbed}},
		{"missing norm", func(m *tinyModel) { delete(m.header, "model.layers.1.input_layernorm.weight") }, []string{"required tensor", "model.layers.1.input_layernorm.weight"}},
		{"missing router", func(m *tinyModel) { delete(m.header, "model.layers.1.mlp.gate.weight") }, []string{"model.layers.1.mlp.gate.weight"}},
		{"missing shared expert", func(m *tinyModel) { delete(m.header, "model.layers.1.mlp.shared_experts.up_proj.weight") }, []string{"model.layers.1.mlp.shared_experts.up_proj.weight"}},
		{"missing output", func(m *tinyModel) { delete(m.header, "lm_head.weight") }, []string{"lm_head.weight", "tie_word_embeddings is not true"}},
		{"wrong place", func(m *tinyModel) {
			m.header["model.layers.1.mlp.up_proj.weight"] = m.header["model.layers.0.mlp.up_proj.weight"]
		}, []string{"model.layers.1.mlp.up_proj.weight", "does not belong"}},
		{"leading zero", func(m *tinyModel) { m.header["model.layers.00.mlp.up_proj.weight"] = m.header["model.norm.weight"] }, []string{"cannot map", "layers.00."}},
		{"dtype", func(m *tinyModel) { m.header["model.norm.weight"]["dtype"] = "I16" }, []string{"model.norm.weight", "dtype I16 is not supported"}},
	}
	for i, tt := range tests {
		if testing.Short() && i%4 != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			m := openTiny(t)
			tt.damage(m)
			_, err := NewPlan(m.fs(t), Options{Name: testdata.TinyName})
			checkMessage(t, err, tt.want)
			if h, ok := err.(interface{ Hint() string }); ok && h.Hint() == "" {
				t.Error("an empty hint")
			}
		})
	}
}

func TestDamagedTinyWeights(t *testing.T) {
	tests := []struct {
		name, outType, tensor string
		element               int64
		bits                  uint16
		want                  []string
	}{
		{"NaN copied", "bf16", tinyEmbed, 3*256 + 7, 0x7fc1, []string{tinyEmbed, "[3 7]", "NaN"}},
		{"NaN in an expert", "bf16", tinyExpert + "up_proj.weight", 256*5 + 1, 0xffc0, []string{tinyExpert + "up_proj.weight", "[5 1]", "NaN", "blk.1.ffn_up_exps.weight"}},
		{"NaN in a norm", "bf16", "model.norm.weight", 255, 0x7f81, []string{"model.norm.weight", "[255]", "NaN"}},
		{"Inf permuted", "bf16", "model.layers.0.self_attn.q_proj.weight", 33*256 + 2, 0x7f80, []string{"q_proj.weight", "[33 2]", "+Inf"}},
		{"Inf decoded", "f32", "lm_head.weight", 0, 0xff80, []string{"lm_head.weight", "[0 0]", "-Inf"}},
		{"NaN quantized", "q8_0", "lm_head.weight", 256*1407 + 255, 0x7fc0, []string{"lm_head.weight", "[1407 255]", "NaN"}},
		{"overflow", "f16", tinyExpert + "down_proj.weight", 256*255 + 254, 0x7f61, []string{tinyExpert + "down_proj.weight", "[255 254]", "overflows F16"}},
		{"overflow permuted", "f16", "model.layers.2.self_attn.k_proj.weight", 1, 0xc780, []string{"k_proj.weight", "[0 1]", "-65536", "overflows F16"}},
		{"block scale", "q8_0", "lm_head.weight", 40, 0x7f00, []string{"lm_head.weight", "[0 40]", "overflows Q8_0"}},
	}
	for i, tt := range tests {
		if testing.Short() && i%4 != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			m := openTiny(t)
			m.set16(tt.tensor, tt.element, tt.bits)
			p, err := NewPlan(m.fs(t), Options{Name: testdata.TinyName, OutType: tt.outType})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			err = gguf.Write(context.Background(), io.Discard, p, gguf.WriteOptions{Workers: 2})
			checkMessage(t, err, tt.want)
			var we *WeightError
			if !errors.As(err, &we) || we.Hint() == "" {
				t.Errorf("%T: not a WeightError with a hint", err)
			}
		})
	}
}

func TestDamagedTinyConfig(t *testing.T) {
	number := func(s string) json.Number { return json.Number(s) }
	tests := []struct {
		key         string
		value       any // "-" removes the field
		want        string
		unsupported bool
	}{
		{"architectures", "-", "no architectures", false},
		{"architectures", []any{}, "architectures must be a list of names, got []", false},
		{"architectures", []any{"FooMoeForCausalLM"}, "FooMoeForCausalLM is not supported", true},
		{"architectures", []any{"DeepseekV9ForCausalLM"}, "DeepseekV9ForCausalLM is not supported", true},
		{"norm_topk_prob", true, "norm_topk_prob true is not supported", true},
		{"norm_topk_prob", "yes", `norm_topk_prob must be true or false, got "yes"`, false},
		{"moe_layer_freq", number("2"), "moe_layer_freq 2 is not supported", true},
		{"moe_layer_freq", []any{0, 1, 1}, "moe_layer_freq [0,1,1] is not supported", true},
		{"rope_scaling", map[string]any{"type": "linear", "factor": 4}, `rope_scaling {"factor":4,"type":"linear"} is not supported`, true},
		{"rope_parameters", map[string]any{"rope_type": "yarn", "factor": 4}, `rope_parameters {"factor":4,"rope_type":"yarn"} is not supported`, true},
		{"rope_scaling", "linear", `rope_scaling must be an object, got "linear"`, false},
		{"attention_bias", true, "attention_bias true is not supported", true},
		{"scoring_func", "sigmoid", `scoring_func "sigmoid" is not supported`, true},
		{"scoring_func", "argmax", `scoring_func "argmax" is not supported`, true},
		{"hidden_act", "gelu", `hidden_act "gelu" is not supported`, true},
		{"quantization_config", map[string]any{"quant_method": "vptq"}, `quantization_config: encoding "vptq" is not supported`, true},
		{"routed_scaling_factor", number("16.0"), "routed_scaling_factor 16.0 is not supported", true},
		{"n_group", number("4"), "n_group 4 is not supported", true},
		{"kv_lora_rank", number("512"), "kv_lora_rank 512 is not supported", true},
		{"sliding_window", number("128"), "sliding_window 128 is not supported", true},
		{"partial_rotary_factor", number("0.5"), "partial_rotary_factor 0.5 is not supported", true},
		{"n_shared_experts", nil, "n_shared_experts", true},
		{"n_shared_experts", "-", "n_shared_experts", true},
		{"n_shared_experts", number("0"), "n_shared_experts", true},
		{"n_shared_experts", number("2"), "shared_experts.", false},
		{"head_dim", number("32"), "head_dim 32 times num_attention_heads 4 is not hidden_size 256", false},
		{"num_hidden_layers", "-", "num_hidden_layers is missing", false},
		{"num_hidden_layers", number("4"), "no tensors of layers 3 to 3", false},
		{"num_hidden_layers", number("1000000000"), "num_hidden_layers is 1000000000", false},
		{"num_hidden_layers", number("2"), "layer 2 is beyond num_hidden_layers 2", false},
		{"n_routed_experts", "-", "n_routed_experts is missing", false},
		{"n_routed_experts", number("7"), "layer 1: expert 6 has no down_proj.weight, gate_proj.weight, up_proj.weight (18 of 21 expert tensors)", false},
		{"n_routed_experts", number("5"), "expert 5 is beyond the 5 experts", false},
		{"n_routed_experts", number("2000000000"), "expert 6 has no", false},
		{"hidden_size", number("1099511627776"), "hidden_size 1099511627776 is out of range", false},
		{"hidden_size", number("256.0"), "hidden_size must be an integer, got 256.0", false},
		{"hidden_size", "256", `hidden_size must be an integer, got "256"`, false},
		{"hidden_size", nil, "hidden_size must be an integer, got null", false},
		{"hidden_size", number("128"), "[1408 256], expected [1408 128] (config.json: hidden_size 128)", false},
		{"num_attention_heads", number("-2"), "num_attention_heads must be positive, got -2", false},
		{"num_attention_heads", number("0"), "num_attention_heads must be positive, got 0", false},
		{"num_attention_heads", number("5"), "hidden_size 256 is not divisible by num_attention_heads 5", false},
		{"num_key_value_heads", number("3"), "num_attention_heads 4 is not divisible by num_key_value_heads 3", false},
		{"num_key_value_heads", number("4"), "k_proj.weight", false},
		{"num_experts_per_tok", number("9"), "num_experts_per_tok 9 exceeds the 6 experts", false},
		{"num_experts_per_tok", "-", "num_experts_per_tok is missing", false},
		{"first_k_dense_replace", "-", "first_k_dense_replace is missing", false},
		{"first_k_dense_replace", number("2"), "model.layers.1.mlp.", false},
		{"vocab_size", number("10"), "(config.json: vocab_size 10)", false},
		{"vocab_size", "-", "vocab_size is missing", false},
		{"moe_intermediate_size", "-", "moe_intermediate_size is missing", false},
		{"moe_intermediate_size", number("96"), "moe_intermediate_size 96", false},
		{"intermediate_size", "-", "intermediate_size is missing", false},
		{"rms_norm_eps", "-", "rms_norm_eps is missing", false},
		{"rms_norm_eps", "1e-6", `rms_norm_eps must be a number, got "1e-6"`, false},
		{"rms_norm_eps", number("1e400"), "rms_norm_eps 1e400 is out of range", false},
		{"rope_theta", []any{}, "rope_theta must be a number, got []", false},
		{"max_position_embeddings", "-", "max_position_embeddings is missing", false},
		{"tie_word_embeddings", "no", "tie_word_embeddings must be true or false", false},
	}
	for i, tt := range tests {
		if testing.Short() && i%4 != 0 {
			continue
		}
		t.Run(tt.key, func(t *testing.T) {
			m := openTiny(t)
			m.config[tt.key] = tt.value
			if tt.value == "-" {
				delete(m.config, tt.key)
			}
			m.files["config.json"] = &fstest.MapFile{Data: mustJSON(t, m.config)}
			_, err := NewPlan(m.files, Options{Name: testdata.TinyName})
			checkMessage(t, err, []string{tt.want})
			var unsupported *gguf.UnsupportedError
			if got := errors.As(err, &unsupported); got != tt.unsupported {
				t.Errorf("is an UnsupportedError: %v, want %v: %v", got, tt.unsupported, err)
			}
		})
	}
}
