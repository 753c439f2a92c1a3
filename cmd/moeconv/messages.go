package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
)

// message is one of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// conversation is what a messages file holds; a list of messages alone is one, too. Messages stay as they are written,
// for templates that read more of them than role and content.
type conversation struct {
	Messages json.RawMessage `json:"messages"`
	Tools    json.RawMessage `json:"tools,omitempty"`
}

func readConversation(name string) (conversation, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return conversation{}, err
	}
	data = bytes.TrimSpace(data)
	c := conversation{Messages: data}
	if len(data) == 0 || data[0] != '[' {
		c = conversation{}
		err = json.Unmarshal(data, &c)
	}
	var list []map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(c.Messages, &list)
	}
	if err == nil && len(list) == 0 {
		err = errors.New("no messages")
	}
	if err != nil {
		return conversation{}, withHint(fmt.Errorf("%s: %w", name, err), `a messages file is [{"role": "user", "content": "..."}, ...] or {"messages": [...], "tools": [...]}`)
	}
	return c, nil
}

// templateFlags choose how a conversation is written for the model.
type templateFlags struct {
	template, variables string
}

func (t *templateFlags) register(f *pflag.FlagSet) {
	f.StringVar(&t.template, "chat-template", "", "`NAME` of one of the model's chat templates, or a file with another one")
	f.StringVar(&t.variables, "chat-template-kwargs", "", "further variables of the chat template, a `JSON` object")
}

// of is the template to use; a model without one gets ChatML, with a warning.
func (t *templateFlags) of(a *app, m *runtime.Model, tools bool) (*runtime.ChatTemplate, error) {
	if strings.ContainsAny(t.template, `./\`) {
		source, err := os.ReadFile(t.template)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, withHint(err, "--chat-template takes the name of a template, or a file's name with a dot or slash in it")
		}
		if err != nil {
			return nil, err
		}
		return m.NewChatTemplate(string(source))
	}
	tmpl, err := m.ChatTemplate(t.template, tools)
	if err == nil && !tmpl.Own {
		a.diag("warning: the model has no chat template; ChatML stands in")
	}
	return tmpl, err
}

// input is a conversation that the model shall answer.
func (t *templateFlags) input(c conversation) (chat.Input, error) {
	in := chat.Input{Messages: c.Messages, Tools: c.Tools, AddGenerationPrompt: true}
	if t.variables == "" {
		return in, nil
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(t.variables), &object); err != nil {
		return in, usageError{fmt.Errorf("--chat-template-kwargs: %w", err)}
	}
	in.Extra = []byte(t.variables)
	return in, nil
}
