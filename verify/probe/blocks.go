package probe

import (
	"errors"
	"slices"
	"strings"
)

// program is the code of an answer, parsed.
type program struct {
	source    string
	before    string // the blocks above it that parse, too: it may need their imports and functions
	functions []function
}

type function struct {
	name      string
	recursive bool
	base      bool // it returns without a call of itself in some case
}

// parse finds the block of code that answers: of those that parse and define functions the first that is recursive, or
// else the first. Without any, the error is the first block's.
func parse(language string, a Answer) (program, error) {
	var first error
	var above strings.Builder
	var found []program
	for _, block := range codeBlocks(a.Text, language, a.Cut) {
		functions, err := functionsOf(block, language)
		switch {
		case err == nil && len(functions) > 0:
			found = append(found, program{block, above.String(), functions})
		case first == nil && err == nil:
			first = errors.New("no function is defined")
		case first == nil:
			first = err
		}
		if err == nil {
			above.WriteString(strings.TrimSuffix(block, "\n") + "\n")
		}
	}
	if len(found) > 0 {
		i := slices.IndexFunc(found, func(p program) bool { return p.main().recursive })
		return found[max(i, 0)], nil
	}
	if first == nil {
		first = errors.New("there is no code in the answer")
	}
	return program{}, first
}

func functionsOf(block, language string) ([]function, error) {
	if language == "go" {
		return parseGo(block)
	}
	return parsePython(block)
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

// codeBlocks are the fenced blocks of an answer that are of the language, or say none; one that is left open ends with
// the answer, unless that was cut off. Without fences it is the lines from the first definition to the last line that can
// be code.
func codeBlocks(text, language string, cut bool) []string {
	var blocks, block []string
	open, wanted, any := "", false, false
	for line := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		fence, info := fenceOf(line)
		switch {
		case fence != "" && open == "":
			open, block, any = fence, nil, true
			wanted = info == "" || ofLanguage(info, language)
		case fence != "" && info == "" && fence[0] == open[0] && len(fence) >= len(open):
			if open = ""; wanted {
				blocks = append(blocks, dedent(block))
			}
		case open != "":
			block = append(block, line)
		}
	}
	if open != "" && wanted && !cut {
		blocks = append(blocks, dedent(block))
	}
	if !any {
		if b := bareCode(text, language); b != "" {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

// fenceOf is the mark that begins or ends a block, three of ` or ~ at least, and what stands behind it.
func fenceOf(line string) (fence, info string) {
	line = strings.TrimSpace(line)
	for _, c := range "`~" {
		rest := strings.TrimLeft(line, string(c))
		if n := len(line) - len(rest); n >= 3 && !strings.ContainsRune(rest, c) {
			return line[:n], strings.ToLower(strings.TrimSpace(rest))
		}
	}
	return "", ""
}

// ofLanguage reports whether what stands behind a fence names the language: python, Python 3, {.python .numberLines}.
func ofLanguage(info, language string) bool {
	names := map[string][]string{"python": {"python", "py", "python3", "py3"}, "go": {"go", "golang"}}
	words := strings.FieldsFunc(info, func(r rune) bool { return strings.ContainsRune(" \t{},.:=", r) })
	return len(words) > 0 && slices.Contains(names[language], words[0])
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
		return slices.ContainsFunc(starts, func(s string) bool { return strings.HasPrefix(line, s) })
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
