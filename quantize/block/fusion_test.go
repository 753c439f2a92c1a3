package block

import (
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strings"
	"testing"
)

// onlyMath imports math; other imports do not matter to the types of products, so their errors are ignored.
type onlyMath struct{ types.Importer }

func (m onlyMath) Import(path string) (*types.Package, error) {
	if path != "math" {
		return nil, errors.New("not needed")
	}
	return m.Importer.Import(path)
}

// TestNoFusion holds the rule that every float32 product stands in a conversion, float32(x*y): nothing else, not even
// an assignment, keeps a compiler from fusing it with an addition, which it does on arm64 and with GOAMD64=v3.
func TestNoFusion(t *testing.T) {
	fset := token.NewFileSet()
	var files []*ast.File
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n.Name(), ".go") && !strings.HasSuffix(n.Name(), "_test.go") {
			f, err := parser.ParseFile(fset, n.Name(), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: onlyMath{importer.ForCompiler(fset, "source", nil)}, Error: func(error) {}}
	_, _ = conf.Check("block", fset, files, info) // the errors are of the imports
	products, bare := unwrapped(files, info)
	for _, p := range bare {
		t.Errorf("%v: a product outside float32(...)", fset.Position(p))
	}
	if products < 50 {
		t.Errorf("%d float32 products found, the package has more: the type check went wrong", products)
	}
}

// unwrapped counts the float32 products and lists those that are not converted at once.
func unwrapped(files []*ast.File, info *types.Info) (products int, bare []token.Pos) {
	isFloat := func(e ast.Expr) bool {
		tv := info.Types[e]
		b, ok := tv.Type.(*types.Basic)
		return ok && b.Kind() == types.Float32 && tv.Value == nil
	}
	converted := map[ast.Expr]bool{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if info.Types[n.Fun].IsType() && isFloat(n) {
					converted[ast.Unparen(n.Args[0])] = true
				}
			case *ast.BinaryExpr:
				if n.Op == token.MUL && isFloat(n) {
					products++
					if !converted[n] {
						bare = append(bare, n.Pos())
					}
				}
			case *ast.AssignStmt: // x *= y
				if n.Tok == token.MUL_ASSIGN && isFloat(n.Lhs[0]) {
					bare = append(bare, n.Pos())
				}
			}
			return true
		})
	}
	return products, bare
}
