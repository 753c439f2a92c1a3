package block

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// eachKernel runs a test for every codec in every form that has kernels of its own and that this CPU can run.
func eachKernel(t *testing.T, f func(t *testing.T, portable, kernel Codec)) {
	for typ, c := range codecs {
		for g := avx2; g <= best; g++ {
			if k := c.kernels[g]; k.encode != nil || k.decode != nil {
				t.Run(fmt.Sprintf("%v/%s", typ, formNames[g]), func(t *testing.T) {
					t.Parallel()
					f(t, c.in(generic), c.in(g))
				})
			}
		}
	}
}

// TestKernels: encoded bytes and errors of every kernel equal the portable form's, on rows of all distributions, weighted
// in all ways and not, of 1 to 33 blocks; the decoded values too, and nothing around is touched.
func TestKernels(t *testing.T) {
	eachKernel(t, func(t *testing.T, portable, kernel Codec) {
		blockLen := portable.Type.BlockLen()
		for name, gen := range rowGenerators {
			n := 1
			for imp, impGen := range importanceGenerators {
				if n++; n > 33 || testing.Short() && n > 4 {
					n = 1
				}
				blocks := n // and more small ones, since kernels take many of them at a time
				if blockLen < len256 {
					blocks = n*len256/blockLen + n%3
				}
				src := generate("kernels/"+name, blocks*blockLen, blocks*blockLen, gen)
				importance := generate("kernels/"+name+"/"+imp, blocks*blockLen, blocks*blockLen, impGen)
				if imp == "one" {
					importance = nil
				}
				sameForms(t, portable, kernel, fmt.Sprintf("%s/%s, %d blocks", name, imp, blocks), src, importance)
			}
		}
		for _, n := range []int{5, 7, 8, 9, 15, 16, 17, 31, 32, 33} {
			src := generate("kernels", n*blockLen, n*blockLen, rowGenerators["heavy"])
			sameForms(t, portable, kernel, fmt.Sprintf("%d blocks", n), src, nil)
			enc := make([]byte, n*portable.Type.BlockSize())
			for i := range enc {
				enc[i] = byte(hashAt(uint64(n), uint64(i)))
			}
			sameDecoded(t, portable, kernel, fmt.Sprintf("%d blocks of random bytes", n), enc, len(src))
			sameForms(t, portable, kernel, fmt.Sprintf("%d blocks", n), src, generate("kernels/i", len(src), len(src), importanceGenerators["random"]))
		}
	})
}

// sameForms fails where two forms of a codec differ on one row.
func sameForms(t *testing.T, portable, kernel Codec, what string, src, importance []float32) {
	t.Helper()
	const guard = 64
	size := len(src) / portable.Type.BlockLen() * portable.Type.BlockSize()
	want, got := make([]byte, size), bytes.Repeat([]byte{0xa5}, size+2*guard)
	errWant, errGot := portable.Encode(want, src, importance), kernel.Encode(got[guard:guard+size:guard+size], src, importance)
	for i, b := range got {
		if (i < guard || i >= guard+size) && b != 0xa5 {
			t.Fatalf("%s: byte %d around the row was written", what, i-guard)
		}
	}
	if fmt.Sprint(errWant) != fmt.Sprint(errGot) {
		t.Fatalf("%s: error %v, want %v", what, errGot, errWant)
	}
	if errWant != nil {
		return
	}
	if got = got[guard : guard+size]; !bytes.Equal(got, want) {
		b := 0
		for got[b] == want[b] {
			b++
		}
		t.Fatalf("%s: byte %d of block %d is %#02x, want %#02x", what, b%portable.Type.BlockSize(), b/portable.Type.BlockSize(), got[b], want[b])
	}
	sameDecoded(t, portable, kernel, what, want, len(src))
}

// sameDecoded fails where two forms decode to other bits.
func sameDecoded(t *testing.T, portable, kernel Codec, what string, enc []byte, n int) {
	t.Helper()
	const guard = 16
	want, got := make([]float32, n), make([]float32, n+2*guard)
	for i := range got {
		got[i] = 12345
	}
	portable.Decode(want, enc)
	kernel.Decode(got[guard:guard+n:guard+n], enc)
	for i, v := range got {
		if i < guard || i >= guard+n {
			if v != 12345 {
				t.Fatalf("%s: value %d around the row was written", what, i-guard)
			}
		} else if w := want[i-guard]; math.Float32bits(v) != math.Float32bits(w) && (v == v || w == w) {
			t.Fatalf("%s: value %d is %v, want %v", what, i-guard, v, w)
		}
	}
}

