package pretoken

import (
	"errors"
	"strconv"
	"strings"
)

// form is what an element of a regex is.
type form uint8

const (
	formSet      form = iota // one character of set
	formSequence             // subs one after the other
	formChoice               // the first of subs that lets the rest match
	formRepeat               // subs[0], min to max times
	formAhead                // subs[0] matches (negated: does not match) here; nothing is consumed
	formBoundary             // a word begins or ends here
)

// element is a parsed regex.
type element struct {
	form       form
	set        set
	spelling   string // of set
	subs       []*element
	min, max   int // max -1: no limit
	possessive bool
	negated    bool
}

// errBeyond says that a regex uses more of the syntax than machines know.
var errBeyond = errors.New("beyond the machine's syntax")

// maxRepeat bounds counts such as {512}: each is written out, unless it repeats a single set.
const maxRepeat = 16

// parser reads the part of Oniguruma's syntax that pre-tokenizers are written in: sets, groups,
// alternatives, greedy and possessive repeats, lookahead and \b.
type parser struct {
	rest string
	fold bool // within (?i:...)
}

func parseRegex(src string) (*element, error) {
	p := &parser{rest: src}
	e, err := p.choice()
	if err == nil && p.rest != "" {
		err = errBeyond
	}
	return e, err
}

func (p *parser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

func (p *parser) choice() (*element, error) {
	e := &element{form: formChoice}
	for {
		s, err := p.sequence()
		if err != nil {
			return nil, err
		}
		e.subs = append(e.subs, s)
		if !p.take("|") {
			return e, nil
		}
	}
}

func (p *parser) sequence() (*element, error) {
	e := &element{form: formSequence}
	for p.rest != "" && p.rest[0] != '|' && p.rest[0] != ')' {
		a, err := p.atom()
		if err != nil {
			return nil, err
		}
		if a, err = p.repeat(a); err != nil {
			return nil, err
		}
		e.subs = append(e.subs, a)
	}
	return e, nil
}

func (p *parser) atom() (*element, error) {
	before := p.rest
	switch p.rest[0] {
	case '(':
		return p.group()
	case '[':
		s, err := p.class()
		return p.setOf(s, before), err
	case '.', '^', '$', '*', '+', '?', '{', '}', ']':
		return nil, errBeyond
	}
	if p.take(`\b`) {
		return &element{form: formBoundary, set: isWord, spelling: `\b`}, nil
	}
	c, s, err := p.char()
	if s == nil {
		s = only(c)
	}
	return p.setOf(s, before), err
}

// setOf is the element for s, which was read from before.
func (p *parser) setOf(s set, before string) *element {
	e := &element{set: s, spelling: before[:len(before)-len(p.rest)]}
	if p.fold {
		e.set, e.spelling = folded(s), "(?i)"+e.spelling
	}
	return e
}

func (p *parser) group() (*element, error) {
	outer := p.fold
	ahead, negated := false, false
	switch {
	case p.take("(?:"):
	case p.take("(?i:"):
		p.fold = true
	case p.take("(?="):
		ahead = true
	case p.take("(?!"):
		ahead, negated = true, true
	case strings.HasPrefix(p.rest, "(?"):
		return nil, errBeyond
	default:
		p.rest = p.rest[1:]
	}
	e, err := p.choice()
	if err == nil && !p.take(")") {
		err = errBeyond
	}
	p.fold = outer
	if ahead {
		e = &element{form: formAhead, subs: []*element{e}, negated: negated}
	}
	return e, err
}

// repeat reads the ?, *, + or {..} behind an element.
func (p *parser) repeat(a *element) (*element, error) {
	r := &element{form: formRepeat, subs: []*element{a}, max: -1}
	switch {
	case p.take("?"):
		r.max = 1
	case p.take("*"):
	case p.take("+"):
		r.min = 1
	case p.take("{"):
		if err := p.counts(r); err != nil {
			return nil, err
		}
		if strings.HasPrefix(p.rest, "+") { // Ruby's syntax repeats the repeat
			return nil, errBeyond
		}
	default:
		return a, nil
	}
	r.possessive = p.take("+")
	lazy := strings.HasPrefix(p.rest, "?") || strings.HasPrefix(p.rest, "*") || strings.HasPrefix(p.rest, "{")
	if lazy || a.form != formSet && (r.possessive || nullable(a)) {
		return nil, errBeyond
	}
	return r, nil
}

func (p *parser) counts(r *element) error {
	body, rest, ok := strings.Cut(p.rest, "}")
	if !ok {
		return errBeyond
	}
	p.rest = rest
	lo, hi, span := strings.Cut(body, ",")
	var err error
	if r.min, err = strconv.Atoi(lo); err != nil {
		return errBeyond
	}
	r.max = r.min
	if span {
		r.max = -1
		if hi != "" {
			if r.max, err = strconv.Atoi(hi); err != nil {
				return errBeyond
			}
		}
	}
	if r.min < 0 || r.max == 0 || r.max > 0 && r.max < r.min || r.subs[0].form != formSet && max(r.min, r.max) > maxRepeat {
		return errBeyond
	}
	return nil
}

// nullable reports whether an element can match without consuming anything.
func nullable(e *element) bool {
	switch e.form {
	case formSet:
		return false
	case formRepeat:
		return e.min == 0 || nullable(e.subs[0])
	case formSequence:
		for _, s := range e.subs {
			if !nullable(s) {
				return false
			}
		}
		return true
	case formChoice:
		for _, s := range e.subs {
			if nullable(s) {
				return true
			}
		}
		return false
	}
	return true
}
