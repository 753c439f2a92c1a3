package chat

import (
	"strings"
	"unicode"
)

// Delta is what became clear of an answer.
type Delta struct {
	Content   string
	Reasoning string
	Calls     []ToolCall
}

// ToolCall is a call of one of the tools that the conversation has.
type ToolCall struct {
	ID        string // as the model wrote it; often empty
	Name      string
	Arguments string // a JSON object
}

// Parser takes an answer apart while it is written. What does not parse as calls of tools that there are is content,
// as it was written.
type Parser struct {
	f      *Format
	tools  tools
	held   string
	state  state
	mark   mark     // around the reasoning
	call   callMark // around the calls
	spaces string   // at the end of content
	begun  bool     // there was content
	called bool
	reader messageReader // nil: the answer is one text
}

type state uint8

const (
	atStart state = iota
	inReasoning
	inContent
	inCall
)

// NewParser is for an answer to prompt, the template's text; tools is the JSON list of tools, nil for none.
func (f *Format) NewParser(prompt string, list []byte) *Parser {
	p := &Parser{f: f, tools: readTools(list)}
	if f.messages != nil {
		p.reader = f.messages()
	}
	for _, m := range f.thinks {
		if strings.HasSuffix(strings.TrimRightFunc(prompt, unicode.IsSpace), m.begin) {
			p.state, p.mark = inReasoning, m
		}
	}
	return p
}

// Push is what becomes clear with more text.
func (p *Parser) Push(text string) (d Delta) {
	p.held += text
	if p.reader != nil {
		p.reader.advance(p, &d, false)
		return d
	}
	for p.advance(&d) {
	}
	return d
}

// Flush is what was held back when the answer ended.
func (p *Parser) Flush() (d Delta) {
	switch {
	case p.reader != nil:
		p.reader.advance(p, &d, true)
	case p.state == inCall:
		p.calls(p.held, "", &d)
	case p.state == inReasoning:
		d.Reasoning += strings.TrimRightFunc(p.held, unicode.IsSpace)
	default:
		p.content(p.held, &d)
	}
	p.held = ""
	if !p.called {
		d.Content += p.spaces
	}
	p.spaces = ""
	return d
}

// advance moves on by one part of the answer, if that is clear.
func (p *Parser) advance(d *Delta) bool {
	switch p.state {
	case atStart:
		return p.start()
	case inReasoning:
		return p.reason(d)
	case inContent:
		return p.text(d)
	}
	if p.call.end == "" {
		return false
	}
	body, rest, found := strings.Cut(p.held, p.call.end)
	if found {
		p.calls(body, p.call.end, d)
		p.held = rest
	}
	return found
}

// start finds out whether the answer begins with reasoning.
func (p *Parser) start() bool {
	text := strings.TrimLeftFunc(p.held, unicode.IsSpace)
	for _, m := range p.f.thinks {
		if rest, ok := strings.CutPrefix(text, m.begin); ok {
			p.state, p.mark, p.held = inReasoning, m, rest
			return true
		}
		if strings.HasPrefix(m.begin, text) {
			return false
		}
	}
	p.state = inContent
	return true
}

func (p *Parser) reason(d *Delta) bool {
	if d.Reasoning == "" && !p.begun {
		p.held = strings.TrimLeftFunc(p.held, unicode.IsSpace)
	}
	body, rest, found := strings.Cut(p.held, p.mark.end)
	if found {
		d.Reasoning += strings.TrimRightFunc(body, unicode.IsSpace)
		p.state, p.begun, p.held = inContent, false, strings.TrimLeftFunc(rest, unicode.IsSpace)
		return true
	}
	cut := len(strings.TrimRightFunc(body[:len(body)-begins(body, p.mark.end)], unicode.IsSpace))
	d.Reasoning += body[:cut]
	p.begun = p.begun || cut > 0
	p.held = body[cut:]
	return false
}

// text gives out content up to where calls may begin, without what only stands around it.
func (p *Parser) text(d *Delta) bool {
	at, length, keep := -1, 0, 0
	var call *callMark
	if p.tools != nil {
		for k := range p.f.calls {
			m := &p.f.calls[k]
			switch i := strings.Index(p.held, m.begin); {
			case m.first && (p.begun || i < 0 || strings.TrimSpace(p.held[:i]) != ""):
				if text := strings.TrimSpace(p.held); !p.begun && strings.HasPrefix(m.begin, text) {
					keep = len(p.held)
				}
			case i >= 0 && (at < 0 || i < at || i == at && len(m.begin) > length):
				at, length, call = i, len(m.begin), m
			case i < 0:
				keep = max(keep, begins(p.held, m.begin))
			}
		}
	}
	for _, drop := range p.f.drops {
		if i := strings.Index(p.held, drop); i >= 0 && (at < 0 || i < at) {
			at, length, call = i, len(drop), nil
		} else if i < 0 {
			keep = max(keep, begins(p.held, drop))
		}
	}
	if at < 0 || at > len(p.held)-keep {
		cut := len(p.held) - keep
		p.content(p.held[:cut], d)
		p.held = p.held[cut:]
		return false
	}
	p.content(p.held[:at], d)
	if p.held = p.held[at:]; call == nil || !call.whole {
		p.held = p.held[length:]
	}
	if call != nil {
		p.state, p.call = inCall, *call
	}
	return true
}

// content gives out text, but keeps spaces at its end back: they are left out before calls, and at the beginning.
func (p *Parser) content(text string, d *Delta) {
	text = p.spaces + text
	if !p.begun && p.mark.end != "" || p.called {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	cut := len(strings.TrimRightFunc(text, unicode.IsSpace))
	d.Content += text[:cut]
	p.begun = p.begun || cut > 0
	p.spaces = text[cut:]
}

// calls reads body, which is content with all that stands around it where it is none.
func (p *Parser) calls(body, end string, d *Delta) {
	p.state = inContent
	if calls, ok := p.call.read(body, p.tools); ok && p.give(calls, d) {
		return
	}
	begin := p.call.begin
	if p.call.whole {
		begin = ""
	}
	p.content(begin+body+end, d)
	p.begun = true
}

// give gives out calls, if they are of tools that there are.
func (p *Parser) give(calls []ToolCall, d *Delta) bool {
	if !p.tools.have(calls) {
		return false
	}
	d.Calls, p.called, p.spaces = append(d.Calls, calls...), true, ""
	return true
}

// begins is how many bytes at the end of text begin m.
func begins(text, m string) int {
	for n := min(len(m)-1, len(text)); n > 0; n-- {
		if strings.HasSuffix(text, m[:n]) {
			return n
		}
	}
	return 0
}
