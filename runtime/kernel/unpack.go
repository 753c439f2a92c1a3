package kernel

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// group is a group of encoded weights, taken apart: element = scale*quant - min. In super-blocks scale and min are
// integers times factors.
type group struct {
	quants     [groupLen]int8
	ints, less [16]int32  // scales and mins of runs of 16 in a super-block,
	by, byLess float32    // and their factors, or
	scales     [8]float32 // of blocks
	mins       [8]float32
}

// layout says how rows of a type become groups.
type layout struct {
	super bool                            // a group is one block
	mins  bool                            // runs have minima
	block func(g *group, b int, y []byte) // takes apart block b of a group, which is zero before
	kernels
}

// layouts of the types whose rows are multiplied in integers.
var layouts = map[gguf.Type]*layout{
	gguf.Q8_0:   {block: unpackQ8_0},
	gguf.Q4_0:   {block: nibbles(2, &linear4, half)},
	gguf.IQ4_NL: {block: nibbles(2, &nonLinear4, half)},
	gguf.MXFP4:  {block: nibbles(1, &twiceE2M1, scaleMXFP4)},
	gguf.Q4_1:   {block: unpackQ4_1, mins: true},
	gguf.Q5_0:   {block: unpackQ5_0},
	gguf.Q5_1:   {block: unpackQ5_1, mins: true},
	gguf.Q2_K:   {super: true, block: unpackQ2_K, mins: true},
	gguf.Q3_K:   {super: true, block: unpackQ3_K},
	gguf.Q4_K:   {super: true, block: unpackQ4_K, mins: true},
	gguf.Q5_K:   {super: true, block: unpackQ5_K, mins: true},
	gguf.Q6_K:   {super: true, block: unpackQ6_K},
	gguf.IQ4_XS: {super: true, block: unpackIQ4_XS},
}

// unpackGeneric is the specification: whole rows of cols elements become groups. Rows' last groups are padded.
func (l *layout) unpackGeneric(t gguf.Type, dst []weights, src []byte, cols int) {
	blockLen, size := t.BlockLen(), t.BlockSize()
	var g group
	for len(src) > 0 {
		for left := cols; left > 0; left -= groupLen {
			g = group{}
			for b := 0; b*blockLen < min(left, groupLen); b++ {
				l.block(&g, b, src[:size])
				src = src[size:]
			}
			dst[0].set(&g, l)
			dst = dst[1:]
		}
	}
}

func (w *weights) set(g *group, l *layout) {
	for i, q := range g.quants {
		w.quants[i] = uint8(q) ^ 0x80
	}
	switch {
	case l.super:
		w.super[0] = math.Float32bits(g.by)
		for r, s := range g.ints {
			w.scales[r] = uint32(s)
		}
	default:
		for b, s := range g.scales {
			w.scales[b] = math.Float32bits(s)
		}
	}
	switch {
	case l.super && l.mins:
		w.super[1] = math.Float32bits(g.byLess)
		for r, m := range g.less {
			w.mins[r] = uint32(m)
		}
	case l.mins:
		for b, m := range g.mins {
			w.mins[b] = math.Float32bits(m)
		}
	}
}

func half(y []byte) float32 { return block.F16ToF32(uint16(y[0]) | uint16(y[1])<<8) }
