package pretoken

import (
	"sync/atomic"
	"unicode"
)

// set is a set of characters, asked one at a time. Asking may be slow: machines keep the answers.
type set func(rune) bool

func only(c rune) set         { return func(r rune) bool { return r == c } }
func between(lo, hi rune) set { return func(r rune) bool { return lo <= r && r <= hi } }
func not(s set) set           { return func(r rune) bool { return !s(r) } }
func both(a, b set) set       { return func(r rune) bool { return a(r) && b(r) } }

func anyOf(list []set) set {
	if len(list) == 1 {
		return list[0]
	}
	return func(r rune) bool {
		for _, s := range list {
			if s(r) {
				return true
			}
		}
		return false
	}
}

// folded is s without regard to case: 's' has the long s ſ in it too, as in Oniguruma.
func folded(s set) set {
	return func(r rune) bool {
		if s(r) {
			return true
		}
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			if s(f) {
				return true
			}
		}
		return false
	}
}

// isWord is wordClass.
var isWord = anyOf([]set{property("L"), property("M"), property("Nd"), property("Nl"), property("Pc"), only('²'), only('³'), only('¹'),
	between('¼', '¾'), between('Ⓐ', 'ⓩ'), between('🄰', '🅉'), between('🅐', '🅩'), between('🅰', '🆉')})

// page is the answers for 256 characters in a row: bit n for the nth set.
type page [256]uint32

// answers tells which of up to 32 sets a character is in. Pages beyond Latin-1 are worked out
// when first asked for, 4 MiB at most.
type answers struct {
	sets  []set
	latin page
	pages [(unicode.MaxRune + 1) >> 8]atomic.Pointer[page]
}

const maxSets = 32

func (a *answers) of(r rune) uint32 {
	if uint32(r) < 256 {
		return a.latin[r]
	}
	return a.beyond(r)
}

func (a *answers) beyond(r rune) uint32 {
	if uint32(r) > unicode.MaxRune {
		return 0
	}
	p := a.pages[r>>8].Load()
	if p == nil {
		p = &page{}
		a.fill(p, r&^255)
		a.pages[r>>8].Store(p)
	}
	return p[r&255]
}

func (a *answers) fill(p *page, first rune) {
	for bit, s := range a.sets {
		for i := range p {
			if s(first + rune(i)) {
				p[i] |= 1 << bit
			}
		}
	}
}
