package chat

import (
	"fmt"
	"slices"
)

// SyntaxError is a template that cannot be parsed.
type SyntaxError struct {
	Line int
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("chat template: line %d: %s", e.Line, e.Msg) }

func syntaxError(line int, format string, a ...any) error {
	return &SyntaxError{line, fmt.Sprintf(format, a...)}
}

// maxDepth bounds the nesting of expressions and statements in a template.
const maxDepth = 250

type parser struct {
	toks  []token
	pos   int
	depth int
	loops int // that are open, for break and continue
}

// bail carries a syntax error out of the parser.
type bail struct{ err error }

// parse makes statements of a template.
func parse(src string) (body []node, err error) {
	toks, err := lex(src)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			b, ok := r.(bail)
			if !ok {
				panic(r)
			}
			err = b.err
		}
	}()
	p := &parser{toks: toks}
	body = p.body()
	if t := p.peek(); t.kind != kEOF {
		p.fail("unexpected %s", describe(t))
	}
	return body, nil
}

func (p *parser) peek() token { return p.toks[p.pos] }

func (p *parser) take() token {
	t := p.toks[p.pos]
	if t.kind != kEOF {
		p.pos++
	}
	return t
}

func (p *parser) fail(format string, a ...any) {
	panic(bail{syntaxError(p.peek().line, format, a...)})
}

func describe(t token) string {
	switch t.kind {
	case kEOF:
		return "end of template"
	case kBlockEnd:
		return "end of block"
	case kPrintEnd:
		return "end of variable"
	case kString:
		return fmt.Sprintf("string %q", t.text)
	}
	return fmt.Sprintf("'%s'", t.text)
}

// enter guards against templates nested too deeply; call what it returns at the end.
func (p *parser) enter() func() {
	if p.depth++; p.depth > maxDepth {
		p.fail("nested deeper than %d levels", maxDepth)
	}
	return func() { p.depth-- }
}

func (p *parser) isOp(op string) bool {
	t := p.peek()
	return t.kind == kOp && t.text == op
}

func (p *parser) isName(names ...string) bool {
	t := p.peek()
	return t.kind == kName && slices.Contains(names, t.text)
}

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) wantOp(op string) {
	if !p.skipOp(op) {
		p.fail("expected '%s', got %s", op, describe(p.peek()))
	}
}

func (p *parser) want(k kind, what string) token {
	if p.peek().kind != k {
		p.fail("expected %s, got %s", what, describe(p.peek()))
	}
	return p.take()
}

// body parses until a block whose first word is one of ends, which is left to be taken, or the end of the template.
func (p *parser) body(ends ...string) []node {
	defer p.enter()()
	var out []node
	for {
		t := p.peek()
		switch t.kind {
		case kText:
			out = append(out, node{t.line, textStmt{p.take().text}})
		case kPrint:
			p.take()
			out = append(out, node{t.line, printStmt{p.tupleOrExpr()}})
			p.want(kPrintEnd, "end of variable")
		case kBlock:
			if word := p.toks[p.pos+1]; word.kind == kName && slices.Contains(ends, word.text) {
				p.take()
				return out
			}
			p.take()
			out = append(out, node{t.line, p.statement()})
		default:
			if len(ends) > 0 {
				p.fail("unexpected %s, %s is missing", describe(t), ends[len(ends)-1])
			}
			return out
		}
	}
}

// until parses a body and the block that ends it.
func (p *parser) until(end string) []node {
	body := p.body(end)
	p.take()
	p.endBlock()
	return body
}

func (p *parser) endBlock() { p.want(kBlockEnd, "end of block") }

// statement parses the inside of {% %} and what belongs to it.
func (p *parser) statement() stmt {
	word := p.want(kName, "a statement")
	parse, ok := statements[word.text]
	if !ok {
		p.pos--
		p.fail("unknown or unsupported tag '%s'", word.text)
	}
	return parse(p)
}

var statements map[string]func(p *parser) stmt

func init() { // not a literal: the parsers refer to it
	statements = map[string]func(p *parser) stmt{
		"if": (*parser).ifStatement, "for": (*parser).forStatement, "set": (*parser).setStatement,
		"macro": (*parser).macroStatement, "call": (*parser).callStatement, "filter": (*parser).filterStatement,
		"with": (*parser).withStatement, "break": (*parser).leave, "continue": (*parser).leave, "do": (*parser).doStatement,
		"generation": func(p *parser) stmt {
			p.endBlock()
			return scopeStmt{p.until("endgeneration")}
		},
	}
}
