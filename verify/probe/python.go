package probe

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-python/gpython/ast"
	"github.com/go-python/gpython/parser"
	"github.com/go-python/gpython/py"
)

// parsePython parses a module. The parser knows Python 3.4; olderPython says in its words what came later.
func parsePython(src string) (out []function, err error) {
	defer func() { // the parser's own failures on odd input are refusals, no end of the program
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("not parsed: %v", r)
		}
	}()
	text, err := olderPython(src)
	if err != nil {
		return nil, err
	}
	m, err := parser.ParseString(text, py.ExecMode)
	if err != nil {
		return nil, errors.New(syntaxMessage(err))
	}
	ast.Walk(m, func(n ast.Ast) bool {
		switch n := n.(type) {
		case *ast.FunctionDef:
			out = append(out, pythonFunction(n))
		case *ast.Try:
			if len(n.Handlers) == 0 && len(n.Finalbody) == 0 {
				err = fmt.Errorf("line %d: try without except and finally", n.GetLineno())
			}
		}
		return true
	})
	return out, err
}

// syntaxMessage puts Python's traceback in one line.
func syntaxMessage(err error) string {
	place, what := "", "syntax error"
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if _, after, ok := strings.Cut(line, ", line "); ok {
			place, _, _ = strings.Cut(after, ",")
		}
		if _, after, ok := strings.Cut(line, "SyntaxError: "); ok {
			what = strings.Trim(after, "'")
		}
	}
	if place == "" {
		return what
	}
	return "line " + place + ": " + what
}

func pythonFunction(f *ast.FunctionDef) function {
	name := string(f.Name)
	calls := func(n ast.Ast) bool {
		found := false
		ast.Walk(n, func(n ast.Ast) bool {
			if c, ok := n.(*ast.Call); ok {
				switch fn := c.Func.(type) {
				case *ast.Name:
					found = found || string(fn.Id) == name
				case *ast.Attribute: // of a method
					found = found || string(fn.Attr) == name
				}
			}
			return !found
		})
		return found
	}
	out := function{name: name}
	for _, s := range f.Body {
		out.recursive = out.recursive || calls(s)
		ast.Walk(s, func(n ast.Ast) bool {
			switch n := n.(type) {
			case *ast.Return:
				out.base = out.base || n.Value != nil && !calls(n.Value)
			case *ast.IfExp: // return n if n < 2 else f(n-1) + f(n-2)
				out.base = out.base || !calls(n.Body) || !calls(n.Orelse)
			}
			return true
		})
	}
	return out
}
