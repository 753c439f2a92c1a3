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

// program is the code of an answer, parsed.
type program struct {
	source    string
	functions []function
}

type function struct {
	name      string
	recursive bool
	base      bool // it returns without a call of itself in some case
}

// parse finds the first block of code that parses; without any, the error is the first block's.
func parse(language string, a Answer) (program, error) {
	var first error
	for _, block := range codeBlocks(a.Text, language) {
		p := program{source: block}
		var err error
		if language == "go" {
			p.functions, err = parseGo(block)
		} else {
			p.functions, err = parsePython(block)
		}
		if err == nil && len(p.functions) == 0 {
			err = fmt.Errorf("no function is defined")
		}
		if err == nil {
			return p, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("there is no code in the answer")
	}
	return program{}, first
}

// main is the function that calls are made of.
func (p program) main() function {
	for _, f := range p.functions {
		if f.recursive {
			return f
		}
	}
	return p.functions[0]
}

// codeBlocks are the fenced blocks of an answer that are of the language, or say none; without fences it is the
// lines from the first definition to the last line that can be code.
func codeBlocks(text, language string) []string {
	var blocks []string
	var block []string
	open := ""
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		fence := strings.HasPrefix(trimmed, "```")
		switch {
		case fence && open == "":
			open, block = strings.ToLower(strings.TrimSpace(strings.TrimLeft(trimmed, "`")))+"`", nil
		case fence:
			if tag := strings.TrimSuffix(open, "`"); tag == "" || ofLanguage(tag, language) {
				blocks = append(blocks, dedent(block))
			}
			open = ""
		case open != "":
			block = append(block, line)
		}
	}
	if len(blocks) == 0 && open == "" && !strings.Contains(text, "```") {
		if b := bareCode(text, language); b != "" {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

func ofLanguage(tag, language string) bool {
	tag, _, _ = strings.Cut(tag, " ")
	return tag == language || language == "python" && (tag == "py" || tag == "python3") || language == "go" && tag == "golang"
}

// dedent takes away the blanks that all lines begin with: blocks within lists are set in.
func dedent(lines []string) string {
	margin := -1
	for _, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		if n := len(l) - len(strings.TrimLeft(l, " \t")); margin < 0 || n < margin {
			margin = n
		}
	}
	var out strings.Builder
	for _, l := range lines {
		out.WriteString(l[min(max(margin, 0), len(l)-len(strings.TrimLeft(l, " \t"))):])
	}
	return out.String()
}

// bareCode takes code out of a text without fences: from the first definition or import on, as long as lines are set
// in, empty or begin a statement.
func bareCode(text, language string) string {
	starts := []string{"def ", "import ", "from ", "class ", "@", "async def "}
	if language == "go" {
		starts = []string{"func ", "import ", "package ", "type ", "var ", "const ", "}", ")"}
	}
	begins := func(line string) bool {
		for _, s := range starts {
			if strings.HasPrefix(line, s) {
				return true
			}
		}
		return false
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		set := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") || strings.TrimSpace(line) == ""
		if begins(line) || out.Len() > 0 && set {
			out.WriteString(line)
		} else if out.Len() > 0 {
			break
		}
	}
	return out.String()
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
