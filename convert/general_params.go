package convert

import (
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// countParams counts the weights of the output file's tensors as the reference
// does: a tensor whose name holds "_exps." and that has three dimensions is
// routed experts, of which one expert is counted; its expert count is the
// outermost dimension (for a bias, the second of the two outermost).
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
