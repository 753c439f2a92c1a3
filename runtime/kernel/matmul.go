package kernel

import "fmt"

// Mat is a matrix of float32: row r is Data[r*Stride:]. A Stride above the row length leaves a gap between rows.
type Mat struct {
	Data   []float32
	Stride int
}

// Row is the first n elements of row r.
func (m Mat) Row(r, n int) []float32 { return m.Data[r*m.Stride:][:n:n] }

// From is the matrix whose row 0 is m's row r.
func (m Mat) From(r int) Mat { return Mat{m.Data[r*m.Stride:], m.Stride} }

// holds panics unless m has n rows of k elements: a caller's mistake that assembly would turn into a wild write.
func (m Mat) holds(what string, n, k int) {
	if n > 0 && (m.Stride < 0 || (n-1)*m.Stride+k > len(m.Data)) {
		panic(fmt.Sprintf("kernel: %s: %d rows of %d with stride %d in %d elements", what, n, k, m.Stride, len(m.Data)))
	}
}

// blockElements is how many elements of x stay in the nearest cache while rows of w pass by.
const blockElements = 4096

// MatMul sets dst[t][r] to the dot product of w's row r and x's row t, for rows rows of w and tokens rows of x of k
// elements each. The value of an element depends on its two rows only. dst must not overlap w or x.
func MatMul(dst, w, x Mat, rows, tokens, k int) {
	dst.holds("dst", tokens, rows)
	w.holds("w", rows, k)
	x.holds("x", tokens, k)
	if rows <= 0 || tokens <= 0 {
		return
	}
	if k == 0 {
		for t := range tokens {
			clear(dst.Row(t, rows))
		}
		return
	}
	matMul(dst, w, x, rows, tokens, k)
}

// Dot is the dot product of x and y, of x's length.
func Dot(x, y []float32) float32 {
	var d [1]float32
	MatMul(Mat{d[:], 1}, Mat{x, len(x)}, Mat{y, len(x)}, 1, 1, len(x))
	return d[0]
}

// matMulGeneric is the specification of MatMul.
func matMulGeneric(dst, w, x Mat, rows, tokens, k int) {
	for t := range tokens {
		xt, d := x.Row(t, k), dst.Row(t, rows)
		for r := range d {
			d[r] = dotGeneric(w.Row(r, k), xt)
		}
	}
}

// dotGeneric sums in eight lanes, as the vector forms do.
func dotGeneric(x, y []float32) float32 {
	y = y[:len(x)]
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(x) >= 8 && len(y) >= 8 {
		s0 += float32(x[0] * y[0])
		s1 += float32(x[1] * y[1])
		s2 += float32(x[2] * y[2])
		s3 += float32(x[3] * y[3])
		s4 += float32(x[4] * y[4])
		s5 += float32(x[5] * y[5])
		s6 += float32(x[6] * y[6])
		s7 += float32(x[7] * y[7])
		x, y = x[8:], y[8:]
	}
	s := [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
	for i := range x {
		s[i] += float32(x[i] * y[i])
	}
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}
