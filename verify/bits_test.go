package verify

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := &bitWriter{}
	var want []int
	for i := range 5000 {
		v, k := int(rng.ExpFloat64()*math.Exp2(float64(i%11))), i%11
		w.rice(v, k)
		w.put(uint32(v)&0x1fff, 13)
		want = append(want, v)
	}
	r := &bitReader{in: w.bytes()}
	for i, v := range want {
		if got := r.rice(i % 11); got != v || r.get(13) != uint32(v)&0x1fff || r.err != nil {
			t.Fatalf("number %d is %d, want %d, %v", i, got, v, r.err)
		}
	}
	if r.get(32); r.err == nil {
		t.Error("no end")
	}
}

// Of peaked, flat and ordinary answers a record has the room it is given, and says what it must say for certain.
func TestRecordsOfAnyShape(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, vocab := range []int{2, 3, 300, 70000} {
		for _, spread := range []float64{0, 1, 3, 60} {
			const scored = 7
			f := &topFile{text: &text{context: 2*scored + 2}, topHeader: topHeader{Vocab: uint32(vocab)}}
			c := newChunkLevels(vocab, scored)
			rows := make([][]float32, scored)
			for j := range rows {
				rows[j] = make([]float32, vocab)
				for i := range rows[j] {
					rows[j][i] = float32(rng.NormFloat64() * spread)
				}
				c.put(j, rows[j], int32(j%vocab))
			}
			n := bodyFor(vocab, scored)
			record := c.pack(n, 0.3)
			if len(record) != n {
				t.Fatalf("vocabulary %d, spread %v: %d bytes of %d", vocab, spread, len(record), n)
			}
			a, err := f.decode(record)
			if err != nil {
				t.Fatalf("vocabulary %d, spread %v: %v", vocab, spread, err)
			}
			for j, row := range rows {
				p := a.compare(j, row, int32(j%vocab))
				if !p.same || math.Abs(p.base-p.nll) > 1e-3+max(0, p.nll-31) || p.kld > 1e-4 {
					t.Errorf("vocabulary %d, spread %v: a model against itself: %+v", vocab, spread, p)
				}
			}
			for i := range record { // damage is an error, or other figures; never a panic
				bad := append([]byte(nil), record...)
				bad[i] ^= byte(1 + rng.IntN(255))
				if a, err := f.decode(bad); err == nil {
					a.compare(0, rows[0], 0)
				}
			}
		}
	}
}
