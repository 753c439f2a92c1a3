package kernel

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// group is a group of encoded weights, taken apart: element i = scale*quant - min, of lane i/16.
type group struct {
	quants       [groupLen]int8
	scales, mins [16]float32
}

// layout says how rows of a type become groups.
type layout struct {
	mins  bool                            // lanes have minima
	block func(g *group, b int, y []byte) // takes apart block b of a group, which is zero before
}

// layouts of the types whose rows are multiplied in integers.
var layouts = map[gguf.Type]*layout{}

// unpackGeneric is the specification: whole rows of cols elements become groups. Rows' last groups are padded.
func (l *layout) unpackGeneric(t gguf.Type, dst []weights, src []byte, cols int) {
	blockLen, size := t.BlockLen(), t.BlockSize()
	var g group
	for len(src) > 0 {
		for left := cols; left > 0; left -= groupLen {
			clear(g.quants[:])
			clear(g.scales[:])
			clear(g.mins[:])
			for b := 0; b*blockLen < min(left, groupLen); b++ {
				l.block(&g, b, src[:size])
				src = src[size:]
			}
			dst[0].set(&g, l.mins)
			dst = dst[1:]
		}
	}
}

func (w *weights) set(g *group, mins bool) {
	for i, q := range g.quants {
		w.quants[i%16/4][i/16][i%4] = uint8(q) ^ 0x80
	}
	w.scales = g.scales
	if mins {
		w.mins = g.mins
	}
}

// scale sets the scale of a block of 32.
func (g *group) scale(b int, d float32) { g.scales[2*b], g.scales[2*b+1] = d, d }

// min sets the minimum of a block of 32.
func (g *group) min(b int, m float32) { g.mins[2*b], g.mins[2*b+1] = m, m }

func half(y []byte) float32 { return block.F16ToF32(uint16(y[0]) | uint16(y[1])<<8) }
