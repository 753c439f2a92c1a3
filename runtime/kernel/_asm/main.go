// Command _asm writes the kernels of package kernel, one assembly file a run: -gen names it. It is a module
// of its own so that the generator's dependencies stay out of moeconv's; go generate in the parent folder runs it.
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// generators write the functions of one assembly file each; init functions add theirs.
var generators = map[string]func(){"matmul": matmul}

func main() {
	name := flag.String("gen", "", "the `FILE` to write")
	flag.Parse()
	gen, ok := generators[*name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no generator %q\n", *name)
		os.Exit(2)
	}
	ConstraintExpr("amd64,!purego")
	gen()
	Generate()
}

func matmul() {
	mask := tailMask()
	for _, e := range []element{float32s, f16s, bf16s} {
		tile(e, 4, 3, mask)
		tile(e, 4, 1, mask)
		tile(e, 1, 1, mask)
	}
	consts := expConstants()
	expSum(consts, mask)
	silu(consts, mask)
}

// tailMask is eight set lanes followed by eight clear ones; loading at 4*(8-r) bytes makes a mask of r lanes.
func tailMask() Mem {
	m := GLOBL("tailMask", RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(0xffffffff)*U32(1-i/8))
	}
	return m
}

// element is what rows of w consist of.
type element struct {
	name string
	log  uint64 // of its size
	load func(m Mem, v reg.VecVirtual)
}

var (
	float32s = element{"", 2, func(m Mem, v reg.VecVirtual) { VMOVUPS(m, v) }}
	f16s     = element{"F16", 1, func(m Mem, v reg.VecVirtual) { VCVTPH2PS(m, v) }}
	bf16s    = element{"BF16", 1, func(m Mem, v reg.VecVirtual) {
		VPMOVZXWD(m, v)
		VPSLLD(Imm(16), v, v)
	}}
)

// tail loads the k (1 to 7) elements at m and zeros: of halves the last eight, whose last are moved to the front.
func (e element) tail(m Mem, k, mask reg.Register, v reg.VecVirtual) {
	if e.log == 2 {
		VMASKMOVPS(m, mask, v)
		return
	}
	at, places := GP64(), GP64()
	LEAQ(m, at)
	LEAQ(Mem{Base: at, Index: k, Scale: 2, Disp: -16}, at)
	LEAQ(tailPlaces(), places)
	SUBQ(k, places)
	SUBQ(k, places)
	x := XMM()
	VMOVDQU(Mem{Base: at}, x)
	VPSHUFB(Mem{Base: places, Disp: 16}, x, x)
	if e.name == "F16" {
		VCVTPH2PS(x, v)
		return
	}
	VPMOVZXWD(x, v)
	VPSLLD(Imm(16), v, v)
}

// tailPlaces at byte 16-2*k are places of a vector's last k halves, and of zeros.
func tailPlaces() Mem {
	bytes := make([]byte, 32)
	for i := range bytes {
		bytes[i] = byte(i)
		if i >= 16 {
			bytes[i] = 0x80
		}
	}
	return table("tailPlaces", bytes)
}

// cursor walks along the rows of a matrix: rows r of 0 to 3 lie at base + r*stride.
type cursor struct{ base, stride, stride3 reg.Register }

func newCursor(ptr, stride string, rows int, log uint64) cursor {
	c := cursor{base: Load(Param(ptr), GP64()), stride: Load(Param(stride), GP64())}
	SHLQ(Imm(log), c.stride)
	if rows > 3 {
		s3 := GP64()
		LEAQ(Mem{Base: c.stride, Index: c.stride, Scale: 2}, s3)
		c.stride3 = s3
	}
	return c
}

func (c cursor) row(r int) Mem {
	switch r {
	case 1, 2:
		return Mem{Base: c.base, Index: c.stride, Scale: uint8(r)}
	case 3:
		return Mem{Base: c.base, Index: c.stride3, Scale: 1}
	}
	return Mem{Base: c.base}
}

