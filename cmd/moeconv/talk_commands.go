package main

import (
	"encoding/json"
	"os"
	"strings"
)

// talkCommands is what /help prints.
const talkCommands = `/help          this list
/system TEXT   replace the system message; without TEXT remove it
/undo          take back the last message and its answer
/reset         begin anew, with the same system message
/save FILE     write the conversation, for --messages
/quit          end, as Ctrl-D does; Ctrl-C stops an answer`

// command runs a line that begins with a slash.
func (t *talk) command(line string) (quit bool) {
	name, arg, _ := strings.Cut(line, " ")
	arg = strings.TrimSpace(arg)
	switch name {
	case "/help":
		t.say("%s", talkCommands)
	case "/system":
		t.messages = withSystem(t.messages, arg)
	case "/undo":
		t.undo()
	case "/reset":
		t.messages = t.messages[:systemMessages(t.messages)]
	case "/save":
		t.save(arg)
	case "/quit", "/exit":
		return true
	default:
		t.say("[no command %s; /help lists them]", name)
	}
	return false
}

// systemMessages is 1 if the conversation begins with a system message, else 0.
func systemMessages(messages []message) int {
	if len(messages) > 0 && messages[0].Role == "system" {
		return 1
	}
	return 0
}

// withSystem is the conversation with another system message, without one if text is empty.
func withSystem(messages []message, text string) []message {
	rest := messages[systemMessages(messages):]
	if text == "" {
		return rest
	}
	return append([]message{{"system", text}}, rest...)
}

func (t *talk) undo() {
	first := systemMessages(t.messages)
	for n := len(t.messages) - 1; n >= first; n-- {
		if t.messages[n].Role == "user" {
			t.messages = t.messages[:n]
			return
		}
	}
	t.say("[nothing to take back]")
}

func (t *talk) save(name string) {
	if name == "" {
		t.say("[/save needs a file's name]")
		return
	}
	data, err := json.MarshalIndent(struct {
		Messages []message `json:"messages"`
	}{t.messages}, "", " ")
	if err == nil {
		err = os.WriteFile(name, append(data, '\n'), 0o666)
	}
	if err != nil {
		t.say("[%v]", err)
		return
	}
	t.say("[%d messages in %s]", len(t.messages), name)
}
