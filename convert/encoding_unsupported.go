package convert

import (
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// advice says what to do about encodings that are known but not read.
var advice = map[string]string{
	"awq":          "take the checkpoint it was made from, or one in GPTQ or compressed-tensors form",
	"bitsandbytes": "take the checkpoint it was made from: what bitsandbytes rounds to 4 or 8 bits is not worth rounding again",
	"exl2":         "take the checkpoint it was made from",
	"exl3":         "take the checkpoint it was made from",
	"fbgemm_fp8":   "take the checkpoint it was made from, or an FP8 one in compressed-tensors form",
	"gguf":         "it is a GGUF file already: quantize or tag that one",
	"hqq":          "take the checkpoint it was made from",
	"quanto":       "take the checkpoint it was made from",
	"torchao":      "take the checkpoint it was made from",
}

// encodingOf finds the encoding that quantization_config names; one that is not read is a *gguf.UnsupportedError
// naming it and a tensor.
func encodingOf(c family.Config, ckpt *safetensors.Checkpoint) (encoding, error) {
	for _, e := range encodings {
		if e.reads(c) {
			return e, nil
		}
	}
	q := quantization(c)
	name, err := q.str("quant_method")
	if err != nil {
		return encoding{}, fmt.Errorf("convert: %w", err)
	}
	if name == "" {
		return encoding{}, &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: %s has no quant_method, which would say what %s means; start from the unquantized checkpoint", q.path, firstWeight(ckpt))}
	}
	do := advice[name]
	if do == "" {
		do = "start from the unquantized checkpoint"
	}
	return encoding{}, &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: %s: encoding %q is not supported for %s (%s are); %s", q.path, name, firstWeight(ckpt), encodingNames(), do)}
}

func encodingNames() string {
	var out []string
	for _, e := range encodings {
		out = append(out, e.name)
	}
	return strings.Join(out, ", ")
}

// firstWeight names a tensor that shows the encoding.
func firstWeight(ckpt *safetensors.Checkpoint) string {
	for _, t := range ckpt.Tensors() {
		if _, plain := plainTypes[t.DType]; !plain && !endsIn(t.Name, []string{".g_idx", ".qzeros", "_scale", "_scales", "_shape", "_zero_point"}) {
			return fmt.Sprintf("tensor %q (%s)", t.Name, t.DType)
		}
	}
	return "this checkpoint"
}

// unsupported is a tensor whose encoding is understood but not read.
func unsupported(t safetensors.Tensor, format string, args ...any) error {
	return &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: tensor %q (%s): %s", t.Name, t.DType, fmt.Sprintf(format, args...))}
}