// tile writes a function that multiplies rows rows of w with cols tokens of x, k elements each, and stores the sums
// at dst[token*ldd+row]. Each eight elements of w lie step bytes behind the last. Lane l of an accumulator sums the elements of index l modulo 8.
func tile(e element, rows, cols int, mask Mem) {
	name, kind := fmt.Sprintf("tile%s%dx%dAVX2", e.name, rows, cols), "float32"
	if e.log == 1 {
		kind = "byte"
	}
	TEXT(name, NOSPLIT, "func(dst *float32, w *"+kind+", x *float32, ldd, ldw, ldx, k, step int)")
	Pragma("noescape")
	Doc(name + " is the AVX2 form of matMulGeneric for a tile of fixed size.")
	w, x := newCursor("w", "ldw", rows, e.log), newCursor("x", "ldx", cols, 2)
	k, step := Load(Param("k"), GP64()), Load(Param("step"), GP64())

	acc := make([][]reg.VecVirtual, rows)
	for r := range acc {
		acc[r] = make([]reg.VecVirtual, cols)
		for c := range acc[r] {
			acc[r][c] = YMM()
			VXORPS(acc[r][c], acc[r][c], acc[r][c])
		}
	}
	blocks := GP64()
	MOVQ(k, blocks)
	SHRQ(Imm(3), blocks)
	JZ(LabelRef("tail"))

	Label("loop")
	xs := make([]reg.VecVirtual, cols)
	for c := range xs {
		xs[c] = YMM()
		VMOVUPS(x.row(c), xs[c])
	}
	for r := range acc {
		if cols == 1 && e.log == 2 {
			VFMADD231PS(w.row(r), xs[0], acc[r][0])
			continue
		}
		wr := YMM()
		e.load(w.row(r), wr)
		for c := range acc[r] {
			VFMADD231PS(xs[c], wr, acc[r][c])
		}
	}
	ADDQ(step, w.base)
	ADDQ(Imm(32), x.base)
	DECQ(blocks)
	JNZ(LabelRef("loop"))

	Label("tail")
	ANDQ(Imm(7), k)
	JZ(LabelRef("reduce"))
	maskTail(e, k, mask, w, x, acc)

	Label("reduce")
	reduce(acc)
	VZEROUPPER()
	RET()
}

// maskTail adds the last k (1 to 7) elements to their lanes; the other lanes add zero.
func maskTail(e element, k reg.Register, mask Mem, w, x cursor, acc [][]reg.VecVirtual) {
	count := GP64()
	MOVQ(k, count)
	m := loadMask(count, mask)
	for r := range acc {
		wr := YMM()
		e.tail(w.row(r), k, m, wr)
		for c := range acc[r] {
			xc := YMM()
			VMASKMOVPS(x.row(c), m, xc)
			VFMADD231PS(xc, wr, acc[r][c])
		}
	}
}

// loadMask sets the first k (0 to 7) lanes; k is lost.
func loadMask(k reg.Register, mask Mem) reg.VecVirtual {
	table := GP64()
	LEAQ(mask, table)
	NEGQ(k)
	m := YMM()
	VMOVUPS(Mem{Base: table, Index: k, Scale: 4, Disp: 32}, m)
	return m
}

// reduce adds up each accumulator's lanes as ((0+1)+(2+3))+((4+5)+(6+7)) and stores the sums.
func reduce(acc [][]reg.VecVirtual) {
	dst := Load(Param("dst"), GP64())
	ldd := Load(Param("ldd"), GP64())
	SHLQ(Imm(2), ldd)
	high := XMM()
	for c := range acc[0] {
		s := acc[0][c]
		if len(acc) == 4 {
			VHADDPS(acc[1][c], acc[0][c], s)
			VHADDPS(acc[3][c], acc[2][c], acc[2][c])
			VHADDPS(acc[2][c], s, s)
		} else {
			VHADDPS(s, s, s)
			VHADDPS(s, s, s)
		}
		VEXTRACTF128(Imm(1), s, high)
		VADDPS(s.AsX(), high, high)
		if len(acc) == 4 {
			VMOVUPS(high, Mem{Base: dst})
		} else {
			VMOVSS(high, Mem{Base: dst})
		}
		if c+1 < len(acc[0]) {
			ADDQ(ldd, dst)
		}
	}
}
