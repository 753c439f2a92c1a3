package convert

import (
	"math"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// paramCounts are the numbers of weights that a size label is made from.
type paramCounts struct {
	Total   int64
	Shared  int64 // not in routed experts
	Expert  int64 // of one expert, over all blocks
	Experts int64 // experts of a block, averaged
}

// countParams counts the weights of the output file's tensors as the reference
// does: a tensor whose name holds "_exps." and that has three dimensions is
// routed experts, of which one expert is counted. The expert count is taken from the
// third dimension, for a bias (which reaches here only with three) from the second.
func countParams(ts []gguf.TensorInfo) paramCounts {
	var c paramCounts
	var experts, stacked int64
	for _, t := range ts {
		shape := t.Shape
		size := int64(1)
		for _, n := range shape {
			size *= n
		}
		c.Total += size
		if !strings.Contains(t.Name, "_exps.") || len(shape) < 3 {
			c.Shared += size
			continue
		}
		count := shape[2]
		if strings.Contains(t.Name, ".bias") {
			count = shape[1]
		}
		if count == 0 {
			continue
		}
		c.Expert += size / count
		experts += count
		stacked++
	}
	if stacked > 0 {
		c.Experts = experts / stacked
	}
	return c
}

// sizeLabel is 6x1.9M (experts, weights that one token with one expert per block
// meets) or 7.2B for a model without experts.
func (c paramCounts) sizeLabel() string {
	if c.Experts > 0 {
		return strconv.FormatInt(c.Experts, 10) + "x" + roundedCount(c.Shared+c.Expert)
	}
	return roundedCount(c.Total)
}

// roundedCount writes a number of weights with two digits or more: 1.4B, 47B.
func roundedCount(n int64) string {
	scale, unit := 1e-3, "K"
	switch {
	case n > 1e12:
		scale, unit = 1e-12, "T"
	case n > 1e9:
		scale, unit = 1e-9, "B"
	case n > 1e6:
		scale, unit = 1e-6, "M"
	}
	x := float64(n) * scale
	digits := len(strings.TrimLeft(strconv.FormatFloat(math.RoundToEven(x), 'f', 0, 64), "0"))
	return strconv.FormatFloat(x, 'f', max(2-digits, 0), 64) + unit
}
