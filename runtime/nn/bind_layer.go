package nn

import (
	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf/names"
)

// layer binds block i.
func (b *binder) layer(p Params, i int) layer {
	l := layer{
		attnNorm: b.norm(i, p.Embedding, names.AttnNorm),
		kvHeads:  p.kvHeads(i), keyDim: p.keyDim(i), valueDim: p.valueDim(i), windowed: p.windowed(i), rotated: p.rotated(i),
		expertsNorm: b.optionalNorm(i, p.Embedding, "ffn_norm_exps"),
		outScale:    b.vector(weight("layer_output_scale", i), false, 1),
		ffnPost:     b.optionalNorm(i, p.Embedding, "post_ffw_norm"),
	}
	if b.has(names.FFNNorm, i) { // else the norm behind attention is the one before the feed-forward network
		l.attnPost = b.optionalNorm(i, p.Embedding, "post_attention_norm")
	}
	switch {
	case b.has("shortconv.conv", i):
		l.conv = b.shortConv(p, i)
	case b.has("ssm_x", i) || b.has("ssm_in", i):
		l.mamba = b.mamba(p, i)
	case b.has("ssm_conv1d", i):
		l.delta = b.deltaNet(p, i)
	case p.Latent.Rank > 0:
		b.latent(p, i, &l)
	case l.kvHeads > 0:
		b.attention(p, i, &l)
	}
	if !p.Graph.OneLayer {
		l.ffnNorm = b.norm(i, p.Embedding, names.FFNNorm, "post_attention_norm", "attn_output_norm")
	} else if l.ffnNorm = l.attnNorm; l.mixes() {
		return l
	}
	b.feedForward(p, i, &l)
	return l
}

func (b *binder) attention(p Params, i int, l *layer) {
	heads, keys, values := p.Heads*l.keyDim, l.kvHeads*l.keyDim, l.kvHeads*l.valueDim
	if b.has("attn_qkv", i) {
		all := b.matrix(weight("attn_qkv", i), true, p.Embedding, heads+keys+values)
		l.q, l.k, l.v = all.part(0, heads), all.part(heads, keys), all.part(heads+keys, values)
		if v := b.vector(bias("attn_qkv", i), false, heads+keys+values); v != nil {
			l.qBias, l.kBias, l.vBias = v[:heads], v[heads:][:keys], v[heads+keys:]
		}
	} else {
		if l.gatedQ = p.Graph.GatedQuery; l.gatedQ {
			heads *= 2
		}
		l.q = b.matrix(names.AttnQ.In(i), true, p.Embedding, heads)
		l.k = b.matrix(names.AttnK.In(i), true, p.Embedding, keys)
		l.v = b.matrix(names.AttnV.In(i), !p.Graph.NormValues, p.Embedding, values)
		l.qBias = b.vector(bias(names.AttnQ, i), false, heads)
		l.kBias = b.vector(bias(names.AttnK, i), false, keys)
		l.vBias = b.vector(bias(names.AttnV, i), false, values)
	}
	l.o = b.matrix(names.AttnOutput.In(i), true, p.Heads*l.valueDim, p.Embedding)
	l.oBias = b.vector(bias(names.AttnOutput, i), false, p.Embedding)
	l.qNorm = b.headNorm("attn_q_norm", i, l.keyDim, heads)
	l.kNorm = b.headNorm("attn_k_norm", i, l.keyDim, keys)
	l.sinks = b.vector(weight("attn_sinks", i), false, p.Heads)
	l.gate = b.matrix(weight("attn_gate", i), false, p.Embedding, p.Heads*l.valueDim)
}

// headNorm is the weights of a norm over each head, or over all heads together.
func (b *binder) headNorm(r names.Role, block, head, all int) vector {
	if t, ok := b.byName[weight(r, block)]; ok && b.tensors[t].Shape.NE(0) == int64(all) {
		head = all
	}
	return b.vector(weight(r, block), false, head)
}

