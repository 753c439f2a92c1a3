package imatrix

import (
	"fmt"
	"slices"
	"strings"
)

// Sums is what an importance matrix is made of, while it is gathered: for each tensor the sums of squares of what met
// its columns, and how often.
type Sums struct {
	Datasets  []string // the texts, folders left out
	ChunkSize int      // tokens of a chunk
	Output    bool     // the output matrix counts, too
	entries   map[string]*sums
}

type sums struct {
	values []float32 // one matrix' columns after the other's
	uses   []int64   // of each matrix, or one number for all
}

// NewSums is nothing gathered yet in chunks of so many tokens.
func NewSums(chunkSize int) *Sums {
	return &Sums{ChunkSize: chunkSize, entries: map[string]*sums{}}
}

// Place is the sums and uses of a tensor, to be added to; nil for one that an importance matrix has no entry for:
// llama-imatrix's choice is what lies in blocks, and the output matrix if that is asked for.
func (s *Sums) Place(tensor string, columns, matrices, counts int) ([]float32, []int64, error) {
	if !strings.HasPrefix(tensor, "blk.") && !(s.Output && tensor == "output.weight") {
		return nil, nil, nil
	}
	e := s.entries[tensor]
	if e == nil {
		e = &sums{make([]float32, columns*matrices), make([]int64, counts)}
		s.entries[tensor] = e
	}
	if len(e.values) != columns*matrices {
		return nil, nil, fmt.Errorf("imatrix: tensor %q: %d sums so far, the model has %d columns", tensor, len(e.values), columns*matrices)
	}
	if err := e.count(counts); err != nil {
		return nil, nil, fmt.Errorf("imatrix: tensor %q: %w", tensor, err)
	}
	return e.values, e.uses, nil
}

// count makes e have n counts: one that stood for all is given to each, and equal ones become one, as in llama-imatrix.
func (e *sums) count(n int) error {
	switch {
	case len(e.uses) == n:
	case len(e.uses) == 1:
		e.uses = slices.Repeat(e.uses, n)
	case n == 1 && slices.Min(e.uses) == slices.Max(e.uses):
		e.uses = e.uses[:1]
	default:
		return fmt.Errorf("%d counts, %d before", n, len(e.uses))
	}
	return nil
}

// Len is the number of tensors.
func (s *Sums) Len() int { return len(s.entries) }

// Chunks is the number of chunks that the most used matrix has seen.
func (s *Sums) Chunks() int64 {
	most := int64(0)
	for _, e := range s.entries {
		most = max(most, slices.Max(e.uses))
	}
	return most / int64(max(1, s.ChunkSize))
}

// Add adds what was gathered elsewhere; it fails, and leaves s as it was, where sizes differ.
func (s *Sums) Add(o *Sums) error {
	for name, e := range o.entries {
		if own := s.entries[name]; own != nil && len(own.values) != len(e.values) {
			return fmt.Errorf("imatrix: tensor %q has %d sums and %d: not of the same model", name, len(own.values), len(e.values))
		} else if own != nil && len(own.uses) != len(e.uses) && len(own.uses) != 1 && len(e.uses) != 1 {
			return fmt.Errorf("imatrix: tensor %q has %d counts and %d: not of the same model", name, len(own.uses), len(e.uses))
		}
	}
	for name, e := range o.entries {
		own := s.entries[name]
		if own == nil {
			s.entries[name] = &sums{slices.Clone(e.values), slices.Clone(e.uses)}
			continue
		}
		n := max(len(own.uses), len(e.uses))
		if len(own.uses) < n {
			own.uses = slices.Repeat(own.uses, n)
		}
		for i := range own.uses {
			own.uses[i] += e.uses[i%len(e.uses)]
		}
		for i, v := range e.values {
			own.values[i] += v
		}
	}
	s.Datasets = append(s.Datasets, o.Datasets...)
	return nil
}

// Names lists the tensors, sorted.
func (s *Sums) Names() []string {
	names := make([]string, 0, len(s.entries))
	for n := range s.entries {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Raw is a tensor's sums and uses; callers must not change them.
func (s *Sums) Raw(tensor string) (values []float32, uses []int64) {
	if e := s.entries[tensor]; e != nil {
		return e.values, e.uses
	}
	return nil, nil
}
