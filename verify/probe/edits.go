package probe

import "github.com/moeconv/moeconv/verify"

// Edits holds a greedy answer against the source's by their edit distance. Max 0: it is measured, with no bound.
type Edits struct{ Max float64 }

// Name of the criterion.
func (Edits) Name() string { return "edits" }

// Judge fails an answer that lies further from the source's. Without a source's answer it does not apply.
func (c Edits) Judge(a Answer) Finding {
	if a.Source == nil {
		return plain(verify.NotApplicable, "no source")
	}
	d := EditDistance(a.Text, a.Source.Text)
	longest := max(len([]rune(a.Text)), len([]rune(a.Source.Text)))
	share := 0.0
	if longest > 0 {
		share = float64(d) / float64(longest)
	}
	if c.Max > 0 && share > c.Max {
		return finding(verify.Fail, share, "%d edits from the source's answer, %.3g of its length; %.3g is allowed", d, share, c.Max)
	}
	return finding(verify.Pass, share, "%d edits from the source's answer", d)
}

// EditDistance is Levenshtein's, in characters: insertions, deletions and replacements.
func EditDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1) // of the distances from x[:i] to y[:j]
	for j := range row {
		row[j] = j
	}
	for i, r := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range y {
			cost := diagonal
			if r != s {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}
