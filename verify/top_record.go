package verify

import (
	"fmt"
	"math"
	"math/bits"
)

// A record is the chunk's least level in coarse steps (16 bits) and Rice's parameters of levels above and below it (8 bits
// each), then position by position: the level of the tail, that of the next token, the first token and its level, the number
// of further entries, and these by ascending id: the gap to the one before, whether it is certain, and by how much its level
// is off the chunk's least. Zeros fill it up.

// chunkLevels are a base's log-probabilities at the scored positions of a chunk, in levels: a row a position.
type chunkLevels struct {
	vocab int
	rows  []uint16
	next  []uint16
}

func newChunkLevels(vocab, scored int) *chunkLevels {
	return &chunkLevels{vocab, make([]uint16, vocab*scored), make([]uint16, scored)}
}

// put takes in the logits of position j.
func (c *chunkLevels) put(j int, logits []float32, next int32) {
	largest, sum := softmaxSum(logits)
	all := float64(largest) + math.Log(sum)
	for i, l := range logits {
		c.rows[j*c.vocab+i] = level(float64(l) - all)
	}
	c.next[j] = level(-negLogProb(logits, next))
}

// probabilities of levels.
var probabilities = func() []float64 {
	out := make([]float64, 1<<16)
	for v := range out {
		out[v] = math.Exp(ofLevel(v))
	}
	return out
}()

// pack encodes a chunk in n bytes: with the least level that fits. u of 0 to 1 says where in the tail tokens are drawn.
func (c *chunkLevels) pack(n int, u float64) []byte {
	// Entries of each least level: certain tokens, and as many of the tail as it has multiples of that probability.
	var count [1<<16/coarse + 1]int
	for _, v := range c.rows {
		count[v/coarse]++
	}
	certain, tail := 0, float64(len(c.next))
	least := 0
	for bits := 8 * float64(n-len(c.next)*8); least < len(count)-1; least++ {
		p := math.Exp(ofCoarse(least))
		certain += count[least]
		tail -= float64(count[least]) * p
		entries := float64(certain) + max(tail, 0)/p
		if entries*(13+math.Log2(float64(c.vocab*len(c.next))/entries)) > 1.1*bits {
			break
		}
	}
	for {
		out := c.packAt(least, u)
		if len(out) <= n || least == 0 {
			return append(out, make([]byte, max(0, n-len(out)))...)
		}
		over := math.Log(float64(len(out))/float64(n)) * levels / coarse // entries are in proportion to the probability's inverse
		least = max(0, least-max(1, int(over)))
	}
}

// packAt encodes with a least level.
func (c *chunkLevels) packAt(least int, u float64) []byte {
	all := c.choose(least, u)
	var above, below moments
	for _, p := range all {
		for _, e := range p.entries {
			if e.level <= least {
				above.add(float64(least - e.level))
			} else {
				below.add(float64(e.level - least - 1))
			}
		}
	}
	ka, kb := riceFor(above.sum/float64(max(1, above.n))), riceFor(below.sum/float64(max(1, below.n)))
	w := &bitWriter{}
	w.put(uint32(least), 16)
	w.put(uint32(ka), 8)
	w.put(uint32(kb), 8)
	for j, p := range all {
		w.put(uint32(p.tail), fineBits)
		w.put(uint32(c.next[j]), fineBits)
		w.put(uint32(p.first.id), bits.Len(uint(c.vocab-1)))
		w.put(uint32(p.first.level), coarseBits)
		w.rice(len(p.entries), countRice)
		k, last := gapRice(c.vocab, len(p.entries)), int32(-1)
		for _, e := range p.entries {
			w.rice(int(e.id-last-1), k)
			last = e.id
			if e.level <= least {
				w.put(1, 1)
				w.rice(least-e.level, ka)
			} else {
				w.put(0, 1)
				w.rice(e.level-least-1, kb)
			}
		}
	}
	return w.bytes()
}

// countRice is of numbers of entries, gapRice of gaps between their ids.
const countRice = 4

func gapRice(vocab, entries int) int { return riceFor(float64(vocab) / float64(entries+1)) }

