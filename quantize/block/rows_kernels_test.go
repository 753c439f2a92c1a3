package block

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestRowKernels: what a kernel encodes of many rows under one importance equals what the portable form encodes row by row,
// errors too.
func TestRowKernels(t *testing.T) {
	for typ, c := range codecs {
		ne0 := 3 * typ.BlockLen()
		for g := avx2; g <= best; g++ {
			kernel := c.kernels[g].rows
			if kernel == nil {
				continue
			}
			t.Run(fmt.Sprintf("%v/%s", typ, formNames[g]), func(t *testing.T) {
				n := 0
				for name, gen := range rowGenerators {
					n = n%18 + 1
					src, importance := generate("rows/"+name, n*ne0, ne0, gen), generate("rows", ne0, ne0, importanceGenerators["real"])
					size := ne0 / typ.BlockLen() * typ.BlockSize()
					want, got := make([]byte, n*size), make([]byte, n*size)
					var errWant error
					for r := 0; r < n && errWant == nil; r++ {
						errWant = c.Encode(want[r*size:(r+1)*size], src[r*ne0:(r+1)*ne0], importance)
						if ve := (*ValueError)(nil); errors.As(errWant, &ve) {
							ve.Row = r
						}
					}
					errGot := kernel(got, src, ne0, importance)
					if fmt.Sprint(errGot) != fmt.Sprint(errWant) {
						t.Errorf("%s, %d rows: %v, want %v", name, n, errGot, errWant)
					}
					if errWant == nil && !bytes.Equal(got, want) {
						t.Errorf("%s, %d rows: bytes differ", name, n)
					}
				}
			})
		}
	}
}

// TestRowKernelsRefuse: values that are not finite are named by row and column.
func TestRowKernelsRefuse(t *testing.T) {
	for typ, c := range codecs {
		for g := avx2; g <= best; g++ {
			kernel := c.kernels[g].rows
			if kernel == nil {
				continue
			}
			ne0 := 2 * typ.BlockLen()
			dst, src, importance := make([]byte, 2*2*typ.BlockSize()), make([]float32, 2*ne0), make([]float32, ne0)
			src[ne0+3] = nan32
			var ve *ValueError
			if err := kernel(dst, src, ne0, importance); !errors.As(err, &ve) || ve.Row != 1 || ve.Column != 3 {
				t.Errorf("%v/%s: NaN in row 1, column 3: %v", typ, formNames[g], err)
			}
			src[ne0+3], importance[5] = 0, nan32
			if err := kernel(dst, src, ne0, importance); err == nil || errors.As(err, &ve) {
				t.Errorf("%v/%s: importance of NaN: %v", typ, formNames[g], err)
			}
		}
	}
}
