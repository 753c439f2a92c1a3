//go:build amd64 && !purego

package block

import (
	"sync"
	"unsafe"
)

//go:generate go run -C _asm . -gen signed -out ../signed_amd64.s -stubs ../signed_stubs_amd64.go -pkg block

// signedGroups are 16 groups of 16 or 32 weights side by side: element i of group g is x[i][g].
type signedGroups struct {
	x, w, wx       [32][16]float32 // elements, weights of their errors, the products
	top, most      [16]float32     // the first element of largest magnitude, that magnitude
	sum            [16]float32     // of the weights under importance
	scale, inverse [16]float32     // as in signedFit
}

// signedScratches lends groups that begin with a cache line, which vectors then do not cross.
var signedScratches = sync.Pool{New: func() any {
	const line = 64
	b := make([]byte, unsafe.Sizeof(signedGroups{})+line)
	return (*signedGroups)(unsafe.Pointer(&b[-uintptr(unsafe.Pointer(&b[0]))%line]))
}}

// signedTrials are what fitSigned needs to know of a type with quants of -n..n-1: the bounds, then the inverse scales to try,
// times the element of largest magnitude, and two more that are never used.
type signedTrials [2 + 1 + len(trials) + 2]float32

func newSignedTrials(n float32) *signedTrials {
	t := signedTrials{n - 1, -n, -n}
	for i, k := range trials {
		t[3+i] = -(n + float32(0.1*k))
	}
	return &t
}

// fitSignedForms are the kernels that find scale and inverse of groups of 16*chunks elements.
var fitSignedForms = [forms]func(groups, trials *float32, chunks int){avx2: fitSignedAVX2, avx512: fitSignedAVX512}

// strided are the byte offsets of groups that follow each other, the last of which stands in for those that are not there.
func strided(size, groups int) *[16]int {
	var o [16]int
	for g := range o {
		o[g] = size * min(g, groups-1)
	}
	return &o
}
