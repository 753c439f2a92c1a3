package nn

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// matrix is a weight of experts (1 where it is not stacked) times rows rows of cols elements.
// A matrix times a vector of cols elements is a vector of rows elements.
type matrix struct {
	info       gguf.TensorInfo
	tensor     int // index in the source
	cols, rows int
	experts    int
	stack      int       // rows of an expert in the tensor,
	first      int       // of which the matrix begins with this one,
	of         *matrix   // if it is a part of another
	dot        gguf.Type // type that inputs are rounded to; F32: not at all
	ints       bool      // rounded inputs are multiplied in integers

	decode  func(dst []float32, src []byte)
	encoded []byte    // rows in the tensor's type; nil where decoded
	decoded []float32 // [experts][rows][cols]; nil where encoded
	stream  *stream   // of which it is a part, if it is not in memory as a whole
}

// elements is the number of the matrix's weights.
func (m *matrix) elements() int64 { return m.info.Shape.Elements() }

// row decodes row r into dst.
func (m *matrix) row(dst []float32, r int) {
	if m.decoded != nil {
		copy(dst, m.decoded[r*m.cols:][:m.cols])
		return
	}
	n := int(m.info.RowBytes())
	m.decode(dst[:m.cols], m.encoded[r*n:][:n])
}

// part is n of each expert's rows from row first on; of nothing it is nothing.
func (m *matrix) part(first, n int) *matrix {
	if m == nil {
		return nil
	}
	return &matrix{info: m.info, tensor: m.tensor, cols: m.cols, rows: n, experts: m.experts, stack: m.stack, first: first, of: m, dot: m.dot}
}

// at is the matrix as it lies in memory, and the row there of an expert's row r.
func (m *matrix) at(expert, r int) (*matrix, int) {
	r += expert*m.stack + m.first
	if m.of != nil {
		m = m.of
	}
	return m, r
}

// tile is rows rows of an expert from row r on, as float32: a view where decoded, else decoded to buf.
func (m *matrix) tile(expert, r, rows int, buf []float32) kernel.Mat {
	m, r = m.at(expert, r)
	if m.decoded != nil {
		return kernel.Mat{Data: m.decoded[r*m.cols:][:rows*m.cols], Stride: m.cols}
	}
	n := int(m.info.RowBytes())
	buf = buf[:rows*m.cols]
	m.decode(buf, m.encoded[r*n:][:rows*n])
	return kernel.Mat{Data: buf, Stride: m.cols}
}

// product is one matrix product: dst[i] = m's expert times x[i], for i of 0 to n-1.
type product struct {
	m      *matrix
	expert int
	dst    kernel.Mat
	x      kernel.Mat    // or, where the matrix is multiplied in integers,
	quants kernel.Inputs // the same rounded
	n      int
	step   int // rows of a tile
}

// integer reports whether the matrix's rows are multiplied in integers, with inputs rounded to the type for it.
func (m *matrix) integer() bool {
	if m.of != nil {
		m = m.of
	}
	return m.decoded == nil && m.dot != gguf.F32 && m.ints
}

// halves reports whether the matrix's rows lie in memory as halves.
func (m *matrix) halves() bool {
	if m.of != nil {
		m = m.of
	}
	return m.decoded == nil && (m.info.Type == gguf.F16 || m.info.Type == gguf.BF16)
}

// halfTokens is the number of tokens from which on halves are decoded once for all of them.
const halfTokens = 12

// tile computes the product's rows from r on.
func (p *product) tile(s *State, worker, r, rows int) {
	dst := kernel.Mat{Data: p.dst.Data[r:], Stride: p.dst.Stride}
	if p.m.integer() {
		m, first := p.m.at(p.expert, r)
		n := int(m.info.RowBytes())
		kernel.MatMulEncoded(dst, m.info.Type, m.encoded[first*n:][:rows*n], p.quants, rows, p.n, &s.scratch[worker])
		return
	}
	if p.n < halfTokens && p.m.halves() {
		m, first := p.m.at(p.expert, r)
		w := kernel.Halves{Data: m.encoded[2*first*m.cols:], Stride: m.cols, Type: m.info.Type}
		kernel.MatMulHalves(dst, w, p.x, rows, p.n, m.cols)
		return
	}
	w := p.m.tile(p.expert, r, rows, s.tileBuf(worker, rows*p.m.cols))
	kernel.MatMul(dst, w, p.x, rows, p.n, p.m.cols)
}

// tileElements bounds the weights of a tile: decoded they stay in the second-level cache. Those that are not decoded
// are read in longer runs.
const tileElements, runElements = 1 << 15, 1 << 17

// tileRows is the number of rows of a tile: few enough for all workers to have some, enough to be worth a task,
// and a multiple of the rows that kernels take together.
func (p *product) tileRows(workers int) int {
	most, unit := tileElements/p.m.cols, 4
	if p.m.integer() {
		unit = 16
	}
	if p.n == 1 && (p.m.integer() || p.m.halves()) {
		most = runElements / p.m.cols
	}
	fair := p.m.rows / (4 * workers)
	worth := grain / max(1, p.m.cols*p.n)
	return (max(unit, min(most, max(fair, worth))) + unit - 1) / unit * unit
}

// multiply computes all products; their tiles are shared out together, so that small matrices keep all workers busy.
func (s *State) multiply(ps []product) {
	ends := s.tileEnds[:0]
	tiles := 0
	for i := range ps {
		if p := &ps[i]; p.n > 0 {
			p.step = p.tileRows(s.d.workers.n)
			tiles += (p.m.rows + p.step - 1) / p.step
		}
		ends = append(ends, tiles)
	}
	s.tileEnds = ends
	s.d.workers.run(tiles, func(worker, i int) {
		j, start := 0, 0
		for ; i >= ends[j]; j++ {
			start = ends[j]
		}
		p := &ps[j]
		r := (i - start) * p.step
		p.tile(s, worker, r, min(p.step, p.m.rows-r))
	})
}

// tileBuf is memory of a worker's own for n weights.
func (s *State) tileBuf(worker, n int) []float32 {
	s.tiles[worker] = grow(s.tiles[worker], n)
	return s.tiles[worker]
}
