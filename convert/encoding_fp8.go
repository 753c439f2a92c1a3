package convert

import (
	"fmt"
	"math"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/quantize/block"
)

// fp8 is DeepSeek's layout and its like: weights of one byte and, under the same name, a scale for the tensor, for
// each row or for each block of weight_block_size.
var fp8 = encoding{name: "fp8", reads: method("fp8"), resolve: resolveFP8}

// fp8Scales are ends of the names of scales and what stands in their place in the name of the weight.
// The first three are the reference's, the last one is that of static FP8 as vLLM's tools write it.
var fp8Scales = []struct{ end, weight string }{{"_scale_inv", ""}, {".qscale_weight", ".weight"}, {".weight_scale", ".weight"}}

// activationScales are ends of names of scales that concern what runs through a layer, not its weights.
var activationScales = []string{".activation_scale", "_activation_scale", ".input_scale", ".qscale_act", ".k_scale", ".v_scale", ".kv_scale", ".output_scale"}

func resolveFP8(cfg family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	blocks, err := quantization(cfg).pair("weight_block_size")
	if err != nil {
		return nil, err
	}
	c := newCollector(ckpt, "no scale, such as weight_scale_inv, belongs to it")
	for _, t := range ckpt.Tensors() {
		if endsIn(t.Name, activationScales) {
			c.drop(t.Name)
			continue
		}
		for _, s := range fp8Scales {
			base, ok := strings.CutSuffix(t.Name, s.end)
			if !ok {
				continue
			}
			w, err := c.need(base, s.weight, t.Name)
			if err != nil {
				return nil, err
			}
			if err := c.scale(w, t, blocks); err != nil {
				return nil, err
			}
			break
		}
	}
	return c.sources(), nil
}

func endsIn(name string, ends []string) bool {
	for _, e := range ends {
		if strings.HasSuffix(name, e) {
			return true
		}
	}
	return false
}

// scale makes w a source of values: its codes times the scales of t, each of which spans a block of the innermost
// dimensions; without blocks, as much as its shape says.
func (c *collector) scale(w, t safetensors.Tensor, blocks []int64) error {
	decode := codeDecoders[w.DType]
	if _, plain := plainTypes[w.DType]; plain {
		return fmt.Errorf("tensor %q is %s, and yet %q would scale it; is it decoded already?", w.Name, w.DType, t.Name)
	}
	if decode == nil {
		return unsupported(w, "scaled by %q, but codes of this dtype are not known (F8_E4M3, F8_E5M2 and I8 are)", t.Name)
	}
	g, err := newGrid(c.ckpt, w, w.Shape, t, blocks)
	if err != nil {
		return err
	}
	c.drop(t.Name)
	return c.replace(w.Name, scaled{codesOf(c.ckpt, w), decode, g}, w.Name, t.Name)
}

// codeDecoder turns codes of one byte into values, times a scale.
type codeDecoder func(dst []float32, codes []byte, scale float32)

var codeDecoders = map[safetensors.DType]codeDecoder{
	"F8_E4M3": block.ScaleE4M3, "F8_E5M2": byTable(e5m2), "I8": byTable(func(b byte) float32 { return float32(int8(b)) }),
}

// byTable decodes with a table of the values of all codes.
func byTable(value func(byte) float32) codeDecoder {
	table := tableOf(value)
	return func(dst []float32, codes []byte, scale float32) {
		for i, c := range codes[:len(dst)] {
			dst[i] = float32(table[c] * scale)
		}
	}
}

func tableOf(f func(byte) float32) *[256]float32 {
	var t [256]float32
	for i := range t {
		t[i] = f(byte(i))
	}
	return &t
}

// e5m2 is the upper half of an F16.
func e5m2(b byte) float32 {
	switch m := b & 0x7f; {
	case m > 0x7c:
		return float32(math.NaN())
	case m == 0x7c:
		return float32(math.Copysign(math.Inf(1), float64(int8(b))))
	}
	return minifloat(b, 2, 15)
}

// minifloat is a finite float of one byte with this many bits of mantissa.
func minifloat(b byte, mantissa, bias int) float32 {
	m, e := float64(b&(1<<mantissa-1)), int(b&0x7f)>>mantissa
	v := math.Ldexp(m, 1-bias-mantissa)
	if e > 0 {
		v = math.Ldexp(m+float64(int(1)<<mantissa), e-bias-mantissa)
	}
	if b >= 0x80 {
		v = math.Copysign(v, -1)
	}
	return float32(v)
}

// e8m0Values are powers of two alone.
var e8m0Values = tableOf(e8m0)

func e8m0(b byte) float32 {
	if b == 0xff {
		return float32(math.NaN())
	}
	return float32(math.Ldexp(1, int(b)-127))
}
