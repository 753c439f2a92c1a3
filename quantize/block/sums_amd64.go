//go:build amd64 && !purego

package block

//go:generate go -C _asm run . -gen sums -out ../sums_amd64.s -stubs ../sums_stubs_amd64.go -pkg block

// inGroups calls f for all of n items in groups of a number of lanes; the last group overlaps the one before. n is at
// least a group.
func inGroups(n, lanes int, f func(at, groups int)) {
	f(0, n/lanes)
	if n%lanes != 0 {
		f(n-lanes, 1)
	}
}

// runSums adds, in order, the squares of each run of a length in src.
func runSums(sums, src []float32, length int, wide bool) {
	n := len(src) / length
	switch {
	case wide && n >= 16:
		inGroups(n, 16, func(at, groups int) { sumSquaresAVX512(&sums[at], &src[at*length], length, groups) })
	case n >= 8:
		inGroups(n, 8, func(at, groups int) { sumSquaresAVX2(&sums[at], &src[at*length], length, groups) })
	default:
		for i := range n {
			sums[i] = sumSquares(src[i*length : (i+1)*length])
		}
	}
}
