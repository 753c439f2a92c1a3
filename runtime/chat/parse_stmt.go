package chat

func (p *parser) ifStatement() stmt {
	var s ifStmt
	for {
		s.conds = append(s.conds, p.tupleOrExpr())
		p.endBlock()
		s.bodies = append(s.bodies, p.body("elif", "else", "endif"))
		switch p.take().text {
		case "elif":
			continue
		case "else":
			p.endBlock()
			s.other = p.until("endif")
		default:
			p.endBlock()
		}
		return s
	}
}

func (p *parser) forStatement() stmt {
	s := forStmt{target: p.target(false)}
	if !p.skipName("in") {
		p.fail("expected 'in', got %s", describe(p.peek()))
	}
	s.iter = p.tuple(p.noCondition, "if", "recursive")
	if p.skipName("if") {
		s.filter = p.expr()
	}
	s.recursive = p.skipName("recursive")
	p.endBlock()
	p.loops++
	s.body = p.body("else", "endfor")
	p.loops--
	if p.take().text == "else" {
		p.endBlock()
		s.other = p.until("endfor")
	} else {
		p.endBlock()
	}
	return s
}

// target parses what is assigned to: names separated by commas; with attrs also attributes of namespaces.
func (p *parser) target(attrs bool) target {
	first := p.oneTarget(attrs)
	if !p.isOp(",") {
		return first
	}
	all := target{parts: []target{first}}
	for p.skipOp(",") {
		if p.peek().kind != kName && !p.isOp("(") {
			break
		}
		all.parts = append(all.parts, p.oneTarget(attrs))
	}
	return all
}

func (p *parser) oneTarget(attrs bool) target {
	defer p.enter()()
	if p.skipOp("(") {
		t := p.target(attrs)
		p.wantOp(")")
		return t
	}
	t := target{name: p.want(kName, "a name").text}
	switch t.name {
	case "true", "false", "none", "True", "False", "None":
		p.fail("cannot assign to '%s'", t.name)
	}
	if attrs && p.skipOp(".") {
		t.attr = p.want(kName, "a name").text
	}
	return t
}

func (p *parser) setStatement() stmt {
	t := p.target(true)
	if p.skipOp("=") {
		x := p.tupleOrExpr()
		p.endBlock()
		return setStmt{t, x}
	}
	s := setBlockStmt{target: t, filters: p.filters()}
	p.endBlock()
	s.body = p.until("endset")
	return s
}

// filters parses |name|name(args)...
func (p *parser) filters() []filterExpr {
	var out []filterExpr
	for p.skipOp("|") {
		out = append(out, p.filter(nil))
	}
	return out
}

func (p *parser) macroStatement() stmt {
	m := macroStmt{name: p.want(kName, "a name").text}
	p.params(&m)
	p.endBlock()
	p.macroBody(&m, "endmacro")
	return m
}

// macroBody parses the body of a macro, in which loops around it cannot be left.
func (p *parser) macroBody(m *macroStmt, end string) {
	loops := p.loops
	p.loops = 0
	m.body = p.until(end)
	p.loops = loops
}

func (p *parser) params(m *macroStmt) {
	p.wantOp("(")
	for !p.isOp(")") {
		m.params = append(m.params, p.want(kName, "a name").text)
		if p.skipOp("=") {
			m.defaults = append(m.defaults, p.expr())
		} else if len(m.defaults) > 0 {
			p.fail("non-default argument follows default argument")
		}
		if !p.skipOp(",") {
			break
		}
	}
	p.wantOp(")")
}

func (p *parser) callStatement() stmt {
	s := callStmt{macro: macroStmt{name: "caller"}}
	if p.isOp("(") {
		p.params(&s.macro)
	}
	s.call = p.expr()
	if _, ok := s.call.(callExpr); !ok {
		p.fail("expected a call")
	}
	p.endBlock()
	p.macroBody(&s.macro, "endcall")
	return s
}

func (p *parser) filterStatement() stmt {
	s := filterStmt{filters: []filterExpr{p.filter(nil)}}
	s.filters = append(s.filters, p.filters()...)
	p.endBlock()
	s.body = p.until("endfilter")
	return s
}

func (p *parser) withStatement() stmt {
	var s withStmt
	for p.peek().kind != kBlockEnd {
		s.targets = append(s.targets, p.oneTarget(false))
		p.wantOp("=")
		s.values = append(s.values, p.expr())
		if !p.skipOp(",") {
			break
		}
	}
	p.endBlock()
	s.body = p.until("endwith")
	return s
}

func (p *parser) leave() stmt {
	word := p.toks[p.pos-1].text
	if p.loops == 0 {
		p.fail("'%s' outside of a loop", word)
	}
	p.endBlock()
	if word == "break" {
		return breakStmt{}
	}
	return continueStmt{}
}

func (p *parser) doStatement() stmt {
	x := p.tupleOrExpr()
	p.endBlock()
	return doStmt{x}
}
