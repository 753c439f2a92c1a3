package probe

import (
	"go/scanner"
	"go/token"
	"strings"

	"github.com/moeconv/moeconv/verify"
)

// GoTokens wants prompt and answer together to scan as Go: no illegal characters, every literal well formed.
type GoTokens struct{}

// Name of the criterion.
func (GoTokens) Name() string { return "go tokens" }

// Judge scans prompt and answer, since an answer may begin within a comment or a string of the prompt.
func (GoTokens) Judge(a Answer) Finding {
	src := a.Prompt + a.Text
	var first *scanner.Error
	errors, words := 0, 0
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	var s scanner.Scanner
	s.Init(file, []byte(src), func(pos token.Position, msg string) {
		if a.Cut && openAtEnd(src, pos.Offset, msg) {
			return
		}
		if errors == 0 {
			first = &scanner.Error{Pos: pos, Msg: msg}
		}
		errors++
	}, 0)
	for {
		pos, tok, _ := s.Scan()
		if tok == token.EOF {
			break
		}
		if file.Offset(pos) >= len(a.Prompt) && (tok.IsKeyword() || tok.IsLiteral()) {
			words++
		}
	}
	switch {
	case errors > 0:
		return finding(verify.Fail, float64(errors), "%d errors, the first in line %d: %s", errors, first.Pos.Line, first.Msg)
	case words == 0:
		return finding(verify.Fail, 0, "no keyword, name or literal in the answer")
	}
	return finding(verify.Pass, 0, "%d keywords, names and literals", words)
}

// openAtEnd reports whether an error says no more than that the text was cut off within a literal or comment.
func openAtEnd(src string, at int, msg string) bool {
	switch msg {
	case "comment not terminated", "raw string literal not terminated":
		return true // by their nature they run to the end
	case "string literal not terminated", "rune literal not terminated", "escape sequence not terminated":
		return !strings.Contains(src[min(at, len(src)):], "\n")
	}
	return false
}
