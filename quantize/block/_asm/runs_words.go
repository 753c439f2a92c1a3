package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// words are those of a trial, by group: of as many runs as there are lanes. p is the scratch, moved on to the trial.
func (q runs) words(p reg.GPVirtual, first int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, q.k())
	for i := range v {
		v[i] = q.load(at(p, runWords+4*(first*q.k()+i*q.lanes)))
	}
	if q.k() == 2 {
		return q.split(v[0], v[1])
	}
	// Pairs of groups come apart first, then the groups of the pairs.
	a, b := q.splitPairs(v[0], v[1]), q.splitPairs(v[2], v[3])
	return append(q.split(a[0], b[0]), q.split(a[1], b[1])...)
}

// split returns the even and the odd lanes of two vectors, one behind the other.
func (q runs) split(a, b reg.VecVirtual) []reg.VecVirtual {
	out := []reg.VecVirtual{q.vec(), q.vec()}
	if q.wide() {
		for odd, v := range out {
			q.permute2(fmt.Sprintf("split%d", odd), a, b, v, func(i int) int { return 2*i + odd })
		}
		return out
	}
	for odd, v := range out {
		VSHUFPS(U8([]uint64{0x88, 0xdd}[odd]), b, a, v)
		VPERMPD(U8(0xd8), v, v)
	}
	return out
}

// splitPairs is split for pairs of lanes.
func (q runs) splitPairs(a, b reg.VecVirtual) []reg.VecVirtual {
	out := []reg.VecVirtual{q.vec(), q.vec()}
	if q.wide() {
		for odd, v := range out {
			q.permute2(fmt.Sprintf("splitPairs%d", odd), a, b, v, func(i int) int { return i/2*4 + i%2 + 2*odd })
		}
		return out
	}
	for odd, v := range out {
		VSHUFPD(U8([]uint64{0, 15}[odd]), b, a, v)
		VPERMPD(U8(0xd8), v, v)
	}
	return out
}

// permute2 writes to v lane from(i) of the lanes of a and b.
func (q runs) permute2(name string, a, b, v reg.VecVirtual, from func(i int) int) {
	words := make([]uint32, q.lanes)
	for i := range words {
		words[i] = uint32(from(i))
	}
	VMOVUPS(table(name, words...), v)
	VPERMI2PS(b, a, v)
}
