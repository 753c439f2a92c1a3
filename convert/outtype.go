package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// outType is one value of --outtype: the type of the large tensors and the number general.file_type gives it.
type outType struct {
	base     gguf.Type
	fileType uint32
}

var outTypes = map[string]outType{
	"f32":  {gguf.F32, 0},
	"f16":  {gguf.F16, 1},
	"q8_0": {gguf.Q8_0, 7},
	"bf16": {gguf.BF16, 32},
}

// fileTypeMXFP4 is what general.file_type says of a file whose experts stay MXFP4.
const fileTypeMXFP4 = 38

// parseOutType reads --outtype; auto takes the first half-precision matrix in reading order for an example.
func parseOutType(name string, sources []safetensors.Tensor) (outType, error) {
	if t, ok := outTypes[name]; ok {
		return t, nil
	}
	if name != "auto" && name != "" {
		return outType{}, fmt.Errorf("convert: unknown outtype %q (f32, f16, bf16, q8_0 or auto)", name)
	}
	for _, t := range sources {
		if len(t.Shape) < 2 {
			continue
		}
		switch t.DType {
		case "BF16":
			return outTypes["bf16"], nil
		case "F16":
			return outTypes["f16"], nil
		}
	}
	return outTypes["f16"], nil
}

// alwaysF32 are the roles the reference never encodes in less.
var alwaysF32 = []names.Role{names.FFNGateInp, "ffn_gate_inp_shexp", "position_embd", "token_types", "ssm_conv1d", "shortconv.conv",
	"ssm_conv1d_q", "ssm_conv1d_k", "ssm_conv1d_v", "indexer.proj"}

// tensorType is the type of one tensor of the file: small and delicate ones stay F32,
// rows that do not fit a quantization block become F16. With all, nothing counts as delicate by its name.
func tensorType(name string, shape gguf.Shape, base gguf.Type, all bool) gguf.Type {
	n := names.Parse(name)
	small := len(shape) <= 1 || strings.HasSuffix(name, "_norm.weight")
	if small || !all && (n.Suffix != "weight" || slices.Contains(alwaysF32, n.Role)) {
		return gguf.F32
	}
	if shape.NE(0)%int64(base.BlockLen()) != 0 {
		return gguf.F16
	}
	return base
}
