package verify

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/moeconv/moeconv/gguf"
)

const (
	// sampleFloor is how many values are compared at least, where nothing else is asked for: small models are compared whole.
	sampleFloor = 64 << 20
	// sampleShare is the part of a large file's values that is compared, sampleMost that of one little larger than sampleFloor:
	// it is read once more.
	sampleShare, sampleMost = 0.01, 0.125
	// sampleRuns is how many places of an expert the sampled rows are taken from.
	sampleRuns = 4
	// sampleWorkers is how many read samples at a time.
	sampleWorkers = 16
	// defaultMemory bounds the checks on weights, as the writing of files.
	defaultMemory = 512 << 20
)

// span is n rows from row on.
type span struct{ row, n int }

// sampled is rows to compare; shared ones are the same in all experts of a tensor, so that equal experts are found by them.
type sampled struct {
	span
	shared bool
}

// sampler chooses the rows of a file that are compared with the source's. The same seed chooses the same rows.
type sampler struct {
	share float64 // of each tensor's rows
	seed  uint64
}

func (s *Subject) sampler(tensors []gguf.TensorInfo) sampler {
	var total int64
	for _, t := range tensors {
		total += t.Shape.Elements()
	}
	out := sampler{1, s.Seed}
	least := s.Sample
	if least <= 0 {
		least = sampleFloor
	}
	if !s.Full && total > least {
		out.share = max(sampleShare, min(sampleMost, float64(least)/float64(total)))
	}
	return out
}

// whole reports whether nothing is left out.
func (s sampler) whole() bool { return s.share >= 1 }

// rng is the source of chance for one unit: it depends on the seed and the unit, not on the order of work.
func (s sampler) rng(name string, expert int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(s.seed, h.Sum64()+uint64(expert+1)))
}

// spans is the rows of a unit to compare: all, or runs spread over the unit by chance, one in each of as many strata. The
// last row is always among them: what was cut off ends before it. Experts have 4 rows at least, other tensors 64.
func (s sampler) spans(t gguf.TensorInfo, u unit) []sampled {
	least := 64
	if u.expert >= 0 {
		least = 4
	}
	n := max(least, int(s.share*float64(u.rows)))
	if s.whole() || n >= u.rows {
		return []sampled{{span{u.row, u.rows}, true}}
	}
	own, common := s.rng(t.Name, u.expert), s.rng(t.Name, -1)
	runs := min(sampleRuns, n)
	var out []sampled
	for i := range runs {
		from, to := u.rows*i/runs, u.rows*(i+1)/runs
		k := n*(i+1)/runs - n*i/runs
		at, shared := to-k, i == 0 || i == runs-1
		if i < runs-1 {
			rng := own
			if shared {
				rng = common
			}
			at = from + rng.IntN(max(1, to-from-k+1))
		}
		out = append(out, sampled{span{u.row + at, k}, shared})
	}
	return out
}

// some picks at most n of the numbers below count, in order; the first and the last are among them where n allows.
func (s sampler) some(name string, n, count int) []int {
	if n >= count {
		n = count
	}
	all := s.rng(name, count).Perm(count)
	if n >= 2 {
		all = slices.DeleteFunc(all, func(i int) bool { return i == 0 || i == count-1 })
		all = append([]int{0, count - 1}, all...)
	}
	out := all[:n]
	slices.Sort(out)
	return slices.Compact(out)
}

// memory is the bytes that the checks on weights may take together.
func (s *Subject) memory() int64 {
	if s.Memory > 0 {
		return s.Memory
	}
	return defaultMemory
}
