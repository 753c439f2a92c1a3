package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
)

func chatCmd(a *app) *cobra.Command {
	var (
		src      sourceFlags
		run      runFlags
		sampling samplingFlags
		template templateFlags
		system   string
		messages string
		at       endpointFlags
	)
	cmd := &cobra.Command{
		Use:   "chat SRC",
		Short: "Talk with the model in a terminal",
		Long: `chat reads a line, prints the model's answer as it comes, and so on until /quit or
the end of the input. Ctrl-C stops an answer. A line that ends with a backslash goes
on in the next. Lines that begin with a slash are commands; /help lists them.
Without a terminal on stdin each line of it is a message.`,
		Args: at.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.json {
				return usageError{errors.New("chat has no --json; generate --messages has")}
			}
			if err := sampling.check(); err != nil {
				return err
			}
			past, err := pastMessages(system, messages)
			if err != nil {
				return err
			}
			if at.url != "" {
				return a.talkAt(cmd, at, sampling.request(cmd.Flags()), template, past)
			}
			m, done, err := a.load(args[0], src, run, cmd)
			if err != nil {
				return err
			}
			defer done()
			tmpl, err := template.of(a, m, false)
			if err != nil {
				return err
			}
			local := &localAnswerer{session: m.NewSession(), template: tmpl, flags: template, opts: sampling.options()}
			local.opts.Stop = append(local.opts.Stop, tmpl.Stop...)
			return a.talk(cmd.Context(), local, past)
		},
	}
	src.register(cmd.Flags(), "auto")
	run.register(cmd.Flags(), "integers", "f16")
	sampling.register(cmd.Flags(), 0, 0.8)
	template.register(cmd.Flags())
	at.register(cmd.Flags())
	cmd.Flags().StringVar(&system, "system", "", "the system message")
	cmd.Flags().StringVar(&messages, "messages", "", "go on with the conversation in a JSON `FILE`, as /save writes it")
	return cmd
}

// pastMessages is what a conversation begins with.
func pastMessages(system, file string) ([]message, error) {
	if file == "" {
		return withSystem(nil, system), nil
	}
	c, err := readConversation(file)
	if err != nil {
		return nil, err
	}
	var past []message
	if err := json.Unmarshal(c.Messages, &past); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if system != "" {
		past = withSystem(past, system)
	}
	return past, nil
}

// answerer continues a conversation.
type answerer interface {
	// answer gives emit the answer piece by piece. When ctx ends, text is what was answered until then.
	answer(ctx context.Context, messages []message, emit func(string)) (text string, err error)
}

// localAnswerer is the model in this process. Its session keeps what was said, so that only what is new is evaluated.
type localAnswerer struct {
	session  *runtime.Session
	template *runtime.ChatTemplate
	flags    templateFlags
	opts     runtime.GenerateOptions
}

func (l *localAnswerer) answer(ctx context.Context, messages []message, emit func(string)) (string, error) {
	data, err := json.Marshal(messages)
	if err != nil {
		return "", err
	}
	in, err := l.flags.input(conversation{Messages: data})
	if err != nil {
		return "", err
	}
	text, err := l.template.Render(ctx, in)
	if err != nil {
		return "", err
	}
	ids, err := l.template.Encode(text)
	if err != nil {
		return "", err
	}
	opts := l.opts
	said := answerParts{parser: l.template.Answers.NewParser(text, nil), emit: emit}
	opts.Show = l.template.Answers.Markers()
	opts.OnToken = func(t runtime.Token) { said.add(said.parser.Push(t.Text)) }
	if len(ids) > l.session.Model().ContextLength() {
		l.session.Reset()
	} else {
		ids = l.session.Reuse(ids)
	}
	g, err := runtime.Generate(ctx, l.session, ids, opts)
	said.add(said.parser.Flush())
	if err == nil && g.Reason == runtime.ReasonContext {
		emit(fmt.Sprintf("\n[the context of %d positions is full: /undo, /reset, or --context-shift]", l.session.Model().ContextLength()))
	}
	return said.text.String(), err
}

// answerParts shows an answer, what the model thinks before it too, and keeps the answer alone.
type answerParts struct {
	parser   *chat.Parser
	emit     func(string)
	text     strings.Builder
	thinking bool
}

func (p *answerParts) add(d chat.Delta) {
	if d.Reasoning != "" && !p.thinking {
		p.emit("[thinking] ")
		p.thinking = true
	}
	p.emit(d.Reasoning)
	if d.Content != "" && p.thinking {
		p.emit("\n\n")
		p.thinking = false
	}
	p.emit(d.Content)
	p.text.WriteString(d.Content)
}

// talk holds a conversation with the terminal, or with what is piped in.
func (a *app) talk(ctx context.Context, who answerer, past []message) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM)
	defer signal.Stop(ends)
	t := &talk{who: who, messages: past, out: a.stdout, interrupts: interrupts, ends: ends}
	t.prompt = term.IsTerminal(int(os.Stdin.Fd()))
	// Ctrl-C ends the program's own context; here it only stops an answer.
	return t.run(context.WithoutCancel(ctx), lines(os.Stdin))
}

// say prints what a command has to say.
func (t *talk) say(format string, args ...any) {
	fmt.Fprintf(t.out, format+"\n", args...)
}

func (t *talk) write(text string) { io.WriteString(t.out, text) }
