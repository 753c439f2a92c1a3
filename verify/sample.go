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
	// expertRuns and tensorRuns are how many places of an expert, and of another tensor, the sampled rows are taken from.
	expertRuns, tensorRuns = 4, 32
	// sampleWorkers is how many read samples at a time.
	sampleWorkers = 16
	// defaultMemory bounds the checks on weights, as the writing of files.
	defaultMemory = 512 << 20
)

// span is n rows from row on.
type span struct{ row, n int }

// sampled is rows to compare; shared ones are the same in all experts of a tensor, so that equal experts are found by them.
// Drawn ones lie where they do by chance.
type sampled struct {
	span
	shared, drawn bool
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

// spans is the rows of a unit to compare: all, or runs spread over the unit by chance, one in each of as many strata, and the
// last row: what was cut off ends before it. Experts have 4 rows at least, other tensors 64.
func (s sampler) spans(t gguf.TensorInfo, u unit) []sampled {
	least, runs := 64, tensorRuns
	if u.expert >= 0 {
		least, runs = 4, expertRuns
	}
	n := max(least, int(s.share*float64(u.rows)))
	if s.whole() || n >= u.rows {
		return []sampled{{span{u.row, u.rows}, true, false}}
	}
	own, common := s.rng(t.Name, u.expert), s.rng(t.Name, -1)
	runs = min(runs, n)
	var out []sampled
	for i := range runs {
		from, to := u.rows*i/runs, u.rows*(i+1)/runs
		k := n*(i+1)/runs - n*i/runs
		rng, shared := own, i == 0
		if shared {
			rng = common
		}
		out = append(out, sampled{span{u.row + from + rng.IntN(max(1, to-from-k+1)), k}, shared, true})
	}
	if last := u.row + u.rows - 1; out[runs-1].row+out[runs-1].n <= last {
		out = append(out, sampled{span{last, 1}, true, false})
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
