package probe

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// What CPython accepts and refuses is accepted and refused.
func TestPythonGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/python.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Cases []struct {
			Source string
			OK     bool
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	sound, wrong := 0, 0
	for _, c := range doc.Cases {
		if c.OK {
			sound++
		}
		if _, err := parsePython(c.Source); (err == nil) != c.OK {
			wrong++
			t.Errorf("CPython accepts: %v, here: %v\n%s", c.OK, err, c.Source)
		}
	}
	if sound < 40 || len(doc.Cases)-sound < 40 {
		t.Errorf("%d sound and %d broken sources", sound, len(doc.Cases)-sound)
	}
}

func TestCode(t *testing.T) {
	fib := "def fib(n):\n    if n < 2:\n        return n\n    return fib(n-1) + fib(n-2)\n"
	fence := func(tag, code string) string { return "Here it is:\n\n```" + tag + "\n" + code + "```\nIt works.\n" }
	for _, c := range []struct {
		name, text       string
		code, recursion  bool
		language, detail string
	}{
		{"fenced", fence("python", fib), true, true, "python", ""},
		{"no tag", fence("", fib), true, true, "python", ""},
		{"another tag", fence("bash", fib), false, false, "python", "no code"},
		{"bare", "Sure.\n" + fib + "\nThat is all.", true, true, "python", ""},
		{"set in", "1. So:\n   ```py\n   " + strings.ReplaceAll(strings.TrimSpace(fib), "\n", "\n   ") + "\n   ```\n", true, true, "python", ""},
		{"second block", fence("python", "fib(10)\n") + fence("python", fib), true, true, "python", ""},
		{"prose", "A fibonacci function calls itself.", false, false, "python", "no code"},
		{"iterative", fence("python", "def fib(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n"), true, false, "python", ""},
		{"no base case", fence("python", "def fib(n):\n    return fib(n-1) + fib(n-2)\n"), true, false, "python", ""},
		{"conditional expression", fence("python", "def fib(n):\n    return n if n < 2 else fib(n-1) + fib(n-2)\n"), true, true, "python", ""},
		{"method", fence("python", "class F:\n    def fib(self, n):\n        if n < 2:\n            return n\n        return self.fib(n-1) + self.fib(n-2)\n"), true, true, "python", ""},
		{"syntax", fence("python", "def fib(n)\n    return n\n"), false, false, "python", "line 1"},
		{"never closed", "```python\n" + fib, true, true, "python", ""}, // the block ends with the text, as in Markdown
		{"go", fence("go", "func fib(n int) int {\n\tif n < 2 {\n\t\treturn n\n\t}\n\treturn fib(n-1) + fib(n-2)\n}\n"), true, true, "go", ""},
		{"go, a file", fence("golang", "package main\n\nfunc fib(n int) int { return fib(n-1) }\n"), true, false, "go", ""},
		{"go, broken", fence("go", "func fib(n int) int {\n\treturn fib(n-1\n}\n"), false, false, "go", ""},
	} {
		a := Answer{Text: c.text, Chat: true}
		f := (Parses{c.language}).Judge(a)
		if (f.Status == "pass") != c.code || !strings.Contains(f.Message, c.detail) {
			t.Errorf("%s: code: %s: %s", c.name, f.Status, f.Message)
		}
		if f := (Recursive{c.language}).Judge(a); (f.Status == "pass") != c.recursion {
			t.Errorf("%s: recursion: %s: %s", c.name, f.Status, f.Message)
		}
	}
	if f := judge(Parses{"python"}, Answer{Text: "```python\n" + fib, Chat: true, Cut: true}); f.Status != notJudged {
		t.Errorf("code that was cut off: %s: %s", f.Status, f.Message)
	}
}

func FuzzPython(f *testing.F) {
	for _, s := range []string{"def f(n):\n    return f(n-1)\n", "x: int = 3\n", "match x:\n    case 1: pass\n", "f\"{x}\" '''", "@a\n", "\xff("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1<<12 {
			return
		}
		tokens, err := pyTokens(src)
		if err == nil {
			var all strings.Builder
			for _, tok := range tokens {
				all.WriteString(tok.text)
			}
			if all.String() != src {
				t.Fatalf("tokens make up %q", all.String())
			}
		}
		parsePython(src)
	})
}
