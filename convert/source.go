package convert

import (
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
var encodings = []encoding{mxfp4}

// resolveSources finds what the checkpoint's tensors are, before anything is read of them.
func resolveSources(c family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	resolve, name := resolvePlain, "unquantized"
	if q := c.Object("quantization_config"); len(q) > 0 {
		resolve, name = nil, ""
		for _, e := range encodings {
			if e.reads(c) {
				resolve, name = e.resolve, e.name
				break
			}
		}
		if resolve == nil {
			method, _ := q["quant_method"].(string)
			return nil, &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: config.json: quantization_config: encoding %q is not supported for %s; start from the unquantized checkpoint", method, firstWeight(ckpt))}
		}
	}
	if err := c.Err(); err != nil {
		return nil, wrap(err)
	}
	sources, err := resolve(c, ckpt)
	if err != nil {
		return nil, fmt.Errorf("convert: %s checkpoint: %w", name, err)
	}
	for i := range sources {
		sources[i].name = familyName(sources[i].name)
	}
	return sources, nil
}

// firstWeight names a tensor that shows the encoding.
func firstWeight(ckpt *safetensors.Checkpoint) string {
	for _, t := range ckpt.Tensors() {
		if _, plain := plainTypes[t.DType]; !plain {
			return fmt.Sprintf("tensor %q (%s)", t.Name, t.DType)
		}
	}
	return "this checkpoint"
}

// familyName is a tensor's name without what wrappers around the same model add to it.
func familyName(name string) string {
	if strings.HasSuffix(name, "e_score_correction_bias") {
		name = strings.TrimSuffix(name, "e_score_correction_bias") + "e_score_correction.bias"
	}
	return strings.ReplaceAll(name, "language_model.", "")
}

func resolvePlain(_ family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	var out []source
	for _, t := range ckpt.Tensors() {
		s, err := plainSource(ckpt, t)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// plainSource is a tensor whose values stand in the checkpoint as they are.
func plainSource(ckpt *safetensors.Checkpoint, t safetensors.Tensor) (source, error) {
	typ, ok := plainTypes[t.DType]
	if !ok {
		return source{name: t.Name, from: []string{t.Name}, view: unreadable{t}}, nil
	}
	return source{t.Name, []string{t.Name}, stored{ckpt, t, typ}}, nil
}
