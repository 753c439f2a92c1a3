package block

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// FuzzEncode feeds any float bits to every type, plain and weighted: no panic, and either an error that names a value
// or a valid row that decodes to finite values.
func FuzzEncode(f *testing.F) {
	var types []gguf.Type
	for _, t := range gguf.AllTypes() {
		if _, ok := For(t); ok {
			types = append(types, t)
		}
	}
	for i := range types {
		for _, seed := range [][]byte{nil, {0, 0, 128, 63}, {1, 0, 0, 0, 0, 0, 0, 128}, {255, 255, 127, 127}, {0, 0, 192, 127}, {95, 112, 137, 48, 205, 204, 204, 61}, {0, 0, 128, 255}} {
			f.Add(byte(i), seed, []byte{0, 0, 128, 63})
			f.Add(byte(i), seed, []byte(nil))
			f.Add(byte(i), seed, seed)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, weights, importances []byte) {
		typ := types[int(which)%len(types)]
		const n = 512
		src := repeated(weights, n)
		var importance []float32
		if len(importances) > 0 {
			importance = repeated(importances, n)
		}
		enc := make([]byte, n/typ.BlockLen()*typ.BlockSize())
		if err := EncodeRows(typ, enc, src, n, importance); err != nil {
			var ve *ValueError
			if errors.As(err, &ve) && math.Float32bits(ve.Value) != math.Float32bits(src[ve.Column]) {
				t.Errorf("%v, but the value there is %v", err, src[ve.Column])
			}
			return
		}
		if err := Validate(typ, enc); err != nil {
			t.Fatal(err)
		}
		dec := make([]float32, n)
		if err := DecodeRows(typ, dec, enc, n); err != nil {
			t.Fatal(err)
		}
		if i := notFinite(dec); i >= 0 && (typ != gguf.Q8_K || abs32(src[i]) < 3.4e38) { // its scale rounds up there
			t.Errorf("%v: value %v at %d decodes to %v", typ, src[i], i, dec[i])
		}
	})
}

// FuzzDecode feeds any bytes to every type: no panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x00, 0x7c, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, typ := range gguf.AllTypes() {
			c, ok := For(typ)
			if !ok {
				continue
			}
			blocks := len(b) / typ.BlockSize()
			c.Decode(make([]float32, blocks*typ.BlockLen()), b[:blocks*typ.BlockSize()])
			_ = Validate(typ, b) // an error or none
		}
	})
}

// repeated makes n floats of the bits in b, over and over; of what is left over at its end, none.
func repeated(b []byte, n int) []float32 {
	out := make([]float32, n)
	if len(b) < 4 {
		return out
	}
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*(i%(len(b)/4)):]))
	}
	return out
}
