package token

import "math/bits"

// pair is two neighbouring tokens.
type pair struct{ left, right int32 }

// merge is what a pair becomes, and when: lower ranks first.
type merge struct{ rank, id int32 }

// never is the rank of a pair that does not merge.
const never = 1<<31 - 1

// mergeTable holds merges by pair: a hash table with linear probing, at most half full.
type mergeTable struct {
	slots []mergeSlot
	shift int
}

// mergeSlot is free while its rank is never.
type mergeSlot struct {
	pair  pair
	merge merge
}

// newMergeTable has room for n merges.
func newMergeTable(n int) *mergeTable {
	size := bits.Len(uint(max(2*n, 16) - 1))
	t := &mergeTable{slots: make([]mergeSlot, 1<<size), shift: 64 - size}
	for i := range t.slots {
		t.slots[i].merge.rank = never
	}
	return t
}

func (t *mergeTable) start(left, right int32) int {
	return int((uint64(uint32(left))<<32 | uint64(uint32(right))) * 0x9e3779b97f4a7c15 >> t.shift)
}

// add enters a merge unless the pair has one.
func (t *mergeTable) add(p pair, m merge) {
	for i := t.start(p.left, p.right); ; i = (i + 1) & (len(t.slots) - 1) {
		s := &t.slots[i]
		if s.merge.rank == never {
			*s = mergeSlot{p, m}
			return
		}
		if s.pair == p {
			return
		}
	}
}

// lookup is the merge of two tokens, of rank never where there is none.
func (t *mergeTable) lookup(left, right int32) merge {
	for i := t.start(left, right); ; i = (i + 1) & (len(t.slots) - 1) {
		s := &t.slots[i]
		if s.merge.rank == never || s.pair.left == left && s.pair.right == right {
			return s.merge
		}
	}
}
