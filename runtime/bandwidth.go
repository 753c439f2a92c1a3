package runtime

import (
	"sync"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/nn"
)

// tokenBytes is how much of the weights one token of decode reads: of stacked experts those used, of the embedding a
// row, unless it is the output too.
func tokenBytes(tensors []gguf.TensorInfo, p nn.Params) int64 {
	total, embedding, tied := int64(0), int64(0), true
	for _, t := range tensors {
		switch {
		case t.Name == "token_embd.weight":
			embedding = t.Bytes() - t.RowBytes()
		case t.Name == "output.weight":
			tied = false
		}
		if p.Experts > 1 && t.Shape.NE(2) == int64(p.Experts) {
			total += t.Bytes() / int64(p.Experts) * int64(p.Used)
		} else {
			total += t.Bytes()
		}
	}
	if !tied {
		total -= embedding
	}
	return total
}

// TokenBytes is the bytes of weights that decoding one token reads.
func (m *Model) TokenBytes() int64 { return m.tokenBytes }

// bandwidthBytes is larger than any cache.
const bandwidthBytes = 256 << 20

// ReadBandwidth is how many bytes a second threads threads read from memory together, the best of a few runs.
func ReadBandwidth(threads int) float64 {
	data := make([]uint64, bandwidthBytes/8)
	for i := range data {
		data[i] = uint64(i)
	}
	best, sums := 0.0, make([]uint64, threads)
	for range 5 {
		start := time.Now()
		var wg sync.WaitGroup
		for i := range threads {
			wg.Go(func() { sums[i] = sum(data[i*len(data)/threads : (i+1)*len(data)/threads]) })
		}
		wg.Wait()
		best = max(best, bandwidthBytes/time.Since(start).Seconds())
	}
	return best
}

// sum adds in independent chains, so that memory is what it waits for.
func sum(data []uint64) uint64 {
	var a, b, c, d uint64
	for len(data) >= 8 {
		a += data[0] + data[4]
		b += data[1] + data[5]
		c += data[2] + data[6]
		d += data[3] + data[7]
		data = data[8:]
	}
	return a + b + c + d
}