// leveled is a token with its level, in coarse steps.
type leveled struct {
	id    int32
	level int
}

// chosen is what is recorded of a position.
type chosen struct {
	first   leveled
	tail    uint16
	entries []leveled
}

func coarseLevel(v uint16) int { return min(int(v)+coarse/2, 1<<16-1) / coarse }

// choose lists the tokens of each position: those that are certain, and those of the tail that are drawn.
func (c *chunkLevels) choose(least int, u float64) []chosen {
	out := make([]chosen, len(c.next))
	step := math.Exp(ofCoarse(least))
	passed, mark := 0.0, u*step
	for j := range out {
		row := c.rows[j*c.vocab:][:c.vocab]
		first := 0
		for i, v := range row {
			if v < row[first] {
				first = i
			}
		}
		o := &out[j]
		o.first = leveled{int32(first), coarseLevel(row[first])}
		tail := 0.0
		for i, v := range row {
			if i == first {
				continue
			}
			l := coarseLevel(v)
			if l > least {
				p := probabilities[v]
				tail += p
				if passed += p; passed <= mark {
					continue
				}
				mark += step
			}
			o.entries = append(o.entries, leveled{int32(i), l})
		}
		o.tail = level(math.Log(tail))
	}
	return out
}

// decode is what pack has encoded.
func (f *topFile) decode(body []byte) (*top, error) {
	r := &bitReader{in: body}
	least, ka, kb := int(r.get(16)), int(r.get(8)), int(r.get(8))
	if ka > coarseBits || kb > coarseBits {
		return nil, errBits
	}
	a := &top{topFile: f, least: ofCoarse(least), positions: make([]topPosition, f.text.scored())}
	vocab := int(f.Vocab)
	for j := range a.positions {
		p := &a.positions[j]
		p.tail, p.next = ofLevel(int(r.get(fineBits))), ofLevel(int(r.get(fineBits)))
		p.first = int32(r.get(bits.Len(uint(vocab - 1))))
		p.entries = append(p.entries, topEntry{p.first, ofCoarse(int(r.get(coarseBits)))})
		n := r.rice(countRice)
		k, id := gapRice(vocab, n), -1
		for range n {
			id += 1 + r.rice(k)
			level := least + 1
			if r.get(1) == 1 {
				level = least - r.rice(ka)
			} else {
				level += r.rice(kb)
			}
			if r.err != nil {
				return nil, r.err
			}
			if id >= vocab {
				return nil, fmt.Errorf("it has token %d, the vocabulary %d", id, vocab)
			}
			p.entries = append(p.entries, topEntry{int32(id), ofCoarse(level)})
		}
		if int(p.first) >= vocab {
			return nil, fmt.Errorf("it has token %d, the vocabulary %d", p.first, vocab)
		}
	}
	return a, r.err
}

func (a *top) base(j int, _ int32) float64 { return -a.positions[j].next }

func (a *top) compare(j int, logits []float32, next int32) position {
	largest, sum := softmaxSum(logits)
	all := float64(largest) + math.Log(sum)
	p := &a.positions[j]
	certain := func(e topEntry) bool { return e.p >= a.least || e.id == p.first }
	kld, rest := 0.0, 1.0
	for _, e := range p.entries {
		if certain(e) {
			q := float64(logits[e.id]) - all
			kld += math.Exp(e.p) * (excess(q-e.p) - rounding)
			rest -= math.Exp(q)
		}
	}
	if p.tail > -20 {
		rest = math.Log(max(rest, 1e-12))
		kld += math.Exp(p.tail) * excess(rest-p.tail)
		for _, e := range p.entries {
			if !certain(e) {
				kld += math.Exp(a.least) * (excess((float64(logits[e.id])-all-rest)-(e.p-p.tail)) - rounding)
			}
		}
	}
	at := 0
	for i, l := range logits {
		if l > logits[at] {
			at = i
		}
	}
	return newPosition(max(kld, 0), all-float64(logits[next]), a.base(j, next), int32(at) == p.first)
}

// excess is r-1-log(r) of log(r).
func excess(log float64) float64 { return math.Expm1(log) - log }
