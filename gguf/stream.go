package gguf

import "sync/atomic"

// position is a place in an output: the first row that it does not hold yet.
type position struct{ tensor, row int }

func (p position) before(q position) bool {
	return p.tensor < q.tensor || p.tensor == q.tensor && p.row < q.row
}

// stream is one output on its way through the pipeline. Its slabs are written, then committed, each in order by a
// goroutine of its own.
type stream struct {
	tensors []TensorInfo
	align   func(tensor int) int64
	from    position                         // what lies before is there already
	write   func(s *slab, data []byte) error // appends
	commit  func(s *slab, data []byte) error // takes what was written into account: hash, position, progress
	queue   chan *slab
	bufs    buffers
}

func newStream(tensors []TensorInfo, align func(tensor int) int64) *stream {
	return &stream{tensors: tensors, align: align}
}

// padding is the number of zero bytes behind a slab: up to the next tensor where it is its tensor's last.
func (st *stream) padding(s *slab) int {
	t := st.tensors[s.tensor]
	if int64(s.row+s.n) < t.Shape.Rows() {
		return 0
	}
	return int(pad(t.Bytes(), st.align(s.tensor)) - t.Bytes())
}

// slab is a run of rows of one tensor, of all outputs that want it.
type slab struct {
	tensor, row, n int
	bufs           [][]byte // padding included, parallel to the streams; nil where it is not wanted
	held           int64    // of the budget
	users          atomic.Int32
	err            error
	ready          chan struct{} // closed when bufs are filled or err is set
}

// end is the position behind the slab.
func (s *slab) end() position { return position{s.tensor, s.row + s.n} }
