package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/runtime/chat"
)

// echo answers with what was said, word by word; at "forever" it goes on until it is stopped.
type echo struct {
	seen    [][]message
	started chan struct{}
}

func (e *echo) answer(ctx context.Context, messages []message, emit func(string)) (string, error) {
	e.seen = append(e.seen, messages)
	said := messages[len(messages)-1].Content
	if said == "fail" {
		return "", errors.New("out of order")
	}
	emit("you said " + said)
	if said == "forever" {
		e.started <- struct{}{}
		<-ctx.Done()
		return "you said", context.Cause(ctx)
	}
	return "you said " + said, nil
}

// TestInterrupts: Ctrl-C stops an answer, whose beginning stays in the conversation, and at the prompt ends it.
func TestInterrupts(t *testing.T) {
	interrupts := make(chan os.Signal)
	e := &echo{started: make(chan struct{})}
	var out strings.Builder
	talk := &talk{who: e, out: &out, prompt: true, interrupts: interrupts}
	in := make(chan input)
	done := make(chan error)
	go func() { done <- talk.run(t.Context(), in) }()
	in <- input{line: "forever"}
	<-e.started
	interrupts <- os.Interrupt
	in <- input{line: "fail"}
	in <- input{line: "again"}
	in <- input{} // is taken when the answer is complete
	interrupts <- os.Interrupt
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "you said forever\n[stopped]\n") || !strings.Contains(got, "[out of order]") || !strings.Contains(got, "you said again") {
		t.Errorf("%q", got)
	}
	if last := e.seen[2]; len(last) != 3 || last[1] != (message{"assistant", "you said"}) {
		t.Errorf("%v", last)
	}
}

// TestPipedFailure: where nobody reads the answers, a failure ends the conversation.
func TestPipedFailure(t *testing.T) {
	var out strings.Builder
	err := (&talk{who: &echo{}, out: &out}).run(t.Context(), lines(strings.NewReader("one\nfail\ntwo\n")))
	if err == nil || strings.Contains(out.String(), "two") {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestLines(t *testing.T) {
	var got []string
	for in := range lines(strings.NewReader("a\nb\\\nc\n\nd\\")) {
		got = append(got, in.line)
	}
	if strings.Join(got, "|") != "a|b\nc||d\n" {
		t.Errorf("%q", got)
	}
	last := input{}
	for last = range lines(strings.NewReader(strings.Repeat("x", maxLine+1))) {
	}
	if last.err == nil {
		t.Error("a line without end: no error")
	}
}

// TestAnswerParts: what the model thinks is shown, and is no part of what it said.
func TestAnswerParts(t *testing.T) {
	var shown strings.Builder
	p := answerParts{parser: chat.FormatOf("<think></think>").NewParser("", nil), emit: func(s string) { shown.WriteString(s) }}
	for _, piece := range []string{"<thi", "nk>\nhm", " so\n</think>\n", "\nyes", ", it is"} {
		p.add(p.parser.Push(piece))
	}
	p.add(p.parser.Flush())
	if shown.String() != "[thinking] hm so\n\nyes, it is" || p.text.String() != "yes, it is" {
		t.Errorf("%q, %q", shown.String(), p.text.String())
	}
}
