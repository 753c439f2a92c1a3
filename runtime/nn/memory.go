package nn

import "github.com/moeconv/moeconv/gguf"

// CacheBytes is the size of the KV cache of a text of n positions, states of recurrent blocks not included; full is
// Options.FullWindows.
func (p *Params) CacheBytes(kv gguf.Type, n int, full bool) int64 {
	var total int64
	for b := range p.Blocks {
		cells, dims := n, []int{p.keyDim(b), p.valueDim(b)}
		if p.windowed(b) && !full {
			cells = min(n, windowCells(p.Window))
		}
		if p.Latent.Rank > 0 {
			dims = dims[:1]
		}
		for _, dim := range dims {
			row, err := kv.RowBytes(int64(dim))
			if err != nil {
				continue // Load refuses such heads
			}
			total += row * int64(p.kvHeads(b)) * int64(cells)
		}
	}
	return total
}

// ComputeBytes estimates the memory to compute in: what is alive of the largest batch in the widest layer, and logits.
func (p *Params) ComputeBytes(vocabulary int) int64 {
	heads := p.Heads * (2*max(p.HeadDim, p.KeySWA, p.Latent.KeyDim) + max(p.ValueDim, p.ValueSWA))
	width := max(2*p.FFN, p.Used*2*(p.ExpertFFN+p.Embedding))
	const tables = 1 << 20 // scores, tiles
	return 4*(batchTokens*int64(5*p.Embedding+heads+width)+2*int64(vocabulary)) + 16*tables
}
