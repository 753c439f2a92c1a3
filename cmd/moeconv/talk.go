package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
)

// talk is a conversation between a user's lines and an answerer.
type talk struct {
	who        answerer
	messages   []message
	out        io.Writer
	prompt     bool             // somebody sits at a terminal
	interrupts <-chan os.Signal // stop the answer, or at the prompt the conversation
	ends       <-chan os.Signal // stop both
}

// maxLine is the length in bytes of the longest line read.
const maxLine = 16 << 20

// input is a line, or why there are no more.
type input struct {
	line string
	err  error
}

// lines reads r on a goroutine of its own, since reading cannot be interrupted. Lines that end with a backslash are
// joined with the next.
func lines(r io.Reader) <-chan input {
	out := make(chan input)
	go func() {
		defer close(out)
		scan := bufio.NewScanner(r)
		scan.Buffer(nil, maxLine)
		var text strings.Builder
		for scan.Scan() {
			line, more := strings.CutSuffix(scan.Text(), `\`)
			text.WriteString(line)
			if more {
				text.WriteByte('\n')
				continue
			}
			out <- input{line: text.String()}
			text.Reset()
		}
		if text.Len() > 0 {
			out <- input{line: text.String()}
		}
		if scan.Err() != nil {
			out <- input{err: scan.Err()}
		}
	}()
	return out
}

// run talks until /quit, the end of the input, or an interrupt at the prompt.
func (t *talk) run(ctx context.Context, in <-chan input) error {
	for {
		if t.prompt {
			t.write("> ")
		}
		var next input
		var ok bool
		select {
		case next, ok = <-in:
		case <-t.interrupts:
			t.say("")
			return nil
		case <-t.ends:
			return nil
		}
		if !ok || next.err != nil {
			return next.err
		}
		line := strings.TrimSpace(next.line)
		switch {
		case line == "":
		case strings.HasPrefix(line, "/"):
			if quit := t.command(line); quit {
				return nil
			}
		default:
			if err := t.exchange(ctx, line); err != nil {
				return err
			}
		}
	}
}

// exchange is a message and its answer. A failed answer takes the message back, and ends the conversation where nobody
// is there to read about it.
func (t *talk) exchange(ctx context.Context, line string) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	stopped := make(chan bool, 1)
	go func() {
		select {
		case <-t.interrupts:
			cancel()
			stopped <- false
		case <-t.ends:
			cancel()
			stopped <- true
		case <-done:
			stopped <- false
		}
	}()
	asked := append(t.messages, message{"user", line})
	text, err := t.who.answer(ctx, asked, t.write)
	interrupted := ctx.Err() != nil
	close(done)
	ended := <-stopped
	cancel()
	t.say("")
	switch {
	case interrupted && errors.Is(err, context.Canceled):
		t.say("[stopped]")
		err = nil
		if ended {
			return context.Canceled
		}
	case err != nil && t.prompt:
		t.say("[%v]", err)
		if hint := hintOf(err); hint != "" {
			t.say("[%s]", hint)
		}
		return nil
	case err != nil:
		return err
	}
	t.messages = append(asked, message{"assistant", text})
	return nil
}
