package nn

import (
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// ropeTable holds the rotations of positions 0 to n-1. Angles are computed in float64, where the reference
// multiplies float32 numbers: they agree to the reference's own rounding.
type ropeTable struct {
	n        int
	cos, sin []float32 // [position][pair]
}

// extend makes the table cover n positions.
func (t *ropeTable) extend(p Params, freqs vector, n int) {
	pairs := p.RopeDims / 2
	for ; t.n < n; t.n++ {
		for i := range pairs {
			theta := float64(t.n) * p.RopeScale * math.Pow(p.RopeBase, -2*float64(i)/float64(p.RopeDims))
			if freqs != nil {
				theta /= float64(freqs[i])
			}
			sin, cos := math.Sincos(theta)
			t.cos = append(t.cos, float32(cos))
			t.sin = append(t.sin, float32(sin))
		}
	}
}

// turn rotates the heads of rows lo to hi of x in place; row 0 stands at position pos.
func (t *ropeTable) turn(p Params, x kernel.Mat, heads, pos, lo, hi int) {
	pairs := p.RopeDims / 2
	step, next := 2, 1 // from pair to pair, and to a pair's second element
	if p.Graph.Rope == family.RopeNeox {
		step, next = 1, pairs
	}
	for r := lo; r < hi; r++ {
		cos := t.cos[(pos+r)*pairs:][:pairs]
		sin := t.sin[(pos+r)*pairs:][:pairs]
		for h := range heads {
			head := x.Row(r, heads*p.HeadDim)[h*p.HeadDim:][:p.HeadDim]
			for i := range pairs {
				a, b := head[i*step], head[i*step+next]
				head[i*step] = float32(a*cos[i]) - float32(b*sin[i])
				head[i*step+next] = float32(a*sin[i]) + float32(b*cos[i])
			}
		}
	}
}
