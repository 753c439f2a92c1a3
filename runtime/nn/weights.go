package nn

// vector is a small float32 tensor: a norm or a bias. Nil where the model has none.
type vector []float32

// norm is the weights of a normalisation. Weight is nil where the model has none.
type norm struct{ weight, bias vector }

// ffn is a gated feed-forward network: down(act(gate(x), up(x))).
type ffn struct {
	gate, up, down             *matrix
	gateBias, upBias, downBias vector  // [expert][width]
	stream                     *stream // of experts that are not all in memory
}

// layer is the weights of one block, and what its place makes of them.
type layer struct {
	attnNorm, ffnNorm norm
	attnPost, ffnPost norm // of what is added to the residual; may be without weights
	expertsNorm       norm // of the experts' input, if that is the block's own

	kvHeads                    int
	keyDim, valueDim           int // of a head
	latent                     *latent
	conv                       *shortConv // in place of attention
	delta                      *deltaNet
	mamba                      *mamba
	q, k, v, o                 *matrix
	qBias, kBias, vBias, oBias vector
	qNorm, kNorm               vector  // of each head, or of all together
	sinks                      vector  // [head] logits that take part in softmax
	gate                       *matrix // of attention's result, by sigmoid

	gatedQ bool // each head's query is followed by such a gate

	router                           *matrix // nil: the block is dense
	routerBias                       vector
	routerScale                      vector  // of the router's input, which is the block's own normalised
	expertScale                      vector  // of each expert's result
	expertPre, densePost, expertPost norm    // of experts that stand beside a dense network
	outScale                         vector  // of all that the block returns
	selectBias                       vector  // of experts' probabilities, where they are chosen
	dense                            ffn     // of a dense block, or beside experts
	experts                          ffn     // of the others, stacked
	chunks                           ffn     // behind them (GroveMoE)
	shared                           ffn     // beside experts; nil matrices where there are none
	sharedGate                       *matrix // of the shared experts' result, by sigmoid

	windowed bool
	rotated  bool
}

// mixes reports whether the block has attention, or what stands in its place.
func (l *layer) mixes() bool { return l.o != nil || l.conv != nil || l.delta != nil || l.mamba != nil }

// latent is the weights of latent attention.
type latent struct {
	qA, qB       *matrix // q in two steps; nil where it is one
	qNorm        vector
	kvA          *matrix // to the latent vector and the key's rotated elements
	kvNorm       vector
	keyUp, value *matrix // [head]: a query's to the latent vector, and from there to a value
}

// shortConv is the weights of a gated short convolution (LFM2).
type shortConv struct {
	in, out *matrix
	kernel  vector // [embedding][positions]
}

// weights is a whole model.
type weights struct {
	embedding                      *matrix // [vocabulary][embedding]
	outputNorm                     norm
	output                         *matrix // the embedding where tied
	outputBias                     vector
	ropeFreqs, ropeLong, ropeShort vector // [rope dims/2] divisors of the frequencies
	layers                         []layer
}

// divisors are those of the frequencies for a context of n positions.
func (w *weights) divisors(p Params, n int) vector {
	switch {
	case w.ropeFreqs != nil:
		return w.ropeFreqs
	case n > p.Rope.Original:
		return w.ropeLong
	}
	return w.ropeShort
}
