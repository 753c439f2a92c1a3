package chat

import (
	"regexp"
	"strings"
)

// harmony reads GPT-OSS's answers: messages with a header that names a channel, and for calls a recipient.
type harmony struct {
	body    bool // of a message, not its header
	header  string
	channel string
	tool    string // a recipient that is a tool
}

const (
	harmonyStart   = "<|start|>"
	harmonyChannel = "<|channel|>"
	harmonyMessage = "<|message|>"
)

var (
	harmonyTokens = []string{harmonyStart, harmonyChannel, harmonyMessage, "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"}
	harmonyEnds   = []string{"<|end|>", "<|call|>", "<|return|>", harmonyStart}
	recipient     = regexp.MustCompile(`(?:^|\s)to=functions\.([^\s<]+)`)
)

// advance goes as far into the text held as it is clear; at last all of it is.
func (h *harmony) advance(p *Parser, d *Delta, last bool) {
	for p.held != "" {
		if !h.body && !h.head(p, last) {
			if last {
				p.content(p.held, d)
			}
			return
		}
		end, length := earliest(p.held, harmonyEnds)
		if end < 0 && !last {
			if h.tool == "" {
				keep := 0
				for _, e := range harmonyEnds {
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
		h.body, h.header, h.channel, h.tool = true, "", "", ""
		return true
	}
	i := strings.Index(p.held, harmonyMessage)
	if i < 0 {
		return false
	}
	h.body, h.header, h.tool = true, p.held[:i+len(harmonyMessage)], ""
	p.held = p.held[i+len(harmonyMessage):]
	_, channel, _ := strings.Cut(h.header, harmonyChannel)
	h.channel, _, _ = strings.Cut(strings.TrimSuffix(channel, harmonyMessage), "<|")
	h.channel, _, _ = strings.Cut(strings.TrimSpace(h.channel), " ")
	if m := recipient.FindStringSubmatch(strings.ReplaceAll(h.header, "<|", " <|")); m != nil && p.tools != nil {
		h.tool = m[1]
	}
	return true
}

// give gives out text of a message.
func (h *harmony) give(p *Parser, d *Delta, text string) {
	if h.channel == "analysis" {
		d.Reasoning += text
		return
	}
	p.content(text, d)
}

// call gives out a call, or where it is none the message as it was written.
func (h *harmony) call(p *Parser, d *Delta, body string) {
	arguments, ok := object(body)
	calls := []ToolCall{{Name: h.tool, Arguments: arguments}}
	if ok && p.tools.have(calls) {
		d.Calls, p.called, p.spaces = append(d.Calls, calls...), true, ""
		return
	}
	p.content(h.header+body, d)
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
