package nn

import "github.com/moeconv/moeconv/runtime/kernel"

// InputSums takes the sums of squares of what matrices are multiplied with, from which importance is made.
type InputSums interface {
	// Place is where the sums of a tensor's inputs go: of matrices times columns values, and of uses of each matrix, or
	// one for all. Nothing is summed where sums is nil.
	Place(tensor string, columns, matrices, counts int) (sums []float32, uses []int64, err error)
}

// Observe has the inputs of all products to come summed up; nil ends it. Sums of an Eval that fails are of no use.
func (s *State) Observe(to InputSums) { s.sums = to }

// observed is the rows of an input that meet one matrix of a tensor.
type observed struct {
	x kernel.Mat
	n int
}

// observe sums up an input of m: each group of rows meets one of its matrices. Experts' uses are counted one by one,
// those of other matrices together, as llama-imatrix does. A matrix of several parts has one input.
func (b *batch) observe(m *matrix, cols int, perMatrix bool, group func(matrix int) observed) {
	s := b.s
	if s.sums == nil || b.quiet || b.err != nil || m.of != nil && m.first > 0 {
		return
	}
	counts := 1
	if perMatrix {
		counts = m.experts
	}
	sums, uses, err := s.sums.Place(m.info.Name, cols, m.experts, counts)
	if err != nil || sums == nil {
		b.err = err
		return
	}
	rows := 0
	for e := range m.experts {
		n := group(e).n
		if rows += n; perMatrix || e == 0 {
			uses[e] += int64(n)
		}
	}
	s.d.workers.rows(cols, rows, func(_, lo, hi int) {
		for e := range m.experts {
			g, acc := group(e), sums[e*cols:][lo:hi]
			for t := range g.n {
				for i, v := range g.x.Row(t, cols)[lo:hi] {
					acc[i] += float32(v * v)
				}
			}
		}
	})
}
