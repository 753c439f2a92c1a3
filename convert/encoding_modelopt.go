package convert

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
)

// modelopt is NVIDIA's FP8: NAME.weight and one scale, NAME.weight_scale. Its FP4 forms are refused by their dtype, U8.
var modelopt = encoding{name: "modelopt", reads: method("modelopt"), resolve: resolveModelopt}

func resolveModelopt(cfg family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	algo, _ := quantization(cfg).fields["quant_algo"].(string)
	c := newCollector(ckpt, "no weight_scale belongs to it")
	for _, t := range ckpt.Tensors() {
		if endsIn(t.Name, activationScales) {
			c.drop(t.Name)
			continue
		}
		base, ok := strings.CutSuffix(t.Name, ".weight_scale")
		if !ok {
			continue
		}
		w, ok := ckpt.Tensor(base + ".weight")
		if !ok { // a layer that was left out
			c.drop(t.Name)
			continue
		}
		if w.DType == "U8" || w.DType == "I8" {
			return nil, unsupported(w, "weights of 4 bits (quant_algo %s of modelopt) are not supported, FP8 is; start from the unquantized checkpoint", algo)
		}
		if err := c.scale(w, t, nil); err != nil {
			return nil, err
		}
	}
	return c.sources(), nil
}

// quantConfigFile is where modelopt's tools write what newer ones put into config.json.
const quantConfigFile = "hf_quant_config.json"

// withQuantFile is the config with what quantConfigFile adds to its quantization_config.
func withQuantFile(fsys fs.FS, c family.Config) (family.Config, error) {
	text, err := readText(fsys, quantConfigFile)
	if text == nil || err != nil {
		return c, err
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return c, fmt.Errorf("convert: %s: not a JSON object", quantConfigFile)
	}
	file := settings{quantConfigFile, fields}
	producer, err := file.object("producer")
	if err != nil {
		return c, fmt.Errorf("convert: %w", err)
	}
	more, err := file.object("quantization")
	if err != nil {
		return c, fmt.Errorf("convert: %w", err)
	}
	name, err := producer.str("name")
	if err != nil {
		return c, fmt.Errorf("convert: %w", err)
	}
	q := maps.Clone(quantization(c).fields)
	if err := c.Err(); err != nil {
		return c, wrap(err)
	}
	if q == nil {
		q = map[string]any{}
	}
	if q["quant_algo"] != nil && q["quantized_layers"] != nil {
		return c, nil
	}
	if q["quant_method"] == nil && name != "" {
		q["quant_method"] = strings.ToLower(name)
	}
	for _, k := range []string{"quant_algo", "quantized_layers"} {
		if v := more.fields[k]; v != nil {
			q[k] = v
		}
	}
	return c.With("quantization_config", q), nil
}
