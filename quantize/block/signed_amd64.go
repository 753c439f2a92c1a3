//go:build amd64 && !purego

package block

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go run -C _asm . -gen signed -out ../signed_amd64.s -stubs ../signed_stubs_amd64.go -pkg block

// signedGroups are 16 groups of 16 or 32 weights side by side: element i of group g is x[i][g].
type signedGroups struct {
	x, _, _        [32][16]float32 // elements, weights of their errors, the products
	_, most        [16]float32     // the first element of largest magnitude, that magnitude
	sum            [16]float32     // of the weights under importance
	scale, inverse [16]float32     // as in signedFit
}

// signedFits are the groups of a super-block as they were fitted.
type signedFits struct {
	most, scale, inverse [16]float32
	_                    [3][16]float32 // what their rounding comes to
}

// of copies the fits of groups.
func (f *signedFits) of(g *signedGroups) { f.most, f.scale, f.inverse = g.most, g.scale, g.inverse }

// aligned makes a value that begins with a cache line, which vectors then do not cross.
func aligned[T any]() *T {
	const line = 64
	var t T
	b := make([]byte, unsafe.Sizeof(t)+line)
	return (*T)(unsafe.Pointer(&b[-uintptr(unsafe.Pointer(&b[0]))%line]))
}

var signedScratches = sync.Pool{New: func() any { return aligned[signedGroups]() }}

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

// trials4 and trials32 are those of quants of three and six bits.
var trials4, trials32 = newSignedTrials(4), newSignedTrials(32)

// groupsOf16 are the byte offsets of a super-block's groups.
var groupsOf16 = strided(4*16, 16)

// strided are the byte offsets of groups that follow each other, the last of which stands in for those that are not there.
func strided(size, groups int) *[16]int {
	var o [16]int
	for g := range o {
		o[g] = size * min(g, groups-1)
	}
	return &o
}

// batches256 encodes rows of ne0, up to n super-blocks at a time. encode gets the column of the first one, and returns a bit for
// each that it leaves to portable.
func batches256(t gguf.Type, n int, dst []byte, src []float32, ne0 int, importance []float32,
	encode func(y []byte, x, importance []float32, column int) (left uint), portable func(y []byte, x, w *[len256]float32) float32) error {
	size := t.BlockSize()
	for at := 0; at < len(src); at += n * len256 {
		end := min(at+n*len256, len(src))
		x, y, column := src[at:end], dst[at/len256*size:end/len256*size], at%ne0
		for left := encode(y, x, importance, column); left != 0; left &= left - 1 {
			b := bits.TrailingZeros(left)
			xb := (*[len256]float32)(x[b*len256:])
			var wb *[len256]float32
			if importance != nil {
				wb = (*[len256]float32)(importance[(column+b*len256)%ne0:])
			}
			if bad := portable(y[b*size:(b+1)*size], xb, wb); bad != 0 {
				return errLeft
			}
		}
	}
	return nil
}
