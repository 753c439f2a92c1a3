package chat

import (
	"slices"
	"strings"
	"unicode"
)

// Format is how a model marks, in its answers, what it thinks and the tools it calls. It is taken from the text of its
// chat template, which writes past answers the way the model does.
type Format struct {
	thinks  []mark
	calls   []callMark
	harmony bool
}

// mark is what stands around a part of an answer.
type mark struct{ begin, end string }

// callMark is what stands around calls, and how they are written there. An empty end is the answer's end.
type callMark struct {
	mark
	read  func(body string, t tools) ([]ToolCall, bool)
	first bool // only where nothing stands before it
	whole bool // begin is a part of the body
}

var thinkMarks = []mark{{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"}}

var callMarks = []callMark{
	{mark: mark{"<tool_call>", "</tool_call>"}, read: readTagged},
	{mark: mark{"<seed:tool_call>", "</seed:tool_call>"}, read: readTagged},
	{mark: mark{"<tool_calls>", "</tool_calls>"}, read: readObjects},
	{mark: mark{"<TOOLCALL>", "</TOOLCALL>"}, read: readObjects},
	{mark: mark{"[TOOL_CALLS]", ""}, read: readMistral},
	{mark: mark{deepSeekCalls, "<｜tool▁calls▁end｜>"}, read: readDeepSeek},
	{mark: mark{"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"}, read: readKimi},
	{mark: mark{"<minimax:tool_call>", "</minimax:tool_call>"}, read: readInvoke},
	{mark: mark{"<｜DSML｜function_calls>", "</｜DSML｜function_calls>"}, read: readInvoke},
	{mark: mark{"<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>"}, read: readInvoke},
}

// Llama's calls are JSON and nothing else, perhaps after a tag.
var llamaMarks = []callMark{
	{mark: mark{"<|python_tag|>", ""}, read: readObjects, first: true},
	{mark: mark{"{", ""}, read: readObjects, first: true, whole: true},
}

// FormatOf reads a chat template's source.
func FormatOf(source string) *Format {
	f := &Format{harmony: strings.Contains(source, "<|channel|>") && strings.Contains(source, "<|message|>")}
	for _, m := range thinkMarks {
		if strings.Contains(source, m.end) {
			f.thinks = append(f.thinks, m)
		}
	}
	for _, m := range callMarks {
		if spelled(source, m.begin) {
			f.calls = append(f.calls, m)
		}
	}
	if len(f.calls) == 0 && strings.Contains(source, `"parameters": `) && strings.Contains(source, "ipython") {
		f.calls = llamaMarks
	}
	return f
}

// spelled reports whether a template writes m, perhaps with a prefix of its own in a variable (DeepSeek-V3.2).
func spelled(source, m string) bool {
	if prefix := "｜DSML｜"; strings.Contains(m, prefix) {
		return strings.Contains(source, prefix) && strings.Contains(source, strings.TrimSuffix(m[len("<"+prefix):], ">"))
	}
	return strings.Contains(source, m)
}

// Markers are the texts of tokens that must not be left out of an answer's text for it to be understood.
func (f *Format) Markers() []string {
	out := slices.Clone(callTokens)
	for _, m := range f.thinks {
		out = append(out, m.begin, m.end)
	}
	for _, m := range f.calls {
		if !m.whole {
			out = append(out, m.begin)
		}
		if m.end != "" {
			out = append(out, m.end)
		}
	}
	if f.harmony {
		out = append(out, harmonyTokens...)
	}
	return out
}

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
	f       *Format
	tools   tools
	held    string
	state   state
	mark    mark     // around the reasoning
	call    callMark // around the calls
	spaces  string   // at the end of content
	begun   bool     // there was content
	called  bool
	harmony *harmony
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
	if f.harmony {
		p.harmony = &harmony{}
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
	if p.harmony != nil {
		p.harmony.advance(p, &d, false)
		return d
	}
	for p.advance(&d) {
	}
	return d
}

// Flush is what was held back when the answer ended.
func (p *Parser) Flush() (d Delta) {
	switch {
	case p.harmony != nil:
		p.harmony.advance(p, &d, true)
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

// text gives out content up to where calls may begin.
func (p *Parser) text(d *Delta) bool {
	at, keep := -1, 0
	if p.tools != nil {
		for _, m := range p.f.calls {
			switch i := strings.Index(p.held, m.begin); {
			case m.first && (p.begun || i < 0 || strings.TrimSpace(p.held[:i]) != ""):
				if text := strings.TrimSpace(p.held); !p.begun && strings.HasPrefix(m.begin, text) {
					keep = len(p.held)
				}
			case i >= 0 && (at < 0 || i < at):
				at, p.call = i, m
			case i < 0:
				keep = max(keep, begins(p.held, m.begin))
			}
		}
	}
	if at < 0 {
		cut := len(p.held) - keep
		p.content(p.held[:cut], d)
		p.held = p.held[cut:]
		return false
	}
	p.content(p.held[:at], d)
	p.state = inCall
	if p.held = p.held[at:]; !p.call.whole {
		p.held = p.held[len(p.call.begin):]
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
	calls, ok := p.call.read(body, p.tools)
	if ok && p.tools.have(calls) {
		d.Calls, p.called, p.spaces = append(d.Calls, calls...), true, ""
		return
	}
	begin := p.call.begin
	if p.call.whole {
		begin = ""
	}
	p.content(begin+body+end, d)
	p.begun = true
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
