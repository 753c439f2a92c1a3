package chat

import "strings"

const pythonTag = "<|python_tag|>"

// llama is JSON and nothing else, perhaps after a tag; with the tag also a call of Llama's own tools, or Python.
var llama = dialect{
	in: containsAll(`"parameters": `, "ipython"),
	calls: []callMark{
		{mark: mark{pythonTag, ""}, read: readPython, first: true},
		{mark: mark{"{", ""}, read: readObjects, first: true, whole: true},
	},
}

// readPython reads what stands after the tag: objects, NAME.call(NAME=VALUE), or code for a tool that runs Python.
func readPython(body string, t tools) ([]ToolCall, bool) {
	if calls, ok := readObjects(body, t); ok {
		return calls, true
	}
	l := literals{rest: strings.TrimSpace(body)}
	if c, ok := l.call(); ok && l.rest == "" {
		if name, found := strings.CutSuffix(c.Name, ".call"); found {
			c.Name = name
		}
		if t.have([]ToolCall{c}) {
			return []ToolCall{c}, true
		}
	}
	for name := range t {
		if isPython(name) && strings.TrimSpace(body) != "" {
			return []ToolCall{{Name: name, Arguments: `{"code": ` + string(quoted(strings.TrimSpace(body))) + "}"}}, true
		}
	}
	return nil, false
}

// isPython reports whether a tool of that name runs code.
func isPython(name string) bool {
	return name == "python" || name == "ipython" || name == "code_interpreter"
}
