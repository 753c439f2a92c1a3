package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// slot is memory for what is found out of a group of blocks before they are quantized, by offsets.
const (
	slotHalves = 0   // scales
	slotMins   = 32  // as halves
	slotInv    = 64  // inverse scales
	slotLow    = 128 // what is subtracted before
	slotBytes  = 192
)

// encodeAhead writes an encoder of which scan fills a slot for the next group while quantize works on the one before: the
// long latency of the one (maxima, two divisions) hides behind the throughput of the other. scan may jump to "end".
func (s isa) encodeAhead(name string, groupBytes, groupFloats int, scan func(src, slot reg.GPVirtual), quantize func(dst, src, slot reg.GPVirtual)) {
	TEXT("encode"+name+s.name, NOSPLIT, "func(dst *byte, src *float32, groups int) (done int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("encode%s%s encodes groups of %d values and returns how many it did before one that it leaves to the portable form.", name, s.name, groupFloats))
	dst, src, ahead := GP64(), GP64(), GP64()
	groups, scanned, done := GP64(), GP64(), GP64()
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("groups"), groups)
	slot, next := GP64(), GP64()
	LEAQ(AllocLocal(2*slotBytes+64).Offset(63), next)
	ANDQ(I8(-64), next)
	LEAQ(at(next, slotBytes), slot)
	MOVQ(src, ahead)
	XORQ(scanned, scanned)
	XORQ(done, done)
	Label("group")
	CMPQ(scanned, groups)
	JGE(LabelRef("scanned"))
	scan(ahead, next)
	ADDQ(U32(4*groupFloats), ahead)
	INCQ(scanned)
	CMPQ(scanned, Imm(1))
	JEQ(LabelRef("swap"))
	Label("scanned")
	CMPQ(done, groups)
	JGE(LabelRef("done"))
	quantize(dst, src, slot)
	ADDQ(U32(groupBytes), dst)
	ADDQ(U32(4*groupFloats), src)
	INCQ(done)
	CMPQ(done, groups)
	JGE(LabelRef("done"))
	Label("swap")
	XCHGQ(slot, next)
	JMP(LabelRef("group"))
	Label("end") // the next group is not for this kernel
	MOVQ(scanned, groups)
	JMP(LabelRef("scanned"))
	Label("done")
	VZEROUPPER()
	Store(done, ReturnIndex(0))
	RET()
}
