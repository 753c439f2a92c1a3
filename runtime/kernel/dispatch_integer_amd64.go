//go:build amd64 && !purego

package kernel

import "github.com/moeconv/moeconv/gguf"

//go:generate go -C _asm run . -gen inputs -out ../inputs_amd64.s -stubs ../inputs_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen products -out ../products_amd64.s -stubs ../products_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen unpack_32 -out ../unpack_32_amd64.s -stubs ../unpack_32_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen unpack_k -out ../unpack_k_amd64.s -stubs ../unpack_k_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen dots_32 -out ../dots_32_amd64.s -stubs ../dots_32_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen turn -out ../turn_amd64.s -stubs ../turn_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen rows -out ../rows_amd64.s -stubs ../rows_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen dots_k -out ../dots_k_amd64.s -stubs ../dots_k_stubs_amd64.go -pkg kernel

// Integer reports whether rows of type t are multiplied in integers here.
func Integer(t gguf.Type) bool { return useAVX2 && layouts[t] != nil }

type dotsFunc func(dst *float32, src *byte, x *int8, skip, groups, rows int)

// tileFunc is a dotsFunc for four rows of inputs, ldx bytes apart, and of dst, ldd elements apart.
type tileFunc func(dst *float32, src *byte, x *int8, skip, groups, rows, ldd, ldx int)

// restFunc adds products of rows' last blocks, fewer than eight.
type restFunc func(dst *float32, src *byte, x *int8, stride, blocks, rows int)

type restForms struct{ avx2, vnni restFunc }

// kernels are a type's.
type kernels struct {
	dots     dotsFunc                                // AVX2
	tile     tileFunc                                // AVX2
	rest     restForms                               // of blocks of 32
	dotsVNNI dotsFunc                                // with AVX-512's; nil where that is no faster
	unpack   func(dst *uint8, src *byte, groups int) // AVX-512, and
	products func(dst *float32, w *uint8, x *int8, ldd, ldx, groups int)
	vectors  int // of a group of weights that products want
}

var kernelsOf = map[gguf.Type]kernels{
	gguf.Q8_0:   {dotsQ8_0AVX2, tileQ8_0AVX2, restForms{restQ8_0AVX2, restQ8_0VNNI}, dotsQ8_0VNNI, unpackQ8_0AVX512, productsBlocksAVX512, 5},
	gguf.Q4_0:   {dotsQ4_0AVX2, tileQ4_0AVX2, restForms{restQ4_0AVX2, restQ4_0VNNI}, dotsQ4_0VNNI, unpackQ4_0AVX512, productsBlocksAVX512, 5},
	gguf.Q4_1:   {dotsQ4_1AVX2, tileQ4_1AVX2, restForms{restQ4_1AVX2, restQ4_1VNNI}, dotsQ4_1VNNI, unpackQ4_1AVX512, productsBlocksMinsAVX512, 7},
	gguf.Q5_0:   {dotsQ5_0AVX2, tileQ5_0AVX2, restForms{restQ5_0AVX2, restQ5_0VNNI}, dotsQ5_0VNNI, unpackQ5_0AVX512, productsBlocksAVX512, 5},
	gguf.Q5_1:   {dotsQ5_1AVX2, tileQ5_1AVX2, restForms{restQ5_1AVX2, restQ5_1VNNI}, dotsQ5_1VNNI, unpackQ5_1AVX512, productsBlocksMinsAVX512, 7},
	gguf.IQ4_NL: {dotsIQ4_NLAVX2, tileIQ4_NLAVX2, restForms{restIQ4_NLAVX2, restIQ4_NLVNNI}, dotsIQ4_NLVNNI, unpackIQ4_NLAVX512, productsBlocksAVX512, 5},
	gguf.MXFP4:  {dotsMXFP4AVX2, tileMXFP4AVX2, restForms{restMXFP4AVX2, restMXFP4VNNI}, dotsMXFP4VNNI, unpackMXFP4AVX512, productsBlocksAVX512, 5},
	gguf.Q2_K:   {dotsQ2_KAVX2, tileQ2_KAVX2, restForms{}, nil, unpackQ2_KAVX512, productsSuper16MinsAVX512, 7},
	gguf.Q3_K:   {dotsQ3_KAVX2, tileQ3_KAVX2, restForms{}, nil, unpackQ3_KAVX512, productsSuper16AVX512, 6},
	gguf.Q4_K:   {dotsQ4_KAVX2, tileQ4_KAVX2, restForms{}, nil, unpackQ4_KAVX512, productsSuper32MinsAVX512, 7},
	gguf.Q5_K:   {dotsQ5_KAVX2, tileQ5_KAVX2, restForms{}, nil, unpackQ5_KAVX512, productsSuper32MinsAVX512, 7},
	gguf.Q6_K:   {dotsQ6_KAVX2, tileQ6_KAVX2, restForms{}, nil, unpackQ6_KAVX512, productsSuper16AVX512, 6},
	gguf.IQ4_XS: {dotsIQ4_XSAVX2, tileIQ4_XSAVX2, restForms{}, nil, unpackIQ4_XSAVX512, productsSuper32AVX512, 6},
}

