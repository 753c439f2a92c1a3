package token

import "hash/maphash"

// Bounds of caches whose entries vary in size.
const (
	cacheWords = 1 << 15 // entries
	cacheBytes = 32      // length of the longest text worth remembering
)

// wordCache remembers the ids of short words. It has a fixed size: a word takes the place of
// another that falls on the same slot.
type wordCache struct {
	seed  maphash.Seed
	slots []wordSlot
}

const (
	cacheSlots = 1 << 14 // of 64 bytes
	maxWord    = 30      // longest word that is remembered, in bytes
	maxIDs     = 8       // the most ids it may have
)

// wordSlot is a word and its ids; free while the word is empty.
type wordSlot struct {
	length, count uint8
	word          [maxWord]byte
	ids           [maxIDs]int32
}

func newWordCache() *wordCache {
	return &wordCache{maphash.MakeSeed(), make([]wordSlot, cacheSlots)}
}

// slot is where word is or would be; nil for a word that is too long.
func (c *wordCache) slot(word string) *wordSlot {
	if len(word) > maxWord {
		return nil
	}
	return &c.slots[maphash.String(c.seed, word)&(cacheSlots-1)]
}

// holds reports whether the slot has word.
func (s *wordSlot) holds(word string) bool { return string(s.word[:s.length]) == word }

// put remembers the ids of word, if there are few enough.
func (s *wordSlot) put(word string, ids []int32) {
	if len(ids) > maxIDs {
		return
	}
	s.length, s.count = uint8(len(word)), uint8(len(ids))
	copy(s.word[:], word)
	copy(s.ids[:], ids)
}
