package convert

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// altered is a quantized micro checkpoint in memory, to be damaged.
type altered struct {
	files   fstest.MapFS
	config  map[string]any
	headers map[string]tensorHeader
	data    map[string][]byte
}

func alter(t testing.TB, family string) *altered {
	t.Helper()
	a := &altered{files: fstest.MapFS{}, headers: map[string]tensorHeader{}, data: map[string][]byte{}}
	for _, ck := range testdata.Checkpoints() {
		if ck.Family == family {
			maps.Copy(a.files, filesOf(t, os.DirFS(ck.Dir)))
		}
	}
	raw := a.files["model.safetensors"].Data
	n := binary.LittleEndian.Uint64(raw)
	var headers map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(a.files["config.json"].Data, &a.config), json.Unmarshal(raw[8:8+n], &headers)); err != nil {
		t.Fatal(err)
	}
	delete(headers, "__metadata__")
	for name, text := range headers {
		var h tensorHeader
		if err := json.Unmarshal(text, &h); err != nil {
			t.Fatal(err)
		}
		a.headers[name], a.data[name] = h, raw[8+int(n)+int(h.Offsets[0]):8+int(n)+int(h.Offsets[1])]
	}
	return a
}

func filesOf(t testing.TB, fsys fs.FS) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	names, err := fs.Glob(fsys, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = &fstest.MapFile{Data: b}
	}
	return out
}

// quant is quantization_config.
func (a *altered) quant() map[string]any { return a.config["quantization_config"].(map[string]any) }

// weights is the group's settings of compressed-tensors.
func (a *altered) weights() map[string]any {
	return a.quant()["config_groups"].(map[string]any)["group_0"].(map[string]any)["weights"].(map[string]any)
}

// put sets a tensor of zeros.
func (a *altered) put(name, dtype string, size int, shape ...int64) {
	n := int64(size)
	for _, d := range shape {
		n *= d
	}
	a.headers[name], a.data[name] = tensorHeader{DType: dtype, Shape: append([]int64{}, shape...)}, make([]byte, n)
}

// plan is what the checkpoint becomes.
func (a *altered) plan(t *testing.T) (*Plan, error) {
	t.Helper()
	a.files["config.json"] = &fstest.MapFile{Data: mustJSON(t, a.config)}
	a.files["model.safetensors"] = &fstest.MapFile{Data: safetensorsFile(t, a.headers, a.data)}
	return NewPlan(a.files, Options{Name: "x", OutType: "bf16"})
}

// attn begins the names of the tensors that the cases damage.
const attn = "model.layers.0.self_attn."

