package convert

import (
	"context"
	"encoding/binary"
	"maps"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// rename moves the tensors whose names end so.
func (a *altered) rename(end, with string) {
	for _, name := range a.ending(end) {
		to := strings.TrimSuffix(name, end) + with
		a.headers[to], a.data[to] = a.headers[name], a.data[name]
		delete(a.data, name)
	}
}

func (a *altered) ending(end string) []string {
	var out []string
	for name := range a.data {
		if strings.HasSuffix(name, end) {
			out = append(out, name)
		}
	}
	return out
}

func (a *altered) compressed(format string, weights map[string]any) {
	a.config["quantization_config"] = map[string]any{"quant_method": "compressed-tensors", "format": format,
		"config_groups": map[string]any{"group_0": map[string]any{"weights": weights}}}
}

// same are forms that say the same as a checkpoint whose golden the reference made; it refuses most of them.
var same = []struct {
	name, from string
	rewrite    func(a *altered)
}{
	{"fp8 with weight_scale", "mixtral-fp8-scales", func(a *altered) {
		a.rename(".weight_scale_inv", ".weight_scale")
		a.rename(".activation_scale", ".input_scale")
	}},
	{"fp8 as Mistral names it", "mixtral-fp8-scales", func(a *altered) {
		a.rename(".weight_scale_inv", ".qscale_weight")
		a.rename(".activation_scale", ".qscale_act")
	}},
	{"float-quantized by tensor", "mixtral-modelopt-fp8", func(a *altered) {
		delete(a.files, "hf_quant_config.json")
		a.compressed("float-quantized", map[string]any{"type": "float", "num_bits": 8, "strategy": "tensor"})
	}},
	{"modelopt in config.json", "mixtral-modelopt-fp8", func(a *altered) {
		delete(a.files, "hf_quant_config.json")
		a.config["quantization_config"] = map[string]any{"quant_method": "modelopt", "quant_algo": "FP8"}
		a.put("model.layers.9.q_proj.weight_scale", "F32", 4) // of a layer that was left out
	}},
	{"gptq without g_idx", "mixtral-gptq2", func(a *altered) {
		for _, name := range a.ending(".g_idx") {
			delete(a.data, name)
		}
	}},
	{"gptq without g_idx, one group", "mixtral-gptq8-v2", func(a *altered) {
		a.quant()["group_size"] = -1
		for _, name := range a.ending(".g_idx") {
			if a.headers[name].Shape[0] <= 48 {
				delete(a.data, name)
			}
		}
	}},
	{"packed by channel", "mixtral-ct-int", func(a *altered) {
		a.compressed("pack-quantized", map[string]any{"num_bits": 8, "strategy": "channel"})
		for _, name := range a.ending(".weight_scale") {
			weight := strings.TrimSuffix(name, "_scale")
			shape, codes := a.headers[weight].Shape, a.data[weight]
			a.put(weight+"_packed", "I32", 4, shape[0], shape[1]/4)
			for i, c := range codes {
				a.data[weight+"_packed"][i] = c ^ 0x80
			}
			a.put(weight+"_shape", "I32", 4, 2)
			binary.LittleEndian.PutUint32(a.data[weight+"_shape"], uint32(shape[0]))
			binary.LittleEndian.PutUint32(a.data[weight+"_shape"][4:], uint32(shape[1]))
			delete(a.data, weight)
		}
	}},
	{"naive by group", "mixtral-ct-pack8", func(a *altered) {
		a.compressed("naive-quantized", map[string]any{"num_bits": 8, "strategy": "group", "group_size": 8})
		for _, name := range a.ending("_packed") {
			weight := strings.TrimSuffix(name, "_packed")
			shape := a.headers[name].Shape
			a.put(weight, "I8", 1, shape[0], 4*shape[1])
			for i, c := range a.data[name] {
				a.data[weight][i] = c ^ 0x80
			}
			delete(a.data, name)
			delete(a.data, weight+"_shape")
		}
	}},
}

// Where some experts are quantized and others are not, the stack has the values of all.
func TestMixedExperts(t *testing.T) {
	a := alter(t, "mixtral-ct-int")
	want := tensorSums(t, a)
	const weight = "model.layers.0.block_sparse_moe.experts.1.w2.weight"
	shape, codes, scale := a.headers[weight].Shape, a.data[weight], a.data[weight+"_scale"]
	a.put(weight, "F32", 4, shape...)
	for i, c := range codes {
		row := i / int(shape[1])
		v := float32(int8(c)) * block.F16ToF32(binary.LittleEndian.Uint16(scale[2*row:]))
		binary.LittleEndian.PutUint32(a.data[weight][4*i:], math.Float32bits(v))
	}
	delete(a.data, weight+"_scale")
	if got := tensorSums(t, a); !maps.Equal(got, want) {
		t.Errorf("tensors differ: %v, want %v", got, want)
	}
	a.put(weight, "BF16", 2, shape...) // of zeros
	if got := tensorSums(t, a); got["blk.0.ffn_down_exps.weight"] == want["blk.0.ffn_down_exps.weight"] || len(got) != len(want) {
		t.Errorf("an expert of zeros changes nothing: %v", got)
	}
}

// Weights and their scales may lie in different shards, in either order.
func TestEncodingShards(t *testing.T) {
	for _, from := range []string{"mixtral-fp8-block", "mixtral-gptq4-order", "mixtral-ct-pack4-zero"} {
		for _, scalesFirst := range []bool{false, true} {
			a := alter(t, from)
			want := tensorSums(t, a)
			one, two := map[string][]byte{}, map[string][]byte{}
			for name, b := range a.data {
				part := one
				if scalesFirst == !strings.Contains(name, "scale") {
					part = two
				}
				part[name] = b
			}
			a.files["model-00001-of-00002.safetensors"] = &fstest.MapFile{Data: safetensorsFile(t, a.headers, one)}
			a.files["model-00002-of-00002.safetensors"] = &fstest.MapFile{Data: safetensorsFile(t, a.headers, two)}
			delete(a.files, "model.safetensors")
			p, err := NewPlan(a.files, Options{Name: "x", OutType: "bf16"})
			if err != nil {
				t.Fatal(err)
			}
			if got := sumsOf(t, p); !maps.Equal(got, want) {
				t.Errorf("%s: tensors differ: %v, want %v", from, got, want)
			}
			p.Close()
		}
	}
}

// tensorSums are the SHA-256 of a plan's tensors.
func tensorSums(t *testing.T, a *altered) map[string]string {
	t.Helper()
	p, err := a.plan(t)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	return sumsOf(t, p)
}

func sumsOf(t *testing.T, p *Plan) map[string]string {
	t.Helper()
	sums := map[string]string{}
	var err error
	for i, info := range p.Tensors() {
		if sums[info.Name], err = gguf.TensorSHA256(context.Background(), p, i); err != nil {
			t.Fatal(err)
		}
	}
	return sums
}

func TestEncodingForms(t *testing.T) {
	for _, tt := range same {
		t.Run(tt.name, func(t *testing.T) {
			a := alter(t, tt.from)
			want := tensorSums(t, a)
			tt.rewrite(a)
			if got := tensorSums(t, a); !maps.Equal(got, want) {
				t.Errorf("tensors differ: %v, want %v", got, want)
			}
		})
	}
}

// Scales may be powers of two of one byte.
func TestScalesE8M0(t *testing.T) {
	a, b := alter(t, "mixtral-fp8-block"), alter(t, "mixtral-fp8-block")
	for _, name := range a.ending("_scale_inv") {
		shape := a.headers[name].Shape
		a.put(name, "F32", 4, shape...)
		b.put(name, "F8_E8M0", 1, shape...)
		for i := range b.data[name] {
			e := i%11 - 8
			b.data[name][i] = byte(127 + e)
			binary.LittleEndian.PutUint32(a.data[name][4*i:], math.Float32bits(float32(math.Ldexp(1, e))))
		}
	}
	if got, want := tensorSums(t, b), tensorSums(t, a); !maps.Equal(got, want) {
		t.Errorf("tensors differ: %v, want %v", got, want)
	}
}

// Damage that only the data shows is found when it is read.
func TestEncodingDamagedData(t *testing.T) {
	for _, tt := range []struct {
		name, from string
		damage     func(a *altered)
		want       []string
	}{
		{"NaN code", "mixtral-fp8-block", func(a *altered) { a.data[attn+"q_proj.weight"][48*3+5] = 0xff }, []string{attn + "q_proj.weight", "[3 5]", "NaN"}},
		{"NaN scale", "mixtral-fp8-scales", func(a *altered) {
			copy(a.data[attn+"v_proj.weight_scale_inv"], "\xff\xff\xff\x7f")
		}, []string{attn + "v_proj.weight", "[0 ", "NaN"}},
		{"infinite code", "mixtral-fp8-block", func(a *altered) {
			name := attn + "q_proj.weight"
			a.headers[name] = tensorHeader{DType: "F8_E5M2", Shape: a.headers[name].Shape}
			for i := range a.data[name] {
				a.data[name][i] = 0
			}
			a.data[name][7] = 0xfc
		}, []string{attn + "q_proj.weight", "[0 7]", "-Inf"}},
		{"weight_shape", "mixtral-ct-pack8", func(a *altered) { a.data[attn+"q_proj.weight_shape"][8]++ }, []string{attn + "q_proj.weight_shape", "dimension 1 is 49", "make it 48"}},
		{"negative weight_shape", "mixtral-ct-pack8", func(a *altered) { a.data[attn+"q_proj.weight_shape"][7] = 0xff }, []string{attn + "q_proj.weight_shape", "dimension 0 is -"}},
		{"group beyond the last", "mixtral-gptq4-order", func(a *altered) { a.data[attn+"k_proj.g_idx"][4*9] = 3 }, []string{attn + "k_proj.g_idx", "element 9 is group 3", "there are 3"}},
		{"negative group", "mixtral-gptq4-order", func(a *altered) {
			copy(a.data[attn+"k_proj.g_idx"], "\xff\xff\xff\xff")
		}, []string{attn + "k_proj.g_idx", "element 0 is group -1"}},
		{"infinite scale", "mixtral-gptq4-order", func(a *altered) {
			copy(a.data[attn+"k_proj.scales"], "\x00\x7c")
		}, []string{attn + "k_proj.qweight", "Inf"}},
		{"scale of 0", "mixtral-bitnet", func(a *altered) {
			copy(a.data[attn+"k_proj.weight_scale"], "\x00\x00")
		}, []string{attn + "k_proj.weight"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := alter(t, tt.from)
			tt.damage(a)
			p, err := a.plan(t)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for i := range p.Tensors() {
				if _, err = gguf.TensorSHA256(context.Background(), p, i); err != nil {
					break
				}
			}
			checkMessage(t, err, tt.want)
		})
	}
}
