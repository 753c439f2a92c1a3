package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/moeconv/moeconv"

// imports is the layering of the module: what each package may import besides std.
// Data flows down the table; do not change it to fix a build. DESIGN part 1 has the reasons.
var imports = map[string]string{
	"gguf":                "",
	"gguf/names":          "",
	"gguf/expert":         "gguf gguf/names",
	"gguf/pretoken":       "github.com/dlclark/regexp2/v2",
	"convert/safetensors": "github.com/nlpodyssey/safetensors",
	"convert/vocab":       "gguf gguf/pretoken",
	"convert/family":      "gguf gguf/names",
	"quantize/block":      "gguf golang.org/x/sys/cpu",
	"convert":             "gguf gguf/names gguf/expert convert/safetensors convert/vocab convert/family quantize/block go.yaml.in/yaml/v3",
	"quantize/imatrix":    "gguf",
	"quantize":            "gguf gguf/names quantize/block quantize/imatrix",
	"runtime/kernel":      "gguf quantize/block golang.org/x/sys/cpu",
	"runtime/offload":     "gguf gguf/names gguf/expert",
	"runtime/nn":          "gguf gguf/names runtime/kernel runtime/offload convert/family golang.org/x/sys/unix",
	"runtime/token":       "gguf gguf/pretoken golang.org/x/text/unicode/norm",
	"runtime/sample":      "",
	"runtime/chat":        "",
	"runtime":             "gguf quantize/imatrix runtime/kernel runtime/offload runtime/nn runtime/token runtime/sample runtime/chat",
	"runtime/server":      "gguf runtime runtime/token runtime/sample runtime/chat",
	"verify":              "gguf gguf/names gguf/expert convert convert/family convert/safetensors quantize quantize/block quantize/imatrix runtime runtime/token runtime/sample runtime/chat verify/plot",
	// Probe sets are YAML; gpython parses the Python in answers, x/sys makes the sandbox it is run in, the server's client asks endpoints.
	"verify/probe": "verify runtime runtime/token runtime/sample runtime/chat runtime/server gguf go.yaml.in/yaml/v3 github.com/go-python/gpython/ast github.com/go-python/gpython/parser github.com/go-python/gpython/py golang.org/x/sys/unix",
	// The stress protocol is YAML; a server in this process is put under load.
	"verify/stress":       "verify verify/probe runtime runtime/server gguf go.yaml.in/yaml/v3",
	"testdata/upcycle":    "gguf quantize/block",
	"verify/bench":        "verify/probe gguf gguf/names runtime runtime/offload runtime/server runtime/token",
	"cmd/release":         "",
	"verify/evidence":     "verify/bench",
	"verify/plot":         "",
	"verify/card":         "verify/evidence go.yaml.in/yaml/v3",
	"recipes/hub":         "",
	"recipes/hub/hubtest": "",
	"recipes":             "recipes/hub gguf gguf/names gguf/expert convert convert/family quantize quantize/imatrix runtime runtime/server runtime/chat runtime/offload runtime/sample verify verify/probe verify/bench verify/evidence verify/card verify/plot testdata go.yaml.in/yaml/v3",
	"testdata":            "",
}

// TestImports parses the sources itself: the test cache would not notice changes that `go list` saw.
func TestImports(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		seen[pkg] = true
		checkFile(t, pkg, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range imports {
		if !seen[pkg] {
			t.Errorf("the table has package %s, the tree does not", pkg)
		}
	}
}

func checkFile(t *testing.T, pkg, path string) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	if pkg == "cmd/moeconv" { // knows all
		return
	}
	allowed, ok := imports[pkg]
	if !ok {
		t.Errorf("%s: package %s is not in the table", path, pkg)
		return
	}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		p = strings.TrimPrefix(p, module+"/")
		if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") && !strings.HasPrefix(spec.Path.Value, `"`+module) {
			continue // std
		}
		if !slices.Contains(strings.Fields(allowed), p) {
			t.Errorf("%s: package %s may not import %s", path, pkg, p)
		}
	}
}
