package convert

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// source is a tensor of the checkpoint as the families see it: of values, however they are encoded there.
type source struct {
	name string   // as the families' rules have it
	from []string // the tensors it is made of; the first one stands for it in messages
	view view
}

// encoding is one way in which checkpoints are quantized. One file each.
type encoding struct {
	name string
	// reads reports whether a quantization_config is of this encoding.
	reads func(family.Config) bool
	// resolve makes sources of the checkpoint's tensors, in the reference's reading order.
	// What it cannot read is a *gguf.UnsupportedError naming tensor and encoding.
	resolve func(family.Config, *safetensors.Checkpoint) ([]source, error)
}

// encodings lists all but the plain one.
var encodings = []encoding{mxfp4, fp8, compressedTensors, gptq, modelopt, bitnet}

// resolveSources finds what the checkpoint's tensors are, before anything is read of them.
func resolveSources(c family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	e := encoding{name: "unquantized", resolve: resolvePlain}
	if len(quantization(c).fields) > 0 {
		var err error
		if e, err = encodingOf(c, ckpt); err != nil {
			return nil, err
		}
	}
	if err := c.Err(); err != nil {
		return nil, wrap(err)
	}
	sources, err := e.resolve(c, ckpt)
	var unsupported *gguf.UnsupportedError
	if errors.As(err, &unsupported) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("convert: %s checkpoint: %w", e.name, err)
	}
	for i := range sources {
		sources[i].name = familyName(sources[i].name)
	}
	return sources, nil
}

// familyName is a tensor's name without what wrappers around the same model add to it.
func familyName(name string) string {
	if strings.HasSuffix(name, "e_score_correction_bias") {
		name = strings.TrimSuffix(name, "e_score_correction_bias") + "e_score_correction.bias"
	}
	return strings.ReplaceAll(name, "language_model.", "")
}

// codeEnds are ends of names under which known encodings keep their codes.
var codeEnds = []string{".qweight", ".weight_packed", "_blocks", ".q_weight", ".W_q", "._data", ":_qdata", ".SCB", ".weight.absmax"}

func resolvePlain(_ family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	var out []source
	for _, t := range ckpt.Tensors() {
		if _, plain := plainTypes[t.DType]; !plain && endsIn(t.Name, codeEnds) {
			return nil, unsupported(t, "this is how quantized weights are named, but config.json has no quantization_config that says how to read them")
		}
		out = append(out, plainSource(ckpt, t, "config.json has no quantization_config that says what it means"))
	}
	return out, nil
}

// plainSource is a tensor whose values stand in the checkpoint as they are; why says what is amiss where they do not.
func plainSource(ckpt *safetensors.Checkpoint, t safetensors.Tensor, why string) source {
	typ, ok := plainTypes[t.DType]
	if !ok {
		return source{t.Name, []string{t.Name}, unreadable{t, why}}
	}
	return source{t.Name, []string{t.Name}, stored{ckpt, t, typ}}
}
