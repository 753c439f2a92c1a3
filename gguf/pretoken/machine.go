package pretoken

import "slices"

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

// newMachine is errBeyond for a regex that takes more than machines can do.
func newMachine(src string) (*machine, error) {
	e, err := parseRegex(src)
	if err != nil {
		return nil, err
	}
	m := &machine{}
	for _, alt := range e.subs {
		s := start{pc: len(m.code)}
		if err := m.compile(alt); err != nil {
			return nil, err
		}
		m.code = append(m.code, step{kind: stepDone})
		s.first = m.firstOrAll(s.pc)
		m.first |= s.first
		m.starts = append(m.starts, s)
	}
	m.improve()
	m.fill(&m.latin, 0)
	return m, nil
}

// improve makes steps cheaper that need not try what cannot come to anything.
func (m *machine) improve() {
	for pc := range m.code {
		s := &m.code[pc]
		switch {
		case s.kind == stepFork:
			s.sets = m.firstOrAll(pc + 1)
		case s.kind == stepRun:
			s.final = m.succeeds(pc + 1)
		}
	}
	for pc := range m.code {
		s := &m.code[pc]
		if next := pc + 1; s.kind == stepRun && s.min == 0 && s.max == 1 && !s.possessive && m.code[next].kind == stepRun && m.code[next].min == 1 && m.code[next].final {
			s.kind, s.next = stepOption, m.code[next].sets
		}
	}
}

// succeeds reports whether the program from pc on matches whatever comes.
func (m *machine) succeeds(pc int) bool {
	for {
		s := &m.code[pc]
		switch {
		case s.kind == stepDone:
			return true
		case s.kind == stepRun && s.min == 0:
			pc++
		case s.kind == stepFork && s.to > pc:
			pc = s.to
		case s.kind == stepJump && s.to > pc:
			pc = s.to
		default:
			return false
		}
	}
}

// bit is the mask of an element's set: known by its spelling, or the next that is free.
func (m *machine) bit(e *element) (uint32, error) {
	i := slices.Index(m.spellings, e.spelling)
	if i < 0 {
		i = len(m.sets)
		if i == maxSets {
			return 0, errBeyond
		}
		m.sets = append(m.sets, e.set)
		m.spellings = append(m.spellings, e.spelling)
	}
	return 1 << i, nil
}

func (m *machine) compile(e *element) error {
	switch e.form {
	case formSet, formBoundary:
		s := step{kind: stepSet}
		if e.form == formBoundary {
			s.kind = stepBoundary
		}
		var err error
		s.sets, err = m.bit(e)
		m.code = append(m.code, s)
		return err
	case formSequence:
		for _, sub := range e.subs {
			if err := m.compile(sub); err != nil {
				return err
			}
		}
		return nil
	case formChoice:
		return m.compileChoice(e)
	case formRepeat:
		return m.compileRepeat(e)
	}
	return m.compileAhead(e)
}

func (m *machine) compileChoice(e *element) error {
	var jumps []int
	for i, sub := range e.subs {
		fork := len(m.code)
		last := i == len(e.subs)-1
		if !last {
			m.code = append(m.code, step{kind: stepFork})
		}
		if err := m.compile(sub); err != nil {
			return err
		}
		if !last {
			jumps = append(jumps, len(m.code))
			m.code = append(m.code, step{kind: stepJump})
			m.code[fork].to = len(m.code)
		}
	}
	for _, j := range jumps {
		m.code[j].to = len(m.code)
	}
	return nil
}

func (m *machine) compileRepeat(e *element) error {
	sub := e.subs[0]
	if sub.form == formSet {
		bit, err := m.bit(sub)
		m.code = append(m.code, step{kind: stepRun, sets: bit, min: e.min, max: e.max, possessive: e.possessive})
		return err
	}
	for range e.min {
		if err := m.compile(sub); err != nil {
			return err
		}
	}
	var forks []int
	for range max(0, e.max-e.min) {
		forks = append(forks, len(m.code))
		m.code = append(m.code, step{kind: stepFork})
		if err := m.compile(sub); err != nil {
			return err
		}
	}
	if e.max < 0 {
		fork := len(m.code)
		forks = append(forks, fork)
		m.code = append(m.code, step{kind: stepFork})
		if err := m.compile(sub); err != nil {
			return err
		}
		m.code = append(m.code, step{kind: stepJump, to: fork})
	}
	for _, f := range forks {
		m.code[f].to = len(m.code)
	}
	return nil
}

func (m *machine) compileAhead(e *element) error {
	at := len(m.code)
	m.code = append(m.code, step{kind: stepAhead, negated: e.negated})
	if err := m.compile(e.subs[0]); err != nil {
		return err
	}
	if at+2 == len(m.code) && m.code[at+1].kind == stepSet { // one set: look at the character itself
		m.code[at].kind, m.code[at].sets = stepNext, m.code[at+1].sets
		m.code = m.code[:at+1]
		return nil
	}
	m.code = append(m.code, step{kind: stepDone})
	m.code[at].to = len(m.code)
	return nil
}

// firstSets are the sets one of which holds the first character of any match from pc on; ok is
// false where a match may consume nothing, and the sets are 0.
func (m *machine) firstSets(pc int) (sets uint32, ok bool) {
	for {
		s := &m.code[pc]
		switch s.kind {
		case stepSet:
			return sets | s.sets, true
		case stepRun:
			sets |= s.sets
			if s.min > 0 {
				return sets, true
			}
			pc++
		case stepFork:
			other, ok := m.firstSets(s.to)
			if !ok {
				return 0, false
			}
			sets |= other
			pc++
		case stepJump:
			if s.to <= pc {
				return 0, false
			}
			pc = s.to
		case stepNext, stepBoundary:
			pc++
		case stepAhead:
			pc = s.to
		default:
			return 0, false
		}
	}
}

// all is what takes the place of first sets where there may be no first character.
const all = ^uint32(0)

func (m *machine) firstOrAll(pc int) uint32 {
	if sets, ok := m.firstSets(pc); ok {
		return sets
	}
	return all
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