func init() {
	for t, k := range kernelsOf {
		layouts[t].kernels = k
	}
}

// A panel is 16 rows, lane by lane, which pays from some tokens on.
const (
	panelRows      = 16
	panelTokens    = 6
	tileTokens     = 4
	unpackedGroups = 8 // of a row at a time
)

func (l *layout) matMulEncoded(dst Mat, t gguf.Type, w []byte, x Inputs, rows, tokens int, s *Scratch) {
	if !useAVX2 {
		l.matMulEncodedGeneric(dst, t, w, x, rows, tokens)
		return
	}
	k, size := l.kernels, len(w)/rows
	panels, tiles := rows/panelRows*panelRows, tokens/tileTokens*tileTokens
	if !useAVX512 || tokens < panelTokens {
		panels, tiles = 0, 0
	}
	for r := 0; r < panels; r += panelRows {
		l.panel(t, w[r*size:][:panelRows*size], x, s)
		for i := 0; i < tiles; i += tileTokens {
			k.products(&dst.Data[i*dst.Stride+r], &s.panel[0].quants[0], &x.data[i*x.stride].quants[0], dst.Stride, x.stride*inputsSize, x.groups)
		}
	}
	if tiles < tokens && panels > 0 {
		l.dots(dst.From(tiles), t, w[:panels*size], x.From(tiles), panels, tokens-tiles)
	}
	if panels < rows {
		l.dots(Mat{dst.Data[panels:], dst.Stride}, t, w[panels*size:], x, rows-panels, tokens)
	}
}

// panel fills s.panel with 16 rows.
func (l *layout) panel(t gguf.Type, w []byte, x Inputs, s *Scratch) {
	if need := panelRows * x.groups; cap(s.panel) < need {
		s.rows, s.panel = make([]weights, panelRows*unpackedGroups), make([]weights, max(need, alignedGroups))
	}
	s.panel = s.panel[:panelRows*x.groups]
	size, groupSize := len(w)/panelRows, groupLen/t.BlockLen()*t.BlockSize()
	var last [groupLen / 32 * 34]byte
	for g := 0; g < x.groups; g += unpackedGroups {
		n := min(unpackedGroups, x.groups-g)
		whole := min(n, x.cols/groupLen-g)
		for r := range panelRows {
			to, from := s.rows[r*unpackedGroups:][:n], w[r*size+g*groupSize:(r+1)*size]
			if whole > 0 {
				unpack(l, t, to[:whole], from)
			}
			if whole < n { // zeros behind a row's last group make nothing of inputs that are zero, too
				copy(last[:], from[whole*groupSize:])
				l.kernels.unpack(&to[whole].quants[0], &last[0], 1)
			}
		}
		for i := range n {
			transposeAVX512(&s.panel[(g+i)*panelRows].quants[0], &s.rows[i].quants[0], unpackedGroups*weightsSize, l.kernels.vectors)
		}
	}
}

// unpack takes whole groups apart.
func unpack(l *layout, t gguf.Type, dst []weights, src []byte) {
	if !useAVX512 {
		l.unpackGeneric(t, dst, src, len(dst)*groupLen)
		return
	}
	l.kernels.unpack(&dst[0].quants[0], &src[0], len(dst))
}

