package pretoken

import "slices"

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
