package imatrix

import (
	"math"
	"strconv"
	"strings"
)

// Statistics describes the mean squares of a tensor's inputs; they are llama-imatrix's figures (--show-statistics).
type Statistics struct {
	Tensor   string  `json:"tensor"`
	Block    int     `json:"block"` // -1: none
	Sum      float64 `json:"sum"`
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
	Mean     float64 `json:"mean"`
	Dev      float64 `json:"stddev"`
	Active   float64 `json:"active"` // share of the means above 1e-5
	Elements int     `json:"elements"`
	Entropy  float64 `json:"entropy"`  // of the means as a distribution, in bits
	Evenness float64 `json:"evenness"` // entropy as a share of the largest possible
	ZD       float64 `json:"zd"`       // share of the means that are more than a deviation above their mean
	CosSim   float64 `json:"cossim"`   // of the sums with those of the same tensor one block before
}

// Statistics lists the figures of all tensors that were used, by name.
func (s *Sums) Statistics() []Statistics {
	out := []Statistics{}
	for _, name := range s.Names() {
		e := s.entries[name]
		st, ok := e.statistics()
		if !ok {
			continue
		}
		st.Tensor, st.Block = name, -1
		if rest, found := strings.CutPrefix(name, "blk."); found {
			number, rest, _ := strings.Cut(rest, ".")
			if n, err := strconv.Atoi(number); err == nil {
				st.Block = n
				st.CosSim = cosine(e, s.entries["blk."+strconv.Itoa(n-1)+"."+rest])
			}
		}
		out = append(out, st)
	}
	return out
}

func (e *sums) statistics() (st Statistics, ok bool) {
	var means []float64
	columns := len(e.values) / len(e.uses)
	for i, v := range e.values {
		if n := e.uses[i/columns]; n > 0 {
			means = append(means, float64(v/float32(n)))
		}
	}
	if len(means) == 0 {
		return st, false
	}
	n := float64(len(means))
	st.Elements, st.Min, st.Max = len(means), means[0], means[0]
	squares := 0.0
	for _, v := range means {
		st.Sum += v
		squares += float64(v * v)
		st.Min, st.Max = min(st.Min, v), max(st.Max, v)
		if v > 1e-5 {
			st.Active += 1 / n
		}
	}
	st.Mean = st.Sum / n
	st.Dev = math.Sqrt(max(0, squares/n-float64(st.Mean*st.Mean)))
	for _, v := range means {
		if p := v / st.Sum; p > 0 {
			st.Entropy -= float64(p * math.Log2(p))
		}
		if st.Dev > 0 && (v-st.Mean)/st.Dev > 1 {
			st.ZD += 1 / n
		}
	}
	if n > 1 {
		st.Evenness = st.Entropy / math.Log2(n)
	}
	return st, true
}

// cosine is the cosine of the angle between sums; 0 where there is nothing to compare with.
func cosine(a, b *sums) float64 {
	if b == nil || len(a.values) != len(b.values) {
		return 0
	}
	var ab, aa, bb float64
	for i, v := range a.values {
		x, y := float64(v), float64(b.values[i])
		ab += float64(x * y)
		aa += float64(x * x)
		bb += float64(y * y)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
