package quantize

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// blockOf is the number in "blk.N", -1 for tensors outside of blocks.
// Like the reference it asks for nothing after the number.
func blockOf(name string) int {
	rest, ok := strings.CutPrefix(name, "blk.")
	if !ok {
		return -1
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(rest[:end])
	if err != nil {
		return -1
	}
	return n
}

// Order lists the indices of ts in llama-quantize's order: by block number, tensors outside of blocks
// first, then by the bytes of the name. A quantized file lists its tensors so, and types are chosen so.
func Order(ts []gguf.TensorInfo) []int {
	order := make([]int, len(ts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(blockOf(ts[a].Name), blockOf(ts[b].Name)), strings.Compare(ts[a].Name, ts[b].Name))
	})
	return order
}
