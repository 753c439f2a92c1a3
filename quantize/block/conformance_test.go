package block

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// eachCodec runs a test for every registered type.
func eachCodec(t *testing.T, f func(t *testing.T, c Codec)) {
	for typ := range facts {
		c, ok := For(typ)
		if !ok {
			t.Errorf("%v is not registered", typ)
			continue
		}
		t.Run(typ.String(), func(t *testing.T) { f(t, c) })
	}
	if len(facts) != len(codecs) {
		t.Errorf("facts of %d types, %d are registered", len(facts), len(codecs))
	}
}

// conformanceLen is a row length that every type divides.
const conformanceLen = 768

func rowOf(c Codec, n int) []byte { return make([]byte, n/c.Type.BlockLen()*c.Type.BlockSize()) }

func testRow(name string) []float32 {
	return generate("conformance/"+name, conformanceLen, conformanceLen, rowGenerators[name])
}

// plain is what stands for no importance: nil, or ones for types that cannot do without.
func plain(c Codec) []float32 {
	if !c.NeedsImportance {
		return nil
	}
	return ones()
}

func ones() []float32 {
	w := make([]float32, conformanceLen)
	for i := range w {
		w[i] = 1
	}
	return w
}

func TestRMSE(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		for _, importance := range [][]float32{plain(c), ones()} {
			src, enc, dec := testRow("normal"), rowOf(c, conformanceLen), make([]float32, conformanceLen)
			if err := c.Encode(enc, src, importance); err != nil {
				t.Fatal(err)
			}
			c.Decode(dec, enc)
			var sum float64
			for i := range src {
				d := float64(dec[i] - src[i])
				sum += d * d
			}
			if rmse := math.Sqrt(sum / conformanceLen); rmse > facts[c.Type].rmse {
				t.Errorf("RMSE %v, want at most %v", rmse, facts[c.Type].rmse)
			}
		}
	})
}

// TestZeros: zeros of either sign decode to zeros.
func TestZeros(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		for _, name := range []string{"zero", "negzero"} {
			src, enc, dec := testRow(name), rowOf(c, conformanceLen), make([]float32, conformanceLen)
			for _, importance := range [][]float32{plain(c), src, testRow("positive")} {
				if err := c.Encode(enc, src, importance); err != nil {
					t.Fatal(err)
				}
				c.Decode(dec, enc)
				for i, v := range dec {
					if v != 0 {
						t.Fatalf("%s: element %d is %v", name, i, v)
					}
				}
			}
		}
	})
}

// TestEmpty: a row of no elements, and no rows, are fine.
func TestEmpty(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		if err := c.Encode(nil, nil, nil); err != nil {
			t.Error(err)
		}
		c.Decode(nil, nil)
		if err := Validate(c.Type, nil); err != nil {
			t.Error(err)
		}
		if err := EncodeRows(c.Type, nil, nil, conformanceLen, nil); err != nil {
			t.Error(err)
		}
		if err := DecodeRows(c.Type, nil, nil, conformanceLen); err != nil {
			t.Error(err)
		}
	})
}

// TestGuards: what lies behind the slices stays as it was, and every byte of the row is written.
func TestGuards(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		for _, name := range []string{"normal", "zero", "tiny36"} {
			src := testRow(name)
			first := rowOf(c, conformanceLen)
			for _, fill := range []byte{0x00, 0xa5} {
				buf := bytes.Repeat([]byte{fill}, len(first)+64)
				if err := c.Encode(buf[32:32+len(first)], src, plain(c)); err != nil {
					t.Fatal(err)
				}
				for i, b := range buf {
					if (i < 32 || i >= 32+len(first)) && b != fill {
						t.Fatalf("%s: byte %d of the guards is %#02x", name, i, b)
					}
				}
				if fill == 0 {
					copy(first, buf[32:])
				} else if !bytes.Equal(first, buf[32:32+len(first)]) {
					t.Errorf("%s: the row depends on what dst held before", name)
				}
			}
			dec := make([]float32, conformanceLen+16)
			for i := range dec {
				dec[i] = 12345
			}
			c.Decode(dec[8:8+conformanceLen], first)
			for i, v := range dec {
				if (i < 8 || i >= 8+conformanceLen) && v != 12345 {
					t.Fatalf("%s: element %d of the guards is %v", name, i, v)
				}
			}
		}
	})
}

// TestNotFinite: a NaN or Inf anywhere in the row is refused by position and value, also among importance weights.
func TestNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachCodec(t, func(t *testing.T, c Codec) {
		for _, bad := range []float32{nan, inf, -inf} {
			for _, at := range []int{0, 255, 256, conformanceLen - 1} {
				src := append(testRow("normal"), testRow("normal")...)
				src[conformanceLen+at] = bad
				err := EncodeRows(c.Type, append(rowOf(c, conformanceLen), rowOf(c, conformanceLen)...), src, conformanceLen, plain(c))
				var ve *ValueError
				if !errors.As(err, &ve) || ve.Row != 1 || ve.Column != at || math.Float32bits(ve.Value) != math.Float32bits(bad) {
					t.Errorf("%v in row 1 at %d: error %v", bad, at, err)
				}
			}
			importance := testRow("positive")
			importance[17] = bad
			if err := c.Encode(rowOf(c, conformanceLen), testRow("normal"), importance); err == nil || !strings.Contains(err.Error(), "column 17") {
				t.Errorf("importance %v at 17: error %v", bad, err)
			}
		}
	})
}