// TestKernelsValidate: every form finds the same first bad value or scale, wherever it stands.
func TestKernelsValidate(t *testing.T) {
	eachKernel(t, func(t *testing.T, portable, kernel Codec) {
		size := portable.Type.BlockSize()
		for _, blocks := range []int{0, 1, 255, 256, 257, 700} {
			enc := make([]byte, blocks*size)
			for at := -1; at < blocks; at += 1 + blocks/50 {
				bad := bytes.Clone(enc)
				for b := at; b >= 0 && b < blocks; b += 3 {
					for _, o := range facts[portable.Type].scales {
						copy(bad[b*size+o:], []byte{0xff, 0xff}[:min(2, size)])
					}
				}
				if want, got := portable.validated(bad), kernel.validated(bad); want != got {
					t.Fatalf("%d blocks, bad from %d: %s, want %s", blocks, at, got, want)
				}
			}
		}
	})
}

func (c Codec) validated(src []byte) string {
	if c.Validate == nil {
		return ""
	}
	return fmt.Sprint(c.Validate(src))
}

// FuzzKernels holds the kernels of one type a time against the portable form on arbitrary floats, as source, importance
// and encoded bytes.
func FuzzKernels(f *testing.F) {
	var kernelled []*codec
	for _, t := range gguf.AllTypes() {
		if c := codecs[t]; c != nil && best > generic {
			kernelled = append(kernelled, c)
		}
	}
	for i, c := range kernelled {
		f.Add(uint8(i), []byte{0, 0, 128, 63}, []byte{0, 0, 0, 64})
		f.Add(uint8(i), []byte("0123456789abcdefghijklmnopqrstuvwxyz"), []byte{})
		if c.Type == gguf.IQ3_XXS { // whose sums overflow, in some orders only
			f.Add(uint8(i), []byte("\xda]0"), []byte("\xff\xff\xff\x95"))
			f.Add(uint8(i), []byte("\xda]0"), []byte("000 "))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, raw, weights []byte) {
		if len(kernelled) == 0 {
			return
		}
		c := kernelled[int(which)%len(kernelled)]
		n := c.Type.BlockLen() * (1 + len(raw)/4/c.Type.BlockLen()%3)
		src := cycled(raw, n)
		var importance []float32
		if len(weights) >= 4 {
			importance = cycled(weights, n)
			for i, v := range importance {
				importance[i] = abs32(v)
			}
		}
		enc := make([]byte, n/c.Type.BlockLen()*c.Type.BlockSize())
		for i := range enc {
			if len(raw) > 0 {
				enc[i] = raw[i%len(raw)]
			}
		}
		for g := avx2; g <= best; g++ {
			what := fmt.Sprintf("%v/%s", c.Type, formNames[g])
			sameForms(t, c.in(generic), c.in(g), what, src, importance)
			sameDecoded(t, c.in(generic), c.in(g), what, enc, n)
		}
	})
}

// cycled makes n floats of the bits in raw, over and over.
func cycled(raw []byte, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		var b uint32
		for j := range 4 {
			if len(raw) > 0 {
				b |= uint32(raw[(4*i+j)%len(raw)]) << (8 * j)
			}
		}
		out[i] = math.Float32frombits(b)
	}
	return out
}

// TestUse: forms are switched and switched back; a form that this CPU lacks changes nothing.
func TestUse(t *testing.T) {
	was := Implementation()
	for _, name := range Implementations() {
		restore, ok := Use(name)
		if !ok || Implementation() != name {
			t.Errorf("%s: %v, in use %s", name, ok, Implementation())
		}
		restore()
	}
	if _, ok := Use("mmx"); ok || Implementation() != was {
		t.Errorf("mmx is taken, in use %s", Implementation())
	}
}

// TestFirstNotFinite: every form finds the first value that is not finite, wherever it stands.
func TestFirstNotFinite(t *testing.T) {
	for _, name := range Implementations() {
		restore, _ := Use(name)
		for n := range 200 {
			src := generate("finite", n, 1, rowGenerators["wide"])
			if got := notFinite(src); got != -1 {
				t.Errorf("%s: %d of %d finite values is not", name, got, n)
			}
			for i := range src {
				was := src[i]
				src[n-1] = float32(math.NaN())
				src[i] = float32(math.Inf(i%2*2 - 1))
				if got := notFinite(src); got != i {
					t.Errorf("%s: %d of %d values is said to be the first that is not finite, not %d", name, got, n, i)
				}
				src[i] = was
			}
		}
		restore()
	}
}
