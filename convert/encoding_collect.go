package convert

import (
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// collector keeps the reference's reading order while tensors are put together: it changes a dictionary in which
// a weight that is decoded keeps its place, scales and the like go, and tensors of a new name come last.
type collector struct {
	ckpt  *safetensors.Checkpoint
	why   string // what to say of a tensor that nothing explains
	gone  map[string]bool
	made  map[string]source
	added []source
}

func newCollector(ckpt *safetensors.Checkpoint, why string) *collector {
	return &collector{ckpt: ckpt, why: why, gone: map[string]bool{}, made: map[string]source{}}
}

// drop leaves tensors out.
func (c *collector) drop(names ...string) {
	for _, n := range names {
		c.gone[n] = true
	}
}

// replace puts v in the place of the tensor of that name.
func (c *collector) replace(name string, v view, from ...string) error {
	if _, twice := c.made[name]; twice {
		return fmt.Errorf("tensor %q has two scales, one is %q", name, from[len(from)-1])
	}
	c.made[name] = source{name, from, v}
	return nil
}

// add puts v, made of tensors that go, at the end.
func (c *collector) add(name string, v view, from ...string) error {
	if _, ok := c.ckpt.Tensor(name); ok {
		return fmt.Errorf("tensor %q is there twice, also as %q", name, from[0])
	}
	c.drop(from...)
	c.added = append(c.added, source{name, from, v})
	return nil
}

// need is the tensor base+end; where it is missing the error names the one that calls for it.
func (c *collector) need(base, end, because string) (safetensors.Tensor, error) {
	t, ok := c.ckpt.Tensor(base + end)
	if !ok {
		return t, fmt.Errorf("tensor %q has no %s", because, base+end)
	}
	return t, nil
}

// orphan fails where a tensor's name ends like that of a part, and the codes it is a part of are missing.
func (c *collector) orphan(name, codes string, parts ...string) error {
	for _, p := range parts {
		if base, ok := strings.CutSuffix(name, p); ok {
			_, err := c.need(base, codes, name)
			return err
		}
	}
	return nil
}

// sources are all tensors in order.
func (c *collector) sources() []source {
	var out []source
	for _, t := range c.ckpt.Tensors() {
		if c.gone[t.Name] {
			continue
		}
		s, ok := c.made[t.Name]
		if !ok {
			s = plainSource(c.ckpt, t, c.why)
		}
		out = append(out, s)
	}
	return append(out, c.added...)
}

// codeTypes are dtypes of codes, by their size.
var codeTypes = map[safetensors.DType]gguf.Type{"U8": gguf.I8, "I8": gguf.I8, "F8_E4M3": gguf.I8, "F8_E5M2": gguf.I8, "F8_E8M0": gguf.I8,
	"I32": gguf.I32, "F16": gguf.F16, "BF16": gguf.BF16, "F32": gguf.F32}

// codesOf makes the codes of t readable by windows.
func codesOf(ckpt *safetensors.Checkpoint, t safetensors.Tensor) stored {
	return stored{ckpt, t, codeTypes[t.DType]}
}
