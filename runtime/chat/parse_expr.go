package chat

import (
	"slices"
	"strconv"
)

func (p *parser) expr() expr { return p.condition() }

// tupleOrExpr parses an expression, or several separated by commas: a tuple.
func (p *parser) tupleOrExpr() expr { return p.tuple(p.expr) }

// tuple parses items until none can follow; words end it too.
func (p *parser) tuple(item func() expr, words ...string) expr {
	var items []expr
	comma := false
	for {
		t := p.peek()
		if len(items) > 0 && (t.kind == kBlockEnd || t.kind == kPrintEnd || p.isOp(")") || p.isName(words...)) {
			break
		}
		items = append(items, item())
		if !p.skipOp(",") {
			break
		}
		comma = true
	}
	if len(items) == 1 && !comma {
		return items[0]
	}
	return listExpr{items, aTuple}
}

func (p *parser) condition() expr {
	defer p.enter()()
	x := p.or()
	for p.skipName("if") {
		c := condExpr{cond: p.or(), then: x}
		if p.skipName("else") {
			c.other = p.condition()
		}
		x = c
	}
	return x
}

// noCondition is an expression without if, as for needs it.
func (p *parser) noCondition() expr {
	defer p.enter()()
	return p.or()
}

func (p *parser) or() expr {
	x := p.and()
	for p.skipName("or") {
		x = binaryExpr{"or", x, p.and()}
	}
	return x
}

func (p *parser) and() expr {
	x := p.not()
	for p.skipName("and") {
		x = binaryExpr{"and", x, p.not()}
	}
	return x
}

func (p *parser) not() expr {
	if p.skipName("not") {
		defer p.enter()()
		return unaryExpr{"not", p.not()}
	}
	return p.compare()
}

var comparisons = []string{"==", "!=", "<", "<=", ">", ">="}

func (p *parser) compare() expr {
	c := compareExpr{x: p.sum()}
	for {
		t := p.peek()
		switch {
		case t.kind == kOp && slices.Contains(comparisons, t.text):
			p.take()
			c.ops = append(c.ops, t.text)
		case p.isName("in"):
			p.take()
			c.ops = append(c.ops, "in")
		case p.isName("not") && p.toks[p.pos+1].kind == kName && p.toks[p.pos+1].text == "in":
			p.pos += 2
			c.ops = append(c.ops, "not in")
		default:
			if len(c.ops) == 0 {
				return c.x
			}
			return c
		}
		c.ys = append(c.ys, p.sum())
	}
}

// binary parses a left-associative level of operators.
func (p *parser) binary(next func() expr, ops ...string) expr {
	x := next()
	for p.peek().kind == kOp && slices.Contains(ops, p.peek().text) {
		op := p.take().text
		x = binaryExpr{op, x, next()}
	}
	return x
}

