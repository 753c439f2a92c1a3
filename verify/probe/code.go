package probe

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"

	"github.com/moeconv/moeconv/verify"
)

// Code is what the code in an answer must be.
type Code struct {
	Language  string `yaml:"language"`  // python or go
	Recursive bool   `yaml:"recursive"` // a function calls itself, and has a case in which it does not
	// Calls are made of the answer's function, the recursive one or else its first, where running code is allowed.
	Calls []Call `yaml:"calls"`
}

// Call is a call and what it must return.
type Call struct {
	Args string `yaml:"args"` // as written between the parentheses
	Want string `yaml:"want"` // the repr of the value returned
}

func (c *Code) check() error {
	switch {
	case c == nil:
		return nil
	case c.Language != "python" && c.Language != "go":
		return fmt.Errorf("code.language %q; python and go are known", c.Language)
	case len(c.Calls) > 0 && c.Language != "python":
		return fmt.Errorf("code.calls: only python is run")
	}
	return nil
}

func (c *Code) criteria() []Criterion {
	out := []Criterion{Parses{c.Language}}
	if c.Recursive {
		out = append(out, Recursive{c.Language})
	}
	return out
}

func (c *Code) running(s *Sandbox) []Criterion {
	if len(c.Calls) == 0 {
		return nil
	}
	return []Criterion{Computes{c.Calls, s}}
}

// Parses wants code of a language that its grammar accepts, with a function in it.
type Parses struct{ Language string }

func (Parses) needsEnd() {}

// Name of the criterion.
func (Parses) Name() string { return "code" }

// Judge parses the blocks of code in the answer.
func (c Parses) Judge(a Answer) Finding {
	p, err := parse(c.Language, a)
	if err != nil {
		return plain(verify.Fail, "%s: %v", c.Language, err)
	}
	return plain(verify.Pass, "%s, function %s", c.Language, p.main().name)
}

// Recursive wants a function that calls itself and has a base case.
type Recursive struct{ Language string }

func (Recursive) needsEnd() {}

// Name of the criterion.
func (Recursive) Name() string { return "recursion" }

// Judge looks at the functions of the answer's code.
func (c Recursive) Judge(a Answer) Finding {
	p, err := parse(c.Language, a)
	if err != nil {
		return plain(verify.Fail, "no code that parses")
	}
	switch f := p.main(); {
	case !f.recursive:
		return plain(verify.Fail, "no function calls itself")
	case !f.base:
		return plain(verify.Fail, "%s has no base case", f.name)
	default:
		return plain(verify.Pass, "%s calls itself and has a base case", f.name)
	}
}

// parseGo parses a file, or declarations without a package clause, or statements.
func parseGo(src string) ([]function, error) {
	var first error
	for _, text := range []string{src, "package p\n" + src} {
		f, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
		if err == nil {
			return goFunctions(f), nil
		}
		if first == nil || text != src && !strings.Contains(src, "package ") {
			first = err
		}
	}
	return nil, first
}

func goFunctions(f *ast.File) []function {
	var out []function
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		calls := func(n ast.Node) bool {
			found := false
			ast.Inspect(n, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok {
					id, ok := c.Fun.(*ast.Ident)
					found = found || ok && id.Name == fn.Name.Name
				}
				return !found
			})
			return found
		}
		g := function{name: fn.Name.Name, recursive: calls(fn.Body)}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if r, ok := n.(*ast.ReturnStmt); ok {
				g.base = g.base || !calls(r)
			}
			return true
		})
		out = append(out, g)
	}
	return out
}