// TestBeyondRange: a weight that makes a scale f16 cannot hold is refused by position and value, a somewhat smaller one
// is not, and magnitudes up to the largest float32 never pass for zeros.
func TestBeyondRange(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		limit := facts[c.Type].beyond
		ok := limit != 0
		for _, importance := range [][]float32{plain(c), testRow("positive")} {
			for v := limit; ok && v < math.MaxFloat32/100; v *= 100 {
				checkRefused(t, c, v, importance)
				checkRefused(t, c, -v, importance)
			}
			checkRefusedIf(t, c, math.MaxFloat32, importance, ok)
			src := testRow("normal")
			src[300] = limit / 16
			if err := c.Encode(rowOf(c, conformanceLen), src, importance); err != nil {
				t.Errorf("%v: %v", limit/16, err)
			}
		}
	})
}

func checkRefused(t *testing.T, c Codec, v float32, importance []float32) {
	t.Helper()
	checkRefusedIf(t, c, v, importance, true)
}

func checkRefusedIf(t *testing.T, c Codec, v float32, importance []float32, want bool) {
	t.Helper()
	src := testRow("normal")
	src[300] = v
	err := c.Encode(rowOf(c, conformanceLen), src, importance)
	var ve *ValueError
	switch {
	case !want && err != nil:
		t.Errorf("%v: %v", v, err)
	case want && (!errors.As(err, &ve) || ve.Column != 300 || ve.Value != v):
		t.Errorf("%v: error %v, want the value at 300 refused", v, err)
	}
}

// TestValidate: a NaN or Inf in any scale is found, and its block named; encoded rows are valid.
func TestValidate(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		enc := rowOf(c, conformanceLen)
		if err := c.Encode(enc, testRow("normal"), plain(c)); err != nil {
			t.Fatal(err)
		}
		if err := Validate(c.Type, enc); err != nil {
			t.Fatalf("fresh row: %v", err)
		}
		if c.Type.BlockSize() > 1 {
			if err := Validate(c.Type, enc[:len(enc)-1]); err == nil {
				t.Error("a cut block passes")
			}
		}
		offsets, patterns := facts[c.Type].scales, facts[c.Type].bad
		if patterns == nil {
			patterns = bad16
		}
		last := len(enc)/c.Type.BlockSize() - 1
		for _, o := range offsets {
			for _, p := range patterns {
				for _, b := range []int{0, last} {
					bad := bytes.Clone(enc)
					copy(bad[b*c.Type.BlockSize()+o:], p)
					err := Validate(c.Type, bad)
					var se *ScaleError
					if !errors.As(err, &se) || se.Block != b {
						t.Errorf("% x at block %d, offset %d: error %v", p, b, o, err)
					}
				}
			}
		}
	})
}

// TestLengths: wrong lengths are errors that name the type.
func TestLengths(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		src, enc, dec := testRow("normal"), rowOf(c, conformanceLen), make([]float32, conformanceLen)
		for what, err := range map[string]error{
			"short dst":        c.Encode(enc[:len(enc)-1], src, nil),
			"long dst":         c.Encode(append(bytes.Clone(enc), 0), src, nil),
			"short importance": c.Encode(enc, src, src[1:]),
			"no importance":    c.Encode(enc, src, []float32{}),
			"rows short dst":   EncodeRows(c.Type, enc[1:], src, conformanceLen, nil),
			"rows no whole":    EncodeRows(c.Type, enc, src[:conformanceLen-1], conformanceLen, nil),
			"rows of zero":     EncodeRows(c.Type, enc, src, 0, nil),
			"rows negative":    EncodeRows(c.Type, enc, src, -256, nil),
			"rows importance":  EncodeRows(c.Type, enc, src, conformanceLen/3, src),
			"decode short src": DecodeRows(c.Type, dec, enc[1:], conformanceLen),
			"decode no whole":  DecodeRows(c.Type, dec[1:], enc, conformanceLen),
		} {
			if err == nil || !strings.Contains(err.Error(), c.Type.String()) {
				t.Errorf("%s: error %v", what, err)
			}
		}
		if n := c.Type.BlockLen(); n > 1 {
			if err := c.Encode(enc, src[:n-1], nil); err == nil {
				t.Error("a part of a block passes")
			}
		}
	})
}

// TestConcurrent: codecs keep no state, so that workers may share them.
func TestConcurrent(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		src, importance, want := testRow("heavy"), testRow("positive"), rowOf(c, conformanceLen)
		if err := c.Encode(want, src, importance); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				got := rowOf(c, conformanceLen)
				for range 4 {
					if err := c.Encode(got, src, importance); err != nil || !bytes.Equal(got, want) {
						t.Errorf("another result (error %v)", err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestUnknownType: types without a codec are refused as unsupported, by name.
func TestUnknownType(t *testing.T) {
	const typ = gguf.I64
	for _, err := range []error{EncodeRows(typ, nil, nil, 1, nil), DecodeRows(typ, nil, nil, 1), Validate(typ, nil)} {
		var ue *gguf.UnsupportedError
		if !errors.As(err, &ue) || !strings.Contains(err.Error(), "I64") {
			t.Errorf("error %v", err)
		}
	}
}
