package chat

import (
	"strings"
)

// functionary31 is <function=NAME>{...}</function> (Functionary 3.1; Llama 3.1 is told of it, too), with raw Python after
// a tag.
var functionary31 = dialect{
	in: func(source string) bool {
		return containsAll("<function=", "</function>")(source) && !strings.Contains(source, "<parameter=")
	},
	calls: []callMark{
		{mark: mark{"<function=", "</function>"}, read: readFunctionary, whole: true},
		{mark: mark{pythonTag, ""}, read: readPython},
	},
}

func readFunctionary(body string, _ tools) ([]ToolCall, bool) {
	name, text, found := strings.Cut(strings.TrimPrefix(body, "<function="), ">")
	arguments, ok := object(text)
	return []ToolCall{{Name: strings.TrimSpace(name), Arguments: arguments}}, found && ok
}

// functionary32 is >>>RECIPIENT and a line's end before each message; all is the user.
var functionary32 = dialect{
	in:       containsAll(">>>all\\n"),
	messages: func() messageReader { return &recipients{} },
}

// recipients reads Functionary 3.2's messages.
type recipients struct {
	body bool
	tool string
}

const recipientMark = ">>>"

func (r *recipients) advance(p *Parser, d *Delta, last bool) {
	for p.held != "" {
		if !r.body && !r.head(p, last) {
			if last {
				p.content(p.held, d)
			}
			return
		}
		heads := []string{recipientMark + "all\n"}
		for name := range p.tools {
			heads = append(heads, recipientMark+name+"\n")
		}
		end, _ := earliest(p.held, heads)
		if end < 0 && !last {
			keep := len(p.held)
			if r.tool == "" {
				keep = 0
				for _, h := range heads {
					keep = max(keep, begins(p.held, h))
				}
				p.content(p.held[:len(p.held)-keep], d)
			}
			p.held = p.held[len(p.held)-keep:]
			return
		}
		if end < 0 {
			end = len(p.held)
		}
		body := p.held[:end]
		p.held, r.body = p.held[end:], false
		if r.tool == "" {
			p.content(body, d)
		} else if !p.give(r.read(body), d) {
			p.content(recipientMark+r.tool+"\n"+body, d)
		}
	}
}

// head reads a message's first line, which the prompt may have begun; false says that it is not complete. A text
// without one is a message by itself.
func (r *recipients) head(p *Parser, last bool) bool {
	if !last && strings.HasPrefix(recipientMark, p.held) {
		return false
	}
	text := strings.TrimPrefix(p.held, recipientMark)
	name, rest, found := strings.Cut(text, "\n")
	_, known := p.tools[name]
	switch {
	case found && (known || name == "all"):
		r.tool, p.held = strings.TrimPrefix(name, "all"), rest
		if known {
			r.tool = name
		}
	case !found && !last && r.begins(p, name):
		return false
	default:
		r.tool = ""
	}
	r.body = true
	return true
}

// begins reports whether text is the beginning of a recipient.
func (r *recipients) begins(p *Parser, text string) bool {
	for name := range p.tools {
		if strings.HasPrefix(name, text) {
			return true
		}
	}
	return strings.HasPrefix("all", text)
}

// read reads a call: JSON, or Python as it is.
func (r *recipients) read(body string) []ToolCall {
	arguments, ok := object(body)
	if !ok && isPython(r.tool) {
		arguments, ok = `{"code": `+string(quoted(strings.TrimSpace(body)))+"}", true
	}
	if !ok {
		return nil
	}
	return []ToolCall{{Name: r.tool, Arguments: arguments}}
}
