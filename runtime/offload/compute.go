package offload

import (
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// graph is the widths of what one batch computes, in elements a token, by block.
type graph struct {
	embedding, vocabulary, used int64
	blocks                      map[int]*blockGraph
	last                        int // the last block with routed experts
}

// blockGraph is one block.
type blockGraph struct {
	expert, dense, shared, mixer, router int64
	biased                               bool
	hostUp, hostDown                     int64 // bytes of the largest matrix of routed experts on the host, as they are copied for a batch
	device                               bool  // routed experts lie on the device
}

// newGraph reads widths from the shapes of the tensors, and places from the ledger.
func newGraph(md *gguf.Metadata, tensors []gguf.TensorInfo, l *Ledger) graph {
	s := &sizes{md: md}
	g := graph{embedding: s.get("embedding_length", 0), used: s.get("expert_used_count", 0), blocks: map[int]*blockGraph{}, last: -1}
	for _, e := range l.Entries {
		t := tensors[e.Tensor]
		n := names.Parse(t.Name)
		out := t.Shape.NE(1)
		if n.Block < 0 {
			if n.Role == names.TokenEmbd || n.Role == names.OutputWeight && n.Suffix == "weight" {
				g.vocabulary = max(g.vocabulary, out)
			}
			continue
		}
		b := g.blocks[n.Block]
		if b == nil {
			b = &blockGraph{}
			g.blocks[n.Block] = b
		}
		switch {
		case e.Class == names.RoutedExpert && n.Suffix != "weight":
			b.biased = true
		case e.Class == names.RoutedExpert:
			g.last = max(g.last, n.Block)
			b.addExperts(n.Role, e, out)
		case len(t.Shape) < 2 || n.Suffix != "weight":
		case e.Class == names.SharedExpert && n.Role != names.FFNDownShexp:
			b.shared = max(b.shared, out)
		case n.Role == names.FFNGateInp:
			b.router = out
		case n.Role == names.FFNGate || n.Role == names.FFNUp:
			b.dense = max(b.dense, out)
		case e.Class == names.Attention || isRecurrent(n.Role):
			b.addMixer(n.Role, t, out)
		}
	}
	return g
}

func (b *blockGraph) addExperts(r names.Role, e Entry, out int64) {
	copied := int64(0)
	if e.Place == Host {
		copied = e.Bytes
	} else {
		b.device = true
	}
	if strings.HasPrefix(string(r), string(names.FFNDown)) {
		b.hostDown = max(b.hostDown, copied)
		return
	}
	if r == names.FFNGateUpExps {
		out /= 2
	}
	b.expert, b.hostUp = max(b.expert, out), max(b.hostUp, copied)
}

// addMixer counts a matrix's result, of all heads; and what attention makes, which the output matrix takes.
func (b *blockGraph) addMixer(r names.Role, t gguf.TensorInfo, out int64) {
	b.mixer += out * t.Shape.NE(2)
	switch {
	case r == names.AttnOutput:
		b.mixer += t.Shape.NE(0)
	case strings.HasSuffix(string(r), "_k_b"): // latent queries, joined with their rotated part, and latent results
		b.mixer += 2 * out * t.Shape.NE(2)
	}
}

// Bytes a token of a batch takes in the lists of positions, cells and outputs.
const indexBytes = 4 + 8 + 8 + 4

// live is how many vectors of the width of the embedding are alive in every step.
const live = 3

// computeBytes estimates the device's compute buffer: what is alive in the largest step of a prompt batch. In a block:
// three hidden vectors, the mask, and either the results of the gate and up matrices, theirs and their product, or that
// and the result of the down matrix; a matrix of experts that lies on the host is copied for the batch, one at a
// time. At the end: the logits of all tokens, behind what the last block left. Which vectors are alive was fitted to
// the twelve sizes that llama.cpp b6686 logged for DeepSeek-MoE-16B and Phi-3.5-MoE with and without
// --cpu-moe, which it meets to 0.01 MiB; it was not derived from the allocator, and of other graphs it is an estimate.
func (g graph) computeBytes(c Cache, batch int) int64 {
	n := int64(min(batch, c.Cells))
	f32 := 4 * n // bytes of one element a token
	index := indexBytes * n
	mask := 2 * n * int64(c.Cells+c.Window)
	var largest int64
	for _, b := range g.blocks {
		largest = max(largest, b.computeBytes(g, f32))
	}
	logits := f32 * (g.vocabulary + live*g.embedding)
	if b := g.blocks[g.last]; b != nil && b.device {
		logits += f32*(g.used*g.embedding+2*b.router) + index
	}
	return max(logits, f32*live*g.embedding+mask+index+largest)
}

// computeBytes is the largest step of a block.
func (b *blockGraph) computeBytes(g graph, f32 int64) int64 {
	up, down := f32*g.used*b.expert, f32*g.used*g.embedding
	ups, downs := 2*up, up+down
	if b.biased && b.expert > 0 { // sums with biases are new tensors
		ups, downs = ups+up, downs+down
	}
	if b.expert == 0 {
		downs = 0
	}
	return max(b.hostUp+ups, 3*up, b.hostDown+downs, f32*3*b.dense, f32*(3*b.shared+g.embedding), f32*b.mixer)
}
