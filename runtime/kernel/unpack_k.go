package kernel

// pairs unpacks quants of two bits: each run of 32 bytes holds 128 elements.
func (g *group) pairs(y []byte) {
	for i := range g.quants {
		g.quants[i] = int8(y[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3)
	}
}

func unpackQ2_K(g *group, _ int, y []byte) {
	g.by, g.byLess = half(y[80:]), half(y[82:])
	for l, s := range y[:16] {
		g.ints[l], g.less[l] = int32(s&15), int32(s>>4)
	}
	g.pairs(y[16:])
}

func unpackQ3_K(g *group, _ int, y []byte) {
	g.by = half(y[108:])
	for l := range 16 {
		s := y[96+l%8] >> (l / 8 * 4) & 15
		s |= y[104+l%4] >> (l / 4 * 2) & 3 << 4
		g.ints[l] = int32(s) - 32
	}
	g.pairs(y[32:])
	for i := range g.quants {
		if y[i%32]>>(i/32)&1 == 0 {
			g.quants[i] -= 4
		}
	}
}

// scalesAndMins of Q4_K and Q5_K: six bits each in 12 bytes behind two halves.
func (g *group) scalesAndMins(y []byte) {
	p := y[4:16]
	g.by, g.byLess = half(y), half(y[2:])
	for b := range 8 {
		s, m := p[b%4]&63, p[b%4+4]&63
		if b >= 4 {
			s, m = p[b+4]&15|p[b-4]>>6<<4, p[b+4]>>4|p[b]>>6<<4
		}
		g.ints[2*b], g.ints[2*b+1] = int32(s), int32(s)
		g.less[2*b], g.less[2*b+1] = int32(m), int32(m)
	}
}

// nibbles64 unpacks runs of 32 bytes: low nibbles are 32 elements, high nibbles the next 32.
func (g *group) nibbles64(y []byte) {
	for i := range g.quants {
		g.quants[i] = int8(y[i/64*32+i%32] >> (i % 64 / 32 * 4) & 15)
	}
}

func unpackQ4_K(g *group, _ int, y []byte) {
	g.scalesAndMins(y)
	g.nibbles64(y[16:])
}

func unpackQ5_K(g *group, _ int, y []byte) {
	g.scalesAndMins(y)
	g.nibbles64(y[48:])
	for i := range g.quants {
		g.quants[i] |= int8(y[16+i%32]>>(i/32)&1) << 4
	}
}

func unpackQ6_K(g *group, _ int, y []byte) {
	g.by = half(y[208:])
	for l, s := range y[192:208] {
		g.ints[l] = int32(int8(s))
	}
	for i := range g.quants {
		h, l := i/128, i%128
		low := y[64*h+l%64] >> (l / 64 * 4) & 15
		high := y[128+32*h+l%32] >> (l / 32 * 2) & 3
		g.quants[i] = int8(low|high<<4) - 32
	}
}

func unpackIQ4_XS(g *group, _ int, y []byte) {
	g.by = half(y)
	high := uint16(y[2]) | uint16(y[3])<<8
	for b := range 8 {
		s := y[4+b/2]>>(b%2*4)&15 | uint8(high>>(2*b)&3)<<4
		g.ints[2*b], g.ints[2*b+1] = int32(s)-32, int32(s)-32
		g.spread16(32*b, y[8+16*b:], &nonLinear4)
	}
}
