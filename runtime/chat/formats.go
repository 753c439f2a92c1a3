package chat

import (
	"slices"
	"strings"
)

// Format is how a model marks, in its answers, what it thinks and the tools it calls. It is taken from the text of its
// chat template, which writes past answers the way the model does.
type Format struct {
	thinks   []mark
	calls    []callMark
	drops    []string
	tokens   []string
	messages func() messageReader
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

// dialect is one way of writing answers; each has a file of its own, call_NAME.go.
type dialect struct {
	in       func(source string) bool // whether a template speaks it; nil: if it writes the begin of any of its calls
	thinks   []mark
	calls    []callMark
	drops    []string             // what stands around content
	tokens   []string             // tokens within all that, besides marks that are one
	messages func() messageReader // of dialects whose answers are messages with headers, each its own part
}

// messageReader takes an answer apart that is made of messages.
type messageReader interface {
	// advance goes as far into the text held as it is clear; at last all of it is.
	advance(p *Parser, d *Delta, last bool)
}

// dialects in no order that matters, but for llama, whose marks are the weakest: it counts where no other does.
var dialects = []*dialect{
	&apertus, &cohere, &deepSeek, &fireFunction, &functionary31, &functionary32, &gemma, &gigaChat, &granite, &harmonyDialect,
	&hermes, &hunyuan, &kimi, &kimi3, &lfm2, &miniCPM, &miniMax, &miniMax3, &mistral, &muse, &nemotron, &objectList, &seed, &solar,
}

// thinkMarks are common to many templates: one that writes an end has the mark.
var thinkMarks = []mark{{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"}}

// FormatOf reads a chat template's source.
func FormatOf(source string) *Format {
	f := &Format{}
	for _, m := range thinkMarks {
		if strings.Contains(source, m.end) {
			f.thinks = append(f.thinks, m)
		}
	}
	for _, d := range dialects {
		if d.spoken(source) {
			f.add(d)
		}
	}
	if len(f.calls) == 0 && f.messages == nil && llama.in(source) {
		f.add(&llama)
	}
	return f
}

func (d *dialect) spoken(source string) bool {
	if d.in != nil {
		return d.in(source)
	}
	return slices.ContainsFunc(d.calls, func(m callMark) bool { return strings.Contains(source, m.begin) })
}

func (f *Format) add(d *dialect) {
	f.thinks, f.calls = append(f.thinks, d.thinks...), append(f.calls, d.calls...)
	f.drops, f.tokens = append(f.drops, d.drops...), append(f.tokens, d.tokens...)
	if d.messages != nil {
		f.messages = d.messages
	}
}

// containsAll is a dialect's in for templates that have all of the texts.
func containsAll(texts ...string) func(string) bool {
	return func(source string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(source, text) })
	}
}

// Markers are the texts of tokens that must not be left out of an answer's text for it to be understood.
func (f *Format) Markers() []string {
	out := slices.Concat(f.tokens, f.drops)
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
	return out
}
