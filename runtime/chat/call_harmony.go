package chat

import (
	"regexp"
	"strings"
)

const (
	harmonyStart   = "<|start|>"
	harmonyChannel = "<|channel|>"
	harmonyMessage = "<|message|>"
)

// harmonyDialect is GPT-OSS's: messages with a header that names a channel, and for calls a recipient.
var harmonyDialect = dialect{
	in:       containsAll(harmonyChannel, harmonyMessage),
	tokens:   []string{harmonyStart, harmonyChannel, harmonyMessage, "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"},
	messages: func() messageReader { return &harmony{headers: &harmonyHeaders} },
}

// headers is how messages end, and what their headers say.
type headers struct {
	ends []string
	// of says what a message is: reasoning, or a call of a tool, or else content.
	of func(header string) (reasoning bool, tool string)
	// read reads a call.
	read func(tool, body string, t tools) ([]ToolCall, bool)
}

var recipient = regexp.MustCompile(`(?:^|\s)to=functions\.([^\s<]+)`)

var harmonyHeaders = headers{
	ends: []string{"<|end|>", "<|call|>", "<|return|>", harmonyStart},
	of: func(header string) (bool, string) {
		_, channel, _ := strings.Cut(header, harmonyChannel)
		channel, _, _ = strings.Cut(strings.TrimSuffix(channel, harmonyMessage), "<|")
		channel, _, _ = strings.Cut(strings.TrimSpace(channel), " ")
		if m := recipient.FindStringSubmatch(strings.ReplaceAll(header, "<|", " <|")); m != nil {
			return channel == "analysis", m[1]
		}
		return channel == "analysis", ""
	},
	read: func(tool, body string, _ tools) ([]ToolCall, bool) {
		arguments, ok := object(body)
		return []ToolCall{{Name: tool, Arguments: arguments}}, ok
	},
}

// harmony reads messages with headers.
type harmony struct {
	*headers
	body      bool // of a message, not its header
	header    string
	reasoning bool
	tool      string // a recipient that is a tool
}

func (h *harmony) advance(p *Parser, d *Delta, last bool) {
	for p.held != "" {
		if !h.body && !h.head(p, last) {
			if last {
				p.content(p.held, d)
			}
			return
		}
		end, length := earliest(p.held, h.ends)
		if end < 0 && !last {
			if h.tool == "" {
				keep := 0
				for _, e := range h.ends {
					keep = max(keep, begins(p.held, e))
				}
				h.give(p, d, p.held[:len(p.held)-keep])
				p.held = p.held[len(p.held)-keep:]
			}
			return
		}
		if end < 0 {
			end = len(p.held)
		}
		body := p.held[:end]
		p.held = p.held[end+length:]
		if h.tool != "" {
			h.call(p, d, body)
		} else {
			h.give(p, d, body)
		}
		h.body = false
	}
}

// head reads a message's header; false says that it is not complete. A text without any is a message by itself.
func (h *harmony) head(p *Parser, last bool) bool {
	text := strings.TrimLeft(p.held, " \n")
	plain := true
	for _, begin := range []string{harmonyStart, harmonyChannel, "assistant", "to=", harmonyMessage} {
		if strings.HasPrefix(text, begin) || !last && strings.HasPrefix(begin, text) {
			plain = false
		}
	}
	if plain {
		h.body, h.header, h.reasoning, h.tool = true, "", false, ""
		return true
	}
	i := strings.Index(p.held, harmonyMessage)
	if i < 0 {
		return false
	}
	h.body, h.header = true, p.held[:i+len(harmonyMessage)]
	p.held = p.held[i+len(harmonyMessage):]
	if h.reasoning, h.tool = h.of(h.header); p.tools == nil {
		h.tool = ""
	}
	return true
}

// give gives out text of a message.
func (h *harmony) give(p *Parser, d *Delta, text string) {
	if h.reasoning {
		d.Reasoning += text
		return
	}
	p.content(text, d)
}

// call gives out a call, or where it is none the message as it was written.
func (h *harmony) call(p *Parser, d *Delta, body string) {
	if calls, ok := h.read(h.tool, body, p.tools); !ok || !p.give(calls, d) {
		p.content(h.header+body, d)
	}
}

// earliest is where the first of marks stands in text, -1 for nowhere, and its length.
func earliest(text string, marks []string) (at, length int) {
	at = -1
	for _, m := range marks {
		if i := strings.Index(text, m); i >= 0 && (at < 0 || i < at) {
			at, length = i, len(m)
		}
	}
	return at, length
}
