package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// gptq is NAME.qweight, whose words hold several inputs each, with qzeros, scales and g_idx, the group of each input.
var gptq = encoding{name: "gptq", reads: method("gptq"), resolve: resolveGPTQ}

// gptqForm is what quantization_config says of all weights.
type gptqForm struct {
	bits, group int64
	plus        float32 // what is to be added to zero points: the first version's are one too small
	ordered     bool    // g_idx follows from the group size
}

func resolveGPTQ(cfg family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	form, err := readGPTQForm(quantization(cfg), ckpt)
	if err != nil {
		return nil, err
	}
	c := newCollector(ckpt, "no qweight belongs to it")
	for _, t := range ckpt.Tensors() {
		if err := c.orphan(t.Name, ".qweight", ".g_idx", ".qzeros", ".scales"); err != nil {
			return nil, err
		}
		base, ok := strings.CutSuffix(t.Name, ".qweight")
		if !ok {
			continue
		}
		if err := c.addGPTQ(base, t, form); err != nil {
			return nil, err
		}
	}
	return c.sources(), nil
}

func readGPTQForm(q settings, ckpt *safetensors.Checkpoint) (gptqForm, error) {
	var f gptqForm
	var err error
	if f.bits, err = q.count("bits"); err != nil {
		return f, err
	}
	if f.bits != 2 && f.bits != 4 && f.bits != 8 {
		return f, refuseConfig(ckpt, "%s.bits %v (2, 4 and 8 are)", q.path, q.fields["bits"])
	}
	act, err := q.yes("desc_act")
	if err != nil {
		return f, err
	}
	f.ordered = !act
	if f.ordered && fmt.Sprint(q.fields["group_size"]) != "-1" { // -1: one group
		if f.group, err = q.count("group_size"); err != nil {
			return f, err
		}
	}
	format, err := q.str("checkpoint_format")
	if err != nil {
		return f, err
	}
	switch format {
	case "", "gptq":
		f.plus = 1
	case "gptq_v2":
	default:
		return f, refuseConfig(ckpt, "%s.checkpoint_format %q (gptq and gptq_v2 are)", q.path, format)
	}
	return f, nil
}

// addGPTQ puts together base.weight from its parts.
func (c *collector) addGPTQ(base string, w safetensors.Tensor, f gptqForm) error {
	zeros, err := c.need(base, ".qzeros", w.Name)
	if err != nil {
		return err
	}
	scales, err := c.need(base, ".scales", w.Name)
	if err != nil {
		return err
	}
	perWord := wordBits / f.bits
	if w.DType != "I32" || zeros.DType != "I32" {
		return unsupported(w, "words of GPTQ are I32, those of %q are %s", zeros.Name, zeros.DType)
	}
	if _, plain := plainTypes[scales.DType]; !plain {
		return unsupported(scales, "scales of this dtype are not known (F32, F16 and BF16 are)")
	}
	if len(w.Shape) != 2 || len(scales.Shape) != 2 || w.Size == 0 || scales.Size == 0 ||
		scales.Shape[1] != w.Shape[1] || !slices.Equal(zeros.Shape, []int64{scales.Shape[0], w.Shape[1] / perWord}) || w.Shape[1]%perWord != 0 {
		return fmt.Errorf("tensors %q %v, %q %v and %q %v do not go together at %d bits", w.Name, w.Shape, zeros.Name, zeros.Shape, scales.Name, scales.Shape, f.bits)
	}
	g := gptqWeight{words: codesOf(c.ckpt, w), zeros: codesOf(c.ckpt, zeros), scales: codesOf(c.ckpt, scales), form: f,
		dims: []int64{w.Shape[1], w.Shape[0] * perWord}, groups: scales.Shape[0]}
	from := []string{w.Name, zeros.Name, scales.Name}
	if order, ok := c.ckpt.Tensor(base + ".g_idx"); ok {
		if order.DType != "I32" || !slices.Equal(order.Shape, g.dims[1:]) {
			return fmt.Errorf("tensor %q is %s %v, expected I32 %v", order.Name, order.DType, order.Shape, g.dims[1:])
		}
		o := codesOf(c.ckpt, order)
		g.order, from = &o, append(from, order.Name)
	} else if err := g.implyOrder(base); err != nil {
		return err
	}
	return c.add(base+".weight", g, from...)
}

// implyOrder makes sure that g_idx can be done without.
func (g *gptqWeight) implyOrder(base string) error {
	if g.form.group == 0 && g.groups == 1 {
		g.form.group = g.dims[1]
	}
	if !g.form.ordered || g.form.group == 0 || (g.dims[1]+g.form.group-1)/g.form.group != g.groups {
		return fmt.Errorf("tensor %q has no %s.g_idx, and group_size of config.json does not make up for it: %d inputs, %d groups", g.words.t.Name, base, g.dims[1], g.groups)
	}
	return nil
}

// gptqWeight is a weight whose rows are columns of words.
type gptqWeight struct {
	words, zeros, scales stored
	order                *stored // the group of each input; nil where they are in order
	form                 gptqForm
	dims                 []int64
	groups               int64
}

func (g gptqWeight) shape() []int64  { return g.dims }
func (g gptqWeight) elem() gguf.Type { return gguf.F32 }

// units is as many rows as give the words pieces worth reading.
func (g gptqWeight) units() int64 { return min(256, g.dims[0]) }

// pieceRows is how many rows share the cost of reading words, which lie across them: see piece.
func (g gptqWeight) pieceRows() int64 { return max(64, 4*chunkBytes/(4*g.dims[1])) }

func (g gptqWeight) origin(row, col int64) (string, []int64) {
	return g.words.t.Name, []int64{col * g.form.bits / wordBits, row}
}
