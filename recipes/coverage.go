package recipes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/verify"
)

// ImatrixCoverage is the share of routed experts that the text of an importance matrix reached, and a line for each layer
// with experts that it did not. A matrix without counts by expert has no share.
func ImatrixCoverage(name string) (share verify.Number, holes []string, err error) {
	sums, err := imatrix.OpenSums(name, verify.DefaultContext)
	if err != nil {
		return verify.None(), nil, err
	}
	cover := sums.Coverage()
	if len(cover) == 0 {
		return verify.None(), nil, nil
	}
	for _, c := range cover {
		if len(c.Never) == 0 {
			continue
		}
		line := fmt.Sprintf("layer %d: experts %s never routed to", names.Parse(c.Tensor).Block, strings.Trim(fmt.Sprint(c.Never), "[]"))
		if !slices.Contains(holes, line) { // gate, up and down have the same counts
			holes = append(holes, line)
		}
	}
	return verify.Number(imatrix.Seen(cover)), holes, nil
}
