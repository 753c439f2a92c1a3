package block

import (
	"os"

	"github.com/moeconv/moeconv/gguf"
)

// form is an instruction set for which a codec may have kernels; later ones have what earlier ones have.
type form int

const (
	generic form = iota // portable Go, the specification
	avx2                // with FMA and BMI2 (and so F16C)
	avx512              // F, BW, DQ, VL, VBMI: Ice Lake, Zen 4 and later
	forms
)

var formNames = [forms]string{"generic", "avx2", "avx512"}

// kernels are a codec's functions for one form. A nil function leaves the one of the form before.
// encode has the contract of a registered Codec.Encode: lengths fit, values and weights are finite.
// Kernels give up on blocks where they could differ from the portable form (sums that overflow,
// roundings out of range, scales that are not finite), and leave those to it. Whatever error an encoder returns,
// errLeft by custom, the portable form then does all of it once more: it alone says what is wrong, and where.
type kernels struct {
	encode func(dst []byte, src, importance []float32) error
	decode func(dst []float32, src []byte)
	// rows is encode of rows of ne0 under one row's importance.
	rows func(dst []byte, src []float32, ne0 int, importance []float32) error
	// validate has the contract of Codec.Validate.
	validate func(src []byte) error
}

// best is the fastest form of this CPU, using the one in use.
var best, using form

// MOECONV_SIMD names the form to use, where the CPU has it; the best one otherwise.
func init() {
	best = detect()
	using = best
	Use(os.Getenv("MOECONV_SIMD"))
}

// Implementations lists the forms that this CPU can run; generic is the first.
func Implementations() []string { return formNames[:best+1] }

// Implementation is the name of the form in use.
func Implementation() string { return formNames[using] }

// Use switches to the named form, for tests and benchmarks, and returns what switches back.
// ok is false, and nothing is changed, if the CPU cannot run it. Not for concurrent use with codecs.
func Use(name string) (restore func(), ok bool) {
	for f := generic; f <= best; f++ {
		if formNames[f] == name {
			old := using
			using = f
			return func() { using = old }, true
		}
	}
	return func() {}, false
}

// accelerate gives the codec of t kernels of a form, beside those it has; init functions of files name_amd64.go call it.
// The codec itself may be registered before or after.
func accelerate(t gguf.Type, f form, k kernels) {
	c := codecs[t]
	if c == nil {
		c = new(codec)
		codecs[t] = c
	}
	have := &c.kernels[f]
	if k.encode != nil {
		have.encode = checked(t, c.orPortable(k.encode))
	}
	if k.decode != nil {
		have.decode = k.decode
	}
	if k.rows != nil {
		have.rows = checkedRows(t, c.rowsOrPortable(k.rows))
	}
	if k.validate != nil {
		have.validate = k.validate
	}
}

// codec is a registered type with all its forms; those of generic are the portable ones.
type codec struct {
	Codec
	kernels [forms]kernels
}

// orPortable leaves what a kernel fails on to the portable form, whose error is the one to give.
func (c *codec) orPortable(encode func(dst []byte, src, importance []float32) error) func([]byte, []float32, []float32) error {
	return func(dst []byte, src, importance []float32) error {
		if encode(dst, src, importance) == nil {
			return nil
		}
		return c.Encode(dst, src, importance)
	}
}

// rowsOrPortable is orPortable for many rows.
func (c *codec) rowsOrPortable(encode func(dst []byte, src []float32, ne0 int, importance []float32) error) func([]byte, []float32, int, []float32) error {
	return func(dst []byte, src []float32, ne0 int, importance []float32) error {
		if encode(dst, src, ne0, importance) == nil {
			return nil
		}
		return c.eachRow(dst, src, ne0, importance)
	}
}

// in is the codec as form f has it.
func (c *codec) in(f form) Codec {
	out := c.Codec
	for g := avx2; g <= f; g++ {
		if k := c.kernels[g]; k.encode != nil {
			out.Encode = k.encode
		}
		if k := c.kernels[g]; k.rows != nil {
			out.rows = k.rows
		}
		if k := c.kernels[g]; k.decode != nil {
			out.Decode = k.decode
		}
		if k := c.kernels[g]; k.validate != nil {
			out.Validate = k.validate
		}
	}
	return out
}
