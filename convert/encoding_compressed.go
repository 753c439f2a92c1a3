package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// compressedTensors is vLLM's layout: weights of one byte with weight_scale, or several in an int32 weight_packed.
var compressedTensors = encoding{name: "compressed-tensors", reads: method("compressed-tensors"), resolve: resolveCompressed}

func resolveCompressed(cfg family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	q := quantization(cfg)
	format, err := q.str("format")
	if err != nil {
		return nil, err
	}
	weights, err := onlyGroup(q, ckpt)
	if err != nil {
		return nil, err
	}
	if sparsity, _ := q.object("sparsity_config"); sparsity.has("format") && sparsity.fields["format"] != "dense" {
		return nil, refuseConfig(ckpt, "%s.format %v of sparse weights", sparsity.path, sparsity.fields["format"])
	}
	switch format {
	case "float-quantized", "int-quantized", "naive-quantized":
		return resolveNaive(weights, ckpt)
	case "pack-quantized":
		return resolvePacked(weights, ckpt)
	}
	return nil, refuseConfig(ckpt, "%s.format %q", q.path, format)
}

// refuseConfig is for what is known, named in words, but not read.
func refuseConfig(ckpt *safetensors.Checkpoint, format string, args ...any) error {
	return &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: %s is not supported, as %s has it; start from the unquantized checkpoint", fmt.Sprintf(format, args...), firstWeight(ckpt))}
}

// onlyGroup is the weights' settings of the one group of layers.
func onlyGroup(q settings, ckpt *safetensors.Checkpoint) (settings, error) {
	groups, err := q.object("config_groups")
	if err != nil {
		return settings{}, err
	}
	if len(groups.fields) != 1 {
		var names []string
		for n := range groups.fields {
			names = append(names, n)
		}
		slices.Sort(names)
		return settings{}, refuseConfig(ckpt, "%s of %d groups (%s), where one says what the weights are,", groups.path, len(names), strings.Join(names, ", "))
	}
	var group settings
	for name := range groups.fields {
		if group, err = groups.object(name); err != nil {
			return settings{}, err
		}
	}
	weights, err := group.object("weights")
	if err == nil && len(weights.fields) == 0 {
		err = fmt.Errorf("%s is missing", weights.path)
	}
	return weights, err
}

// resolveNaive reads one code a byte: NAME.weight and NAME.weight_scale, of a tensor, of rows, of groups or of blocks.
func resolveNaive(weights settings, ckpt *safetensors.Checkpoint) ([]source, error) {
	strategy, err := weights.str("strategy")
	if err != nil {
		return nil, err
	}
	var blocks []int64
	switch strategy {
	case "channel", "tensor":
	case "block":
		if blocks, err = weights.pair("block_structure"); err == nil && blocks == nil {
			err = fmt.Errorf("%s.block_structure is missing, strategy block needs it", weights.path)
		}
	case "group":
		var size int64
		if size, err = weights.count("group_size"); err == nil && size == 0 {
			err = fmt.Errorf("%s.group_size is missing, strategy group needs it", weights.path)
		}
		blocks = []int64{size}
	default:
		return nil, refuseConfig(ckpt, "%s.strategy %q", weights.path, strategy)
	}
	if err != nil {
		return nil, err
	}
	c := newCollector(ckpt, "no weight_scale belongs to it")
	for _, t := range ckpt.Tensors() {
		if endsIn(t.Name, activationScales) || endsIn(t.Name, []string{".input_zero_point"}) {
			c.drop(t.Name)
			continue
		}
		if endsIn(t.Name, []string{".weight_zero_point", ".weight_g_idx"}) {
			return nil, unsupported(t, "zero points and orders of columns are read in pack-quantized checkpoints alone")
		}
		base, ok := strings.CutSuffix(t.Name, ".weight_scale")
		if !ok {
			continue
		}
		w, err := c.need(base, ".weight", t.Name)
		if err != nil {
			return nil, err
		}
		if err := c.scale(w, t, blocks); err != nil {
			return nil, err
		}
	}
	return c.sources(), nil
}
