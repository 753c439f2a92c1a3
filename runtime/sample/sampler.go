package sample

import (
	"math"
	"math/rand/v2"
	"slices"
)

// candidate is a token still in the draw.
type candidate struct {
	id    int32
	logit float32
}

// before reports whether a is more likely than b; among equals the lower id comes first.
func (a candidate) before(b candidate) bool {
	return a.logit > b.logit || a.logit == b.logit && a.id < b.id
}

// Sampler draws tokens. It belongs to one sequence and is not safe for concurrent use.
type Sampler struct {
	opts   Options
	rng    *rand.PCG
	counts []int32 // how often each token is in the window
	window []int32 // ring of the latest tokens, empty when the window is unbounded
	oldest int     // position of the oldest token once the ring is full
	cands  []candidate
	probs  []float64
}

// pcgStream is the second half of the generator's state; the seed is the first.
const pcgStream = 0x6d6f65636f6e7631

// New makes a Sampler for a vocabulary of that size. Options are not validated here: see Options.Validate.
func New(o Options, vocab int) *Sampler {
	s := &Sampler{opts: o, rng: rand.NewPCG(o.Seed, pcgStream)}
	if o.penalizes() {
		s.counts = make([]int32, vocab)
		if o.RepeatLast > 0 {
			s.window = make([]int32, 0, min(o.RepeatLast, 1<<20))
		}
	}
	if o.Temperature > 0 || o.penalizes() {
		s.cands = make([]candidate, 0, vocab)
		s.probs = make([]float64, 0, vocab)
	}
	return s
}

// Accept records a token of the sequence (of the prompt too, if penalties shall see it).
// Ids outside of the vocabulary are ignored.
func (s *Sampler) Accept(id int32) {
	if s.counts == nil || id < 0 || int(id) >= len(s.counts) {
		return
	}
	s.counts[id]++
	switch {
	case s.opts.RepeatLast < 0:
	case len(s.window) < s.opts.RepeatLast:
		s.window = append(s.window, id)
	default:
		s.counts[s.window[s.oldest]]--
		s.window[s.oldest] = id
		s.oldest = (s.oldest + 1) % len(s.window)
	}
}

// Reset forgets the accepted tokens and starts the random numbers again.
func (s *Sampler) Reset() {
	clear(s.counts)
	s.window, s.oldest = s.window[:0], 0
	s.rng.Seed(s.opts.Seed, pcgStream)
}

// Next is the token drawn from logits, one a token of the vocabulary; logits stay as they are.
// NaN counts as minus infinity. A token at plus infinity is drawn at once. When nothing can be
// drawn, because every logit is NaN or minus infinity, the result is -1.
func (s *Sampler) Next(logits []float32) int32 {
	if !s.opts.penalizes() && s.opts.Temperature <= 0 {
		return Greedy(logits)
	}
	s.load(logits)
	s.penalize()
	best := s.best()
	if best.id < 0 || s.opts.Temperature <= 0 || math.IsInf(float64(best.logit), 1) {
		return best.id
	}
	s.topK()
	s.topP()
	s.minP(best.logit)
	return s.draw(best.logit)
}

// Greedy is the id of the largest logit, the lowest such id; NaN is never chosen. -1: there is none.
func Greedy(logits []float32) int32 {
	best, at := float32(math.Inf(-1)), int32(-1)
	for i, l := range logits {
		if l > best {
			best, at = l, int32(i)
		}
	}
	return at
}

// load fills the candidates in id order, without those that can never be drawn.
func (s *Sampler) load(logits []float32) {
	s.cands = s.cands[:0]
	for i, l := range logits {
		if l > float32(math.Inf(-1)) {
			s.cands = append(s.cands, candidate{int32(i), l})
		}
	}
}

func (s *Sampler) best() candidate {
	best := candidate{-1, float32(math.Inf(-1))}
	for _, c := range s.cands {
		if c.logit > best.logit {
			best = c
		}
	}
	return best
}

// penalize lowers the logits of the tokens in the window, as llama.cpp does.
func (s *Sampler) penalize() {
	if s.counts == nil {
		return
	}
	repeat := float32(s.opts.RepeatPenalty)
	if repeat == 0 {
		repeat = 1
	}
	frequency, presence := float32(s.opts.FrequencyPenalty), float32(s.opts.PresencePenalty)
	for i := range s.cands {
		c := &s.cands[i]
		if int(c.id) >= len(s.counts) || s.counts[c.id] == 0 {
			continue
		}
		if c.logit <= 0 {
			c.logit *= repeat
		} else {
			c.logit /= repeat
		}
		c.logit -= float32(float32(s.counts[c.id])*frequency) + presence
	}
}

// topK leaves the K most likely candidates, most likely first.
func (s *Sampler) topK() {
	if k := s.opts.TopK; k > 0 && k < len(s.cands) {
		s.cands = take(s.cands, func(n int, _ candidate) bool { return n == k })
	}
}

// topP leaves the most likely candidates whose probabilities first reach P, most likely first.
func (s *Sampler) topP() {
	p := s.opts.TopP
	if p <= 0 || p >= 1 || len(s.cands) == 0 {
		return
	}
	top := s.best().logit
	var total float64
	for _, c := range s.cands {
		total += math.Exp(float64(c.logit - top))
	}
	var sum float64
	s.cands = take(s.cands, func(_ int, c candidate) bool {
		sum += math.Exp(float64(c.logit - top))
		return sum >= p*total
	})
}

// minP drops candidates less than P times as likely as the best.
func (s *Sampler) minP(best float32) {
	if s.opts.MinP <= 0 {
		return
	}
	floor := best + float32(math.Log(s.opts.MinP))
	s.cands = slices.DeleteFunc(s.cands, func(c candidate) bool { return c.logit < floor })
}

// draw picks a candidate with the softmax of the logits over the temperature.
func (s *Sampler) draw(best float32) int32 {
	s.probs = s.probs[:0]
	var sum float64
	for _, c := range s.cands {
		sum += math.Exp((float64(c.logit) - float64(best)) / s.opts.Temperature)
		s.probs = append(s.probs, sum)
	}
	r := float64(s.rng.Uint64()>>11) / (1 << 53) * sum
	at, _ := slices.BinarySearchFunc(s.probs, r, func(cum, r float64) int {
		if cum > r {
			return 1
		}
		return -1
	})
	return s.cands[min(at, len(s.cands)-1)].id
}