func (p *parser) sum() expr     { return p.binary(p.concat, "+", "-") }
func (p *parser) product() expr { return p.binary(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.binary(func() expr { return p.unary(true) }, "**") }

func (p *parser) concat() expr {
	parts := []expr{p.product()}
	for p.skipOp("~") {
		parts = append(parts, p.product())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return concatExpr{parts}
}

// unary parses signs, a primary, what follows it, and (with filters) filters and tests.
func (p *parser) unary(filters bool) expr {
	defer p.enter()()
	var x expr
	switch {
	case p.skipOp("-"):
		x = unaryExpr{"-", p.unary(false)}
	case p.skipOp("+"):
		x = unaryExpr{"+", p.unary(false)}
	default:
		x = p.primary()
	}
	x = p.postfix(x)
	if filters {
		x = p.filtered(x)
	}
	return x
}

var constants = map[string]value{"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil}

func (p *parser) primary() expr {
	t := p.take()
	switch t.kind {
	case kName:
		if v, ok := constants[t.text]; ok {
			return constExpr{v}
		}
		return nameExpr{t.text}
	case kString:
		s := t.text
		for p.peek().kind == kString {
			s += p.take().text
		}
		return constExpr{s}
	case kInt:
		i, _ := strconv.ParseInt(t.text, 10, 64) // written by the lexer
		return constExpr{i}
	case kFloat:
		f, _ := strconv.ParseFloat(t.text, 64) // of the lexer's form; out of range is Inf, as in Python
		return constExpr{f}
	case kOp:
		switch t.text {
		case "(":
			return p.parenthesis()
		case "[":
			return listExpr{p.items("]"), aList}
		case "{":
			return p.dictLiteral()
		}
	}
	p.pos--
	p.fail("unexpected %s", describe(t))
	return nil
}

func (p *parser) parenthesis() expr {
	if p.skipOp(")") {
		return listExpr{nil, aTuple}
	}
	x := p.tupleOrExpr()
	p.wantOp(")")
	return x
}

func (p *parser) items(end string) []expr {
	var out []expr
	for !p.skipOp(end) {
		if len(out) > 0 {
			p.wantOp(",")
			if p.skipOp(end) {
				break
			}
		}
		out = append(out, p.expr())
	}
	return out
}

func (p *parser) dictLiteral() expr {
	var d dictExpr
	for !p.skipOp("}") {
		if len(d.keys) > 0 {
			p.wantOp(",")
			if p.skipOp("}") {
				break
			}
		}
		d.keys = append(d.keys, p.expr())
		p.wantOp(":")
		d.vals = append(d.vals, p.expr())
	}
	return d
}

func (p *parser) postfix(x expr) expr {
	for {
		switch {
		case p.skipOp("."):
			switch t := p.take(); t.kind {
			case kName:
				x = attrExpr{x, t.text}
			case kInt:
				i, _ := strconv.ParseInt(t.text, 10, 64) // written by the lexer
				x = indexExpr{x, constExpr{i}}
			default:
				p.pos--
				p.fail("expected a name or number, got %s", describe(t))
			}
		case p.skipOp("["):
			x = p.subscript(x)
		case p.skipOp("("):
			x = callExpr{x, p.args()}
		default:
			return x
		}
	}
}

func (p *parser) subscript(x expr) expr {
	var parts [3]expr
	n, colon := 0, false
	for !p.isOp("]") {
		if p.skipOp(":") {
			colon = true
			if n++; n > 2 {
				p.fail("too many ':' in a slice")
			}
			continue
		}
		if parts[n] != nil {
			p.fail("expected ']', got %s", describe(p.peek()))
		}
		parts[n] = p.expr()
		if p.isOp(",") {
			p.fail("an index of several parts is not supported")
		}
	}
	p.wantOp("]")
	switch {
	case colon:
		return sliceExpr{x, parts[0], parts[1], parts[2]}
	case parts[0] == nil:
		p.fail("expected an index")
	}
	return indexExpr{x, parts[0]}
}

// args parses the arguments of a call after its parenthesis.
func (p *parser) args() callArgs {
	var a callArgs
	for first := true; !p.skipOp(")"); first = false {
		if !first {
			p.wantOp(",")
			if p.skipOp(")") {
				break
			}
		}
		switch next := p.toks[min(p.pos+1, len(p.toks)-1)]; {
		case p.skipOp("**"):
			a.dict = p.expr()
		case p.skipOp("*"):
			a.list = p.expr()
		case p.peek().kind == kName && next.kind == kOp && next.text == "=":
			a.names = append(a.names, p.take().text)
			p.take()
			a.named = append(a.named, p.expr())
		default:
			if len(a.names) > 0 || a.dict != nil {
				p.fail("a positional argument follows a named one")
			}
			a.pos = append(a.pos, p.expr())
		}
	}
	return a
}

// filtered parses |filter and is test.
func (p *parser) filtered(x expr) expr {
	for {
		switch {
		case p.skipOp("|"):
			x = p.filter(x)
		case p.skipName("is"):
			x = p.test(x)
		case p.skipOp("("): // of what a filter yields
			x = callExpr{x, p.args()}
		default:
			return x
		}
	}
}

func (p *parser) dotted() string {
	name := p.want(kName, "a name").text
	for p.skipOp(".") {
		name += "." + p.want(kName, "a name").text
	}
	return name
}

func (p *parser) filter(x expr) filterExpr {
	f := filterExpr{x: x, name: p.dotted()} // whether it exists shows when it is used: some templates never do
	if p.skipOp("(") {
		f.args = p.args()
	}
	return f
}

func (p *parser) test(x expr) expr {
	negated := p.skipName("not")
	t := testExpr{x: x, name: p.dotted()}
	switch k := p.peek(); {
	case p.skipOp("("):
		t.args = p.args()
	case k.kind == kString || k.kind == kInt || k.kind == kFloat || p.isOp("[") || p.isOp("{"),
		k.kind == kName && !p.isName("else", "or", "and", "if", "not", "in", "is", "recursive"):
		t.args.pos = []expr{p.postfix(p.primary())}
	}
	if negated {
		return unaryExpr{"not", t}
	}
	return t
}
