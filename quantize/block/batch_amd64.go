//go:build amd64 && !purego

package block

import (
	"errors"

	"github.com/moeconv/moeconv/gguf"
)

// errLeft sends what an encoder was given to the portable form.
var errLeft = errors.New("block: left to the portable form")

// batch makes codec functions of kernels that work on groups of a fixed number of blocks. A kernel returns how many groups it
// did before one that it leaves to the portable form. The last group overlaps the one before; rows shorter than a group are
// the portable form's.
type batch struct {
	t      gguf.Type
	blocks int // of a group
}

func (b batch) encode(kernel func(dst *byte, src *float32, groups int) int) func(dst []byte, src, _ []float32) error {
	n, size := b.blocks*b.t.BlockLen(), b.blocks*b.t.BlockSize()
	return func(dst []byte, src, _ []float32) error {
		portable := codecs[b.t].Encode
		if len(src) < n {
			return portable(dst, src, nil)
		}
		blocks := len(src) / b.t.BlockLen()
		for at := 0; at < blocks; {
			at = min(at, blocks-b.blocks)
			d, s := dst[at*b.t.BlockSize():], src[at*b.t.BlockLen():]
			groups := (blocks - at) / b.blocks
			done := kernel(&d[0], &s[0], groups)
			at += done * b.blocks
			if done < groups {
				if portable(d[done*size:(done+1)*size], s[done*n:(done+1)*n], nil) != nil {
					return errLeft
				}
				at += b.blocks
			}
		}
		return nil
	}
}

func (b batch) decode(kernel func(dst *float32, src *byte, groups int) int) func(dst []float32, src []byte) {
	return func(dst []float32, src []byte) {
		blocks := len(dst) / b.t.BlockLen()
		if blocks < b.blocks {
			codecs[b.t].Decode(dst, src)
			return
		}
		groups := blocks / b.blocks
		kernel(&dst[0], &src[0], groups)
		if rest := blocks - b.blocks; groups*b.blocks < blocks {
			kernel(&dst[rest*b.t.BlockLen()], &src[rest*b.t.BlockSize()], 1)
		}
	}
}