// dotBytes of rows stay in the nearest cache while tokens pass by.
const dotBytes = 16 << 10

func (l *layout) dotsFunc() dotsFunc {
	if useAVX512 && l.kernels.dotsVNNI != nil {
		return l.kernels.dotsVNNI
	}
	return l.kernels.dots
}

// dots multiplies rows with four tokens at a time, or with one.
func (l *layout) dots(dst Mat, t gguf.Type, w []byte, x Inputs, rows, tokens int) {
	size, groups := len(w)/rows, x.cols/groupLen
	whole := groups * groupLen / t.BlockLen() * t.BlockSize()
	dots, step, tiles := l.dotsFunc(), rows, tokens/tileTokens*tileTokens
	if tokens > 1 {
		step = max(1, dotBytes/size)
	}
	if groups == 0 || useAVX512 && l.kernels.dotsVNNI != nil {
		tiles = 0
	}
	for r := 0; r < rows; r += step {
		n := min(step, rows-r)
		for i := 0; i < tiles; i += tileTokens {
			_ = dst.Data[(i+tileTokens-1)*dst.Stride+r+n-1]
			l.kernels.tile(&dst.Data[i*dst.Stride+r], &w[r*size], &x.data[i*x.stride].quants[0], size-whole, groups, n, dst.Stride, x.stride*inputsSize)
		}
		for i := range tokens {
			to, in := dst.Data[i*dst.Stride+r:][:n], x.data[i*x.stride:][:x.groups]
			switch {
			case groups == 0:
				clear(to)
			case i >= tiles:
				dots(&to[0], &w[r*size], &in[0].quants[0], size-whole, groups, n)
			}
			if whole < size {
				l.addRest(to, t, w[r*size:][:n*size], whole, &in[groups])
			}
		}
	}
}

// addRest adds the products of rows' last groups, which are not full; they lie at from in a row.
func (l *layout) addRest(dst []float32, t gguf.Type, w []byte, from int, x *inputs) {
	size, rest := len(w)/len(dst), l.kernels.rest.avx2
	if useAVX512 {
		rest = l.kernels.rest.vnni
	}
	rest(&dst[0], &w[from], &x.quants[0], size, (size-from)/t.BlockSize(), len(dst))
}

// nearRows are so few that they stay in the nearest cache while their blocks are added one after the other.
const nearRows = 128

func sumRows(sums []float32, rows []byte, stride int, weights []float32) {
	if !useAVX2 {
		sumRowsGeneric(sums, rows, stride, weights)
		return
	}
	blocks := len(sums) / (sumLanes * blockLen32)
	for len(weights) > 0 {
		eights := min(nearRows, len(weights)) / 8
		if eights == 0 {
			sumLast(sums, rows, stride, weights)
			return
		}
		for b := range blocks {
			sumQ8_0AVX2(&sums[b*sumLanes*blockLen32], &rows[b*blockSizeQ8_0], &weights[0], stride, eights)
		}
		weights = weights[8*eights:]
		rows = rows[min(len(rows), 8*eights*stride):]
	}
}

// sumLast adds fewer than eight rows.
func sumLast(sums []float32, rows []byte, stride int, weights []float32) {
	var near [8 * blockSizeQ8_0]byte // zero behind the last row
	var w [8]float32
	copy(w[:], weights)
	for b := range len(sums) / (sumLanes * blockLen32) {
		for i := range weights {
			copy(near[i*blockSizeQ8_0:][:blockSizeQ8_0], rows[i*stride+b*blockSizeQ8_0:])
		}
		sumQ8_0AVX2(&sums[b*sumLanes*blockLen32], &near[0], &w[0], blockSizeQ8_0, 1)
	}
}

func putGroup(dst *inputs, src []float32, blocks32 bool) (ok bool) {
	if useAVX2 && len(src) == groupLen {
		put := putQ8_KAVX2
		switch {
		case useAVX512 && blocks32:
			put = putQ8_0AVX512
		case useAVX512:
			put = putQ8_KAVX512
		case blocks32:
			put = putQ8_0AVX2
		}
		if put(&dst.quants[0], &src[0]) {
			return true
		}
	}
	return putGroupGeneric(dst, src, blocks32)
}
