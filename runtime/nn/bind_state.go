package nn

import "github.com/moeconv/moeconv/gguf/names"

func (b *binder) shortConv(p Params, i int) *shortConv {
	return &shortConv{
		in:     b.matrix(weight("shortconv.in_proj", i), true, p.Embedding, 3*p.Embedding),
		out:    b.matrix(weight("shortconv.out_proj", i), true, p.Embedding, p.Embedding),
		kernel: b.vector(weight("shortconv.conv", i), true, p.Conv, p.Embedding),
	}
}

func (b *binder) deltaNet(p Params, i int) *deltaNet {
	d := p.Delta
	values, channels := d.Heads*d.Dim, (2*d.KeyHeads+d.Heads)*d.Dim
	w := &deltaNet{
		in:    b.matrix(weight("attn_qkv", i), true, p.Embedding, channels),
		gate:  b.matrix(weight("attn_gate", i), true, p.Embedding, values),
		conv:  b.vector(weight("ssm_conv1d", i), true, d.Conv, channels),
		bias:  b.vector(bias("ssm_dt", i), true, d.Heads),
		decay: b.vector(names.Name{Role: "ssm_a", Block: i}.String(), true, d.Heads),
		norm:  b.vector(weight("ssm_norm", i), true, d.Dim),
		out:   b.matrix(weight("ssm_out", i), true, values, p.Embedding),
	}
	if b.has("ssm_ba", i) {
		w.both = b.matrix(weight("ssm_ba", i), true, p.Embedding, 2*d.Heads)
		return w
	}
	w.beta = b.matrix(weight("ssm_beta", i), true, p.Embedding, d.Heads)
	w.alpha = b.matrix(weight("ssm_alpha", i), true, p.Embedding, d.Heads)
	return w
}

func (b *binder) mamba(p Params, i int) *mamba {
	m := p.Mamba
	bare := func(r names.Role) string { return names.Name{Role: r, Block: i}.String() }
	w := &mamba{out: b.matrix(weight("ssm_out", i), true, m.Inner, p.Embedding)}
	if w.x = b.matrix(weight("ssm_x", i), false, m.Inner, m.Heads+2*m.State); w.x != nil {
		w.in = b.matrix(weight("ssm_in", i), true, p.Embedding, 2*m.Inner)
		w.channels = m.Inner
		w.step = b.matrix(weight("ssm_dt", i), true, m.Heads, m.Inner)
		w.bias = b.vector(bias("ssm_dt", i), true, m.Inner)
		w.stepNorm = b.vector(weight("ssm_dt_norm", i), true, m.Heads)
		w.bNorm, w.cNorm = b.vector(weight("ssm_b_norm", i), true, m.State), b.vector(weight("ssm_c_norm", i), true, m.State)
		w.decay = b.vector(bare("ssm_a"), true, m.State, m.Inner)
		w.skip = b.vector(bare("ssm_d"), true, m.Inner)
	} else {
		if m.Inner%max(1, m.Heads) != 0 || m.Heads%max(1, m.Groups) != 0 {
			b.failf("%d elements of a state space in %d heads and %d groups", m.Inner, m.Heads, m.Groups)
		}
		w.channels = m.Inner + 2*m.Groups*m.State
		w.in = b.matrix(weight("ssm_in", i), true, p.Embedding, m.Inner+w.channels+m.Heads)
		w.bias = b.vector(bias("ssm_dt", i), true, m.Heads)
		w.norm = b.vector(weight("ssm_norm", i), true, m.Inner/max(1, m.Groups), m.Groups)
		w.decay, w.skip = b.vector(bare("ssm_a"), true, 1, m.Heads), b.vector(bare("ssm_d"), true, 1, m.Heads)
	}
	w.conv = b.vector(weight("ssm_conv1d", i), true, m.Conv, w.channels)
	w.convBias = b.vector(bias("ssm_conv1d", i), false, w.channels)
	return w
}
