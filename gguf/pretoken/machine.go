package pretoken

// machine is a cutter for the regexes that pre-tokenizers are made of: the same backtracking
// search that a general engine does, over a program of few kinds of steps. On the table's
// regexes it takes linear time.
type machine struct {
	answers
	spellings []string // of sets
	code      []step
	starts    []start
	first     uint32 // sets the first character of any match is in one of; all where a match can be empty
}

// start is one of the alternatives a regex consists of.
type start struct {
	pc    int
	first uint32 // sets its first character is in one of; all where it can match nothing
}

type stepKind uint8

const (
	stepSet      stepKind = iota // one character of sets
	stepRun                      // min to max characters of sets, as many as there are
	stepOption                   // one character of sets, if one of next follows
	stepFork                     // go on behind this, if the next character is of sets, or else at to
	stepJump                     // go on at to
	stepNext                     // the next character is of sets; negated: is not, or there is none
	stepAhead                    // the program up to to's matches here; negated: does not
	stepBoundary                 // a word of sets begins or ends here
	stepDone
)

type step struct {
	kind       stepKind
	possessive bool
	negated    bool
	final      bool // nothing behind it can fail
	sets       uint32
	next       uint32
	min, max   int // max -1: no limit
	to         int
}

func (m *machine) cut(r []rune, off int, ends []int) ([]int, error) {
	var room [8]fallback
	prev := off
	for i := 0; i < len(r); {
		end := -1
		if sets := m.of(r[i]); m.first == all || sets&m.first != 0 {
			end = m.find(r, i, sets, room[:0])
		}
		if end < 0 {
			i++
			continue
		}
		ends = addMatch(ends, &prev, off+i, off+end)
		i = max(end, i+1)
	}
	return addRest(ends, prev, off+len(r)), nil
}

// find is the end of the match at i by the first alternative that has one, -1 if none has.
func (m *machine) find(r []rune, i int, sets uint32, stack []fallback) int {
	for _, s := range m.starts {
		if s.first != all && s.first&sets == 0 {
			continue
		}
		if end := m.match(s.pc, r, i, stack); end >= 0 {
			return end
		}
	}
	return -1
}

// fallback is where a search goes on when it fails: behind a run that gave up one character, or at the other branch of a fork.
type fallback struct{ pc, lo, hi int32 }

// match is the end of the match of the program at pc with the text from i on, -1 if there is
// none. It works on the empty stack.
func (m *machine) match(pc int, r []rune, i int, stack []fallback) int {
	for {
		s := &m.code[pc]
		ok := true
		pc++
		switch s.kind {
		case stepSet:
			if ok = i < len(r) && m.of(r[i])&s.sets != 0; ok {
				i++
			}
		case stepRun:
			end := m.runEnd(s, r, i)
			if ok = end-i >= s.min; !ok {
				break
			}
			if end-i > s.min && !s.possessive && !s.final {
				stack = append(stack, fallback{int32(pc), int32(i + s.min), int32(end - 1)})
			}
			i = end
		case stepOption:
			if i+1 < len(r) && m.of(r[i])&s.sets != 0 && m.of(r[i+1])&s.next != 0 {
				i++
			}
		case stepFork:
			if s.sets != all && (i == len(r) || m.of(r[i])&s.sets == 0) {
				pc = s.to
				break
			}
			stack = append(stack, fallback{int32(s.to), int32(i), int32(i)})
		case stepJump:
			pc = s.to
		case stepNext:
			ok = (i < len(r) && m.of(r[i])&s.sets != 0) != s.negated
		case stepAhead:
			ok = (m.match(pc, r, i, nil) >= 0) != s.negated
			pc = s.to
		case stepBoundary:
			before := i > 0 && m.of(r[i-1])&s.sets != 0
			ok = before != (i < len(r) && m.of(r[i])&s.sets != 0)
		case stepDone:
			return i
		}
		if ok {
			continue
		}
		if len(stack) == 0 {
			return -1
		}
		f := &stack[len(stack)-1]
		pc, i = int(f.pc), int(f.hi)
		if f.hi--; f.hi < f.lo {
			stack = stack[:len(stack)-1]
		}
	}
}

func (m *machine) runEnd(s *step, r []rune, i int) int {
	limit := len(r)
	if s.max >= 0 {
		limit = min(limit, i+s.max)
	}
	for i < limit && m.of(r[i])&s.sets != 0 {
		i++
	}
	return i
}