var refusals = []struct {
	name, from  string
	damage      func(a *altered)
	unsupported bool
	want        []string
}{
	{"awq", "mixtral-gptq4-order", func(a *altered) { a.quant()["quant_method"] = "awq" }, true, []string{`"awq"`, `w1.qweight" (I32)`, "GPTQ"}},
	{"bitsandbytes", "mixtral-bitnet", func(a *altered) { a.quant()["quant_method"] = "bitsandbytes" }, true, []string{`"bitsandbytes"`, `w1.weight" (U8)`}},
	{"no method", "mixtral-bitnet", func(a *altered) { delete(a.quant(), "quant_method") }, true, []string{"no quant_method", `w1.weight" (U8)`}},
	{"method of another type", "mixtral-bitnet", func(a *altered) { a.quant()["quant_method"] = 4 }, false, []string{"quant_method must be a string"}},
	{"undeclared FP8", "mixtral-fp8-block", func(a *altered) { delete(a.config, "quantization_config") }, true, []string{`w1.weight": dtype F8_E4M3`, "no quantization_config"}},
	{"undeclared words", "mixtral-gptq2", func(a *altered) { a.config["quantization_config"] = map[string]any{} }, true, []string{`w1.qweight" (I32)`, "no quantization_config"}},

	{"fp8: no scale", "mixtral-fp8-block", func(a *altered) { delete(a.data, attn+"q_proj.weight_scale_inv") }, true, []string{attn + "q_proj.weight", "F8_E4M3", "no scale"}},
	{"fp8: no weight", "mixtral-fp8-block", func(a *altered) { delete(a.data, attn+"q_proj.weight") }, false, []string{attn + "q_proj.weight_scale_inv", "has no " + attn + "q_proj.weight"}},
	{"fp8: too few blocks", "mixtral-fp8-block", func(a *altered) { a.put(attn+"q_proj.weight_scale_inv", "F32", 4, 2, 1) }, false, []string{"q_proj.weight_scale_inv", "[2 1]", "[48 48]", "blocks of [32 32]"}},
	{"fp8: too many blocks", "mixtral-fp8-block", func(a *altered) { a.put(attn+"q_proj.weight_scale_inv", "F32", 4, 3, 2) }, false, []string{"q_proj.weight_scale_inv", "[3 2]"}},
	{"fp8: rows where blocks are", "mixtral-fp8-block", func(a *altered) { a.put(attn+"q_proj.weight_scale_inv", "F32", 4, 48) }, false, []string{"q_proj.weight_scale_inv", "[48]"}},
	{"fp8: another number of rows", "mixtral-fp8-scales", func(a *altered) { a.put(attn+"q_proj.weight_scale_inv", "F32", 4, 47) }, false, []string{"q_proj.weight_scale_inv", "[47]"}},
	{"fp8: three dimensions", "mixtral-fp8-scales", func(a *altered) { a.put(attn+"q_proj.weight_scale_inv", "F32", 4, 1, 1, 1) }, false, []string{"q_proj.weight_scale_inv", "[1 1 1]"}},
	{"fp8: empty scale", "mixtral-fp8-scales", func(a *altered) { a.put(attn+"q_proj.weight_scale_inv", "F32", 4, 0) }, false, []string{"q_proj.weight_scale_inv", "[0]"}},
	{"fp8: scale of integers", "mixtral-fp8-scales", func(a *altered) { a.put(attn+"q_proj.weight_scale_inv", "I32", 4, 1) }, true, []string{"q_proj.weight_scale_inv", "I32"}},
	{"fp8: two scales", "mixtral-fp8-scales", func(a *altered) { a.put(attn+"q_proj.qscale_weight", "F32", 4, 1) }, false, []string{"q_proj.weight", "two scales"}},
	{"fp8: decoded already", "mixtral-fp8-block", func(a *altered) { a.put(attn+"q_proj.weight", "BF16", 2, 48, 48) }, false, []string{"q_proj.weight", "BF16", "decoded already"}},
	{"fp8: another FP8", "mixtral-fp8-block", func(a *altered) { a.put(attn+"q_proj.weight", "F8_E4M3FNUZ", 1, 48, 48) }, true, []string{"q_proj.weight", "F8_E4M3FNUZ"}},
	{"fp8: blocks no list", "mixtral-fp8-block", func(a *altered) { a.quant()["weight_block_size"] = 128 }, false, []string{"weight_block_size", "128"}},
	{"fp8: blocks of 0", "mixtral-fp8-block", func(a *altered) { a.quant()["weight_block_size"] = []int{0, 128} }, false, []string{"weight_block_size", "0"}},
	{"fp8: blocks that overflow", "mixtral-fp8-block", func(a *altered) { a.quant()["weight_block_size"] = []int{1 << 40, 128} }, false, []string{"weight_block_size", "1099511627776"}},

	{"ct: two groups", "mixtral-ct-int", func(a *altered) {
		g := a.quant()["config_groups"].(map[string]any)
		g["group_1"] = g["group_0"]
	}, true, []string{"2 groups (group_0, group_1)", `w1.weight" (I8)`}},
	{"ct: no groups", "mixtral-ct-int", func(a *altered) { delete(a.quant(), "config_groups") }, true, []string{"0 groups"}},
	{"ct: groups no object", "mixtral-ct-int", func(a *altered) { a.quant()["config_groups"] = 1 }, false, []string{"config_groups must be an object"}},
	{"ct: no weights", "mixtral-ct-int", func(a *altered) { a.quant()["config_groups"] = map[string]any{"g": map[string]any{}} }, false, []string{"config_groups.g.weights is missing"}},
	{"ct: format", "mixtral-ct-int", func(a *altered) { a.quant()["format"] = "marlin-24" }, true, []string{`format "marlin-24"`, `w1.weight" (I8)`}},
	{"ct: sparse", "mixtral-ct-int", func(a *altered) { a.quant()["sparsity_config"] = map[string]any{"format": "sparse-24-bitmask"} }, true, []string{"sparse-24-bitmask"}},
	{"ct: strategy", "mixtral-ct-int", func(a *altered) { a.weights()["strategy"] = "token" }, true, []string{`strategy "token"`}},
	{"ct: no structure", "mixtral-ct-float-block", func(a *altered) { delete(a.weights(), "block_structure") }, false, []string{"block_structure is missing"}},
	{"ct: no group size", "mixtral-ct-int", func(a *altered) { a.weights()["strategy"] = "group" }, false, []string{"group_size is missing"}},
	{"ct: zero point", "mixtral-ct-int", func(a *altered) { a.put(attn+"q_proj.weight_zero_point", "I8", 1, 48, 1) }, true, []string{"q_proj.weight_zero_point", "pack-quantized"}},
	{"ct: wrong blocks", "mixtral-ct-float-block", func(a *altered) { a.weights()["block_structure"] = []int{32, 32} }, false, []string{"weight_scale", "blocks of [32 32]"}},

	{"pack: strategy", "mixtral-ct-pack8", func(a *altered) { a.weights()["strategy"] = "tensor" }, true, []string{`strategy "tensor"`}},
	{"pack: bits", "mixtral-ct-pack8", func(a *altered) { a.weights()["num_bits"] = 16 }, true, []string{"16 bits"}},
	{"pack: floats", "mixtral-ct-pack8", func(a *altered) { a.weights()["type"] = "float" }, true, []string{`type "float"`}},
	{"pack: group size", "mixtral-ct-pack8", func(a *altered) { a.weights()["group_size"] = 16 }, false, []string{"weight_packed", "groups of 16"}},
	{"pack: no group size", "mixtral-ct-pack8", func(a *altered) { delete(a.weights(), "group_size") }, false, []string{"strategy group", "group_size 0"}},
	{"pack: no scale", "mixtral-ct-pack8", func(a *altered) { delete(a.data, attn+"q_proj.weight_scale") }, false, []string{"q_proj.weight_packed", "has no " + attn + "q_proj.weight_scale"}},
	{"pack: no shape", "mixtral-ct-pack8", func(a *altered) { delete(a.data, attn+"q_proj.weight_shape") }, false, []string{"q_proj.weight_packed", "has no " + attn + "q_proj.weight_shape"}},
	{"pack: shape of floats", "mixtral-ct-pack8", func(a *altered) { a.put(attn+"q_proj.weight_shape", "F32", 4, 2) }, false, []string{"q_proj.weight_shape", "F32"}},
	{"pack: one dimension", "mixtral-ct-pack8", func(a *altered) { a.put(attn+"q_proj.weight_packed", "I32", 4, 48*12) }, false, []string{"q_proj.weight_packed", "expected matrices"}},
	{"pack: bytes", "mixtral-ct-pack8", func(a *altered) { a.put(attn+"q_proj.weight_packed", "U8", 1, 48, 12) }, true, []string{"q_proj.weight_packed", "U8"}},
	{"pack: zero points unpacked", "mixtral-ct-pack4-zero", func(a *altered) { a.put(attn+"q_proj.weight_zero_point", "I32", 4, 48, 3) }, false, []string{"q_proj.weight_zero_point", "expected I32 [6 3]"}},
	{"pack: order", "mixtral-ct-pack8", func(a *altered) { a.put(attn+"q_proj.weight_g_idx", "I32", 4, 48) }, true, []string{"q_proj.weight_g_idx", "actorder"}},
	{"pack: no words", "mixtral-ct-pack8", func(a *altered) { delete(a.data, attn+"q_proj.weight_packed") }, false, []string{"q_proj.weight_scale", "has no " + attn + "q_proj.weight_packed"}},
	{"pack: twice", "mixtral-ct-pack8", func(a *altered) { a.put(attn+"q_proj.weight", "BF16", 2, 48, 48) }, false, []string{"q_proj.weight", "twice"}},

	{"gptq: 3 bits", "mixtral-gptq4-order", func(a *altered) { a.quant()["bits"] = 3 }, true, []string{"bits 3", `w1.qweight" (I32)`}},
	{"gptq: wrong bits", "mixtral-gptq4-order", func(a *altered) { a.quant()["bits"] = 8 }, false, []string{"qweight", "qzeros", "8 bits"}},
	{"gptq: format", "mixtral-gptq4-order", func(a *altered) { a.quant()["checkpoint_format"] = "marlin" }, true, []string{`checkpoint_format "marlin"`}},
	{"gptq: no scales", "mixtral-gptq2", func(a *altered) { delete(a.data, attn+"q_proj.scales") }, false, []string{"q_proj.qweight", "has no " + attn + "q_proj.scales"}},
	{"gptq: no zeros", "mixtral-gptq2", func(a *altered) { delete(a.data, attn+"q_proj.qzeros") }, false, []string{"q_proj.qweight", "has no " + attn + "q_proj.qzeros"}},
	{"gptq: no order where it matters", "mixtral-gptq4-order", func(a *altered) { delete(a.data, attn+"q_proj.g_idx") }, false, []string{"q_proj.qweight", "has no " + attn + "q_proj.g_idx"}},
	{"gptq: short order", "mixtral-gptq2", func(a *altered) { a.put(attn+"q_proj.g_idx", "I32", 4, 47) }, false, []string{"q_proj.g_idx", "[47]", "[48]"}},
	{"gptq: scales of integers", "mixtral-gptq2", func(a *altered) { a.put(attn+"q_proj.scales", "I32", 4, 3, 48) }, true, []string{"q_proj.scales", "I32"}},
	{"gptq: words of 16 bits", "mixtral-gptq2", func(a *altered) { a.put(attn+"q_proj.qweight", "I16", 2, 6, 48) }, true, []string{"q_proj.qweight", "I16"}},
	{"gptq: no qweight", "mixtral-gptq2", func(a *altered) { delete(a.data, attn+"q_proj.qweight") }, false, []string{"q_proj.g_idx", "has no " + attn + "q_proj.qweight"}},

	{"modelopt: FP4", "mixtral-modelopt-fp8", func(a *altered) { a.put(attn+"q_proj.weight", "U8", 1, 48, 24) }, true, []string{"q_proj.weight", "U8", "quant_algo FP8"}},
	{"modelopt: blocks", "mixtral-modelopt-fp8", func(a *altered) { a.put(attn+"q_proj.weight_scale", "F32", 4, 2, 2) }, false, []string{"q_proj.weight_scale", "[2 2]"}},
	{"modelopt: bad file", "mixtral-modelopt-fp8", func(a *altered) { a.files["hf_quant_config.json"] = &fstest.MapFile{Data: []byte("[]")} }, false, []string{"hf_quant_config.json"}},
	{"modelopt: bad producer", "mixtral-modelopt-fp8", func(a *altered) {
		a.files["hf_quant_config.json"] = &fstest.MapFile{Data: []byte(`{"producer":{"name":1}}`)}
	}, false, []string{"hf_quant_config.json.producer.name must be a string"}},
	{"modelopt: NVFP4", "mixtral-modelopt-fp8", func(a *altered) {
		a.files["hf_quant_config.json"] = &fstest.MapFile{Data: []byte(`{"producer":{"name":"modelopt"},"quantization":{"quant_algo":"NVFP4"}}`)}
		a.put(attn+"q_proj.weight", "U8", 1, 48, 24)
		a.put(attn+"q_proj.weight_scale", "F8_E4M3", 1, 48, 3)
		a.put(attn+"q_proj.weight_scale_2", "F32", 4)
	}, true, []string{"q_proj.weight", "U8", "NVFP4"}},
	{"modelopt: another producer", "mixtral-modelopt-fp8", func(a *altered) {
		a.files["hf_quant_config.json"] = &fstest.MapFile{Data: []byte(`{"producer":{"name":"Quark"}}`)}
	}, true, []string{`"quark"`, "F8_E4M3"}},

	{"bitnet: scales of rows", "mixtral-bitnet", func(a *altered) { a.put(attn+"q_proj.weight_scale", "BF16", 2, 48) }, false, []string{"q_proj.weight_scale", "[48]", "one scale"}},
	{"bitnet: no weight", "mixtral-bitnet", func(a *altered) { delete(a.data, attn+"q_proj.weight") }, false, []string{"q_proj.weight_scale", "has no"}},
	{"bitnet: other weights", "mixtral-bitnet", func(a *altered) { a.put(attn+"q_proj.weight", "I8", 1, 12, 48) }, true, []string{"q_proj.weight", "I8"}},
}

// What cannot be read is refused on headers, by name; what is damaged too.
func TestEncodingRefusals(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			a := alter(t, tt.from)
			if p, err := a.plan(t); err != nil {
				t.Fatalf("undamaged: %v", err)
			} else {
				p.Close()
			}
			tt.damage(a)
			p, err := a.plan(t)
			if err == nil {
				p.Close()
			}
			checkMessage(t, err, tt.want)
			var unsupported *gguf.UnsupportedError
			if got := errors.As(err, &unsupported); got != tt.unsupported {
				t.Errorf("is an UnsupportedError: %v, want %v: %v", got, tt.unsupported, err)
			}
		})
	}
}