func (b *binder) latent(p Params, i int, l *layer) {
	m, heads, nope := p.Latent, p.Heads*p.Latent.KeyDim, p.Latent.KeyDim-p.Rope.Dims
	l.latent = &latent{
		kvA:    b.matrix(weight("attn_kv_a_mqa", i), true, p.Embedding, m.Rank+p.Rope.Dims),
		kvNorm: b.vector(weight("attn_kv_a_norm", i), true, m.Rank),
		keyUp:  b.matrix(weight("attn_k_b", i), true, nope, m.Rank, p.Heads),
		value:  b.matrix(weight("attn_v_b", i), true, m.Rank, m.ValueDim, p.Heads),
	}
	if b.has(names.AttnQ, i) {
		l.q = b.matrix(names.AttnQ.In(i), true, p.Embedding, heads)
	} else {
		l.latent.qA = b.matrix(weight("attn_q_a", i), true, p.Embedding, m.QRank)
		l.latent.qNorm = b.vector(weight("attn_q_a_norm", i), true, m.QRank)
		l.latent.qB = b.matrix(weight("attn_q_b", i), true, m.QRank, heads)
	}
	l.o = b.matrix(names.AttnOutput.In(i), true, p.Heads*m.ValueDim, p.Embedding)
}

func (b *binder) feedForward(p Params, i int, l *layer) {
	routed := b.has(names.FFNGateInp, i)
	switch {
	case b.has(names.FFNUp, i):
		l.dense = b.ffn(p, i, b.width(names.FFNUp, i), names.FFNGate, names.FFNUp, names.FFNDown)
	case !routed:
		l.dense = b.ffn(p, i, p.FFN, names.FFNGate, names.FFNUp, names.FFNDown)
	}
	if !routed {
		return
	}
	l.router = b.matrix(names.FFNGateInp.In(i), true, p.Embedding, p.Experts)
	l.routerBias = b.vector(bias(names.FFNGateInp, i), false, p.Experts)
	l.selectBias = b.vector(bias("exp_probs_b", i), false, p.Experts)
	if l.routerScale = b.vector(scaleOf(names.FFNGateInp, i), false, p.Embedding); l.routerScale != nil {
		l.expertPre, l.densePost, l.expertPost = b.norm(i, p.Embedding, "pre_ffw_norm_2"), b.norm(i, p.Embedding, "post_ffw_norm_1"), b.norm(i, p.Embedding, "post_ffw_norm_2")
	}
	l.expertScale = b.vector(scaleOf(names.FFNDownExps, i), false, p.Experts)
	l.experts = b.ffn(p, i, p.ExpertFFN, names.FFNGateExps, names.FFNUpExps, names.FFNDownExps, p.Experts)
	if b.has("ffn_up_chexps", i) && p.ChunkExperts > 0 {
		l.chunks = b.ffn(p, i, b.width("ffn_up_chexps", i), "ffn_gate_chexps", "ffn_up_chexps", "ffn_down_chexps", p.Experts/p.ChunkExperts)
	}
	if b.has(names.FFNUpShexp, i) {
		l.shared = b.ffn(p, i, b.width(names.FFNUpShexp, i), names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)
		l.sharedGate = b.matrix(weight("ffn_gate_inp_shexp", i), false, p.Embedding)
	}
}

// width is that of a feed-forward network, as its tensor has it.
func (b *binder) width(up names.Role, block int) int {
	return int(min(b.tensors[b.byName[weight(up, block)]].Shape.NE(1), maxDim))
}

// ffn binds the three matrices of a feed-forward network; stack is the number of experts, where they are stacked.
func (b *binder) ffn(p Params, block, width int, gate, up, down names.Role, stack ...int) ffn {
	shape := func(dims ...int) []int { return append(dims, stack...) }
	f := ffn{
		down:     b.matrix(down.In(block), true, shape(width, p.Embedding)...),
		gateBias: b.vector(bias(gate, block), false, shape(width)...),
		upBias:   b.vector(bias(up, block), false, shape(width)...),
		downBias: b.vector(bias(down, block), false, shape(p.Embedding)...),
	}
	if len(stack) > 0 && b.has(names.FFNGateUpExps, block) {
		both := b.matrix(names.FFNGateUpExps.In(block), true, shape(p.Embedding, 2*width)...)
		f.gate, f.up = both.part(0, width), both.part(width, width)
		return f
	}
	f.gate = b.matrix(gate.In(block), p.Graph.Act != family.SquaredReLU, shape(p.Embedding, width)...)
	f.up = b.matrix(up.In(block), true, shape(p.Embedding, width)...)
	return f
}
