package imatrix

import "slices"

// rare is the share of an even load below which an expert counts as rarely routed.
const rare = 0.1

// Coverage says which experts of a tensor the text has reached.
type Coverage struct {
	Tensor string  `json:"tensor"`
	Uses   []int64 `json:"uses"`         // of each expert
	Never  []int   `json:"never_routed"` // experts
	Rarely []int   `json:"rarely_routed"`
}

// Coverage reports the tensors whose uses are counted by expert.
func (s *Sums) Coverage() []Coverage {
	out := []Coverage{}
	for _, name := range s.Names() {
		uses := s.entries[name].uses
		if len(uses) < 2 {
			continue
		}
		c := Coverage{Tensor: name, Uses: slices.Clone(uses), Never: []int{}, Rarely: []int{}}
		total := int64(0)
		for _, n := range uses {
			total += n
		}
		for e, n := range uses {
			switch {
			case n == 0:
				c.Never = append(c.Never, e)
			case float64(n) < rare*float64(total)/float64(len(uses)):
				c.Rarely = append(c.Rarely, e)
			}
		}
		out = append(out, c)
	}
	return out
}

// Seen is the share of experts that were routed to at least once; 1 where there are none.
func Seen(cs []Coverage) float64 {
	experts, never := 0, 0
	for _, c := range cs {
		experts += len(c.Uses)
		never += len(c.Never)
	}
	if experts == 0 {
		return 1
	}
	return 1 - float64(never)/float64(experts)
}
