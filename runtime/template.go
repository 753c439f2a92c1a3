package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/chat"
	"github.com/moeconv/moeconv/runtime/token"
)

const keyTemplate = "tokenizer.chat_template"

// ChatML is the template of models that bring none, as llama.cpp has it.
const ChatML = "{%- for message in messages -%}" +
	"{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}" +
	"{%- endfor -%}" +
	"{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"

// ChatTemplate is a chat template together with the tokenizer that reads what it writes.
type ChatTemplate struct {
	// Own is false for a model without a template of its own, where ChatML stands in.
	Own bool
	// Stop ends an answer, where no single token of the vocabulary does.
	Stop []string
	// Answers is how the model marks reasoning and calls of tools.
	Answers  *chat.Format
	template *chat.Template
	tok      *token.Tokenizer
	bos, eos string
}

// TemplateError says that a model has no chat template of that name.
type TemplateError struct {
	Name  string
	Names []string // those it has
}

func (e *TemplateError) Error() string {
	if len(e.Names) == 0 {
		return fmt.Sprintf("runtime: there is no chat template %q, the model has none at all", e.Name)
	}
	return fmt.Sprintf("runtime: there is no chat template %q, the model has %s", e.Name, strings.Join(e.Names, ", "))
}

// ChatTemplate is the model's template of that name; "" is the default one, or the one for tools where there is such
// and the conversation has tools.
func (m *Model) ChatTemplate(name string, tools bool) (*ChatTemplate, error) {
	source, err := m.templateSource(name, tools)
	if err != nil {
		return nil, err
	}
	if source != "" {
		return m.NewChatTemplate(source)
	}
	t, err := m.NewChatTemplate(ChatML)
	if err != nil {
		return nil, err
	}
	t.Own, t.Stop = false, []string{"<|im_end|>"}
	return t, nil
}

// NewChatTemplate makes a template of source, with the model's tokenizer.
func (m *Model) NewChatTemplate(source string) (*ChatTemplate, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	t := &ChatTemplate{Own: true, Answers: chat.FormatOf(source), tok: tok}
	if t.template, err = chat.Parse(source); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if id, ok := tok.BOS(); ok {
		t.bos = tok.TokenText(id)
	}
	if id, ok := tok.EOS(); ok {
		t.eos = tok.TokenText(id)
	}
	return t, nil
}

// templateSource is empty for a model without any template.
func (m *Model) templateSource(name string, tools bool) (string, error) {
	names, err := m.templateNames()
	if err != nil {
		return "", err
	}
	if name == "" && tools && slices.Contains(names, "tool_use") {
		name = "tool_use"
	}
	key := keyTemplate
	switch {
	case name == "" || name == "default":
		if !slices.Contains(names, "default") {
			return "", nil
		}
	case !slices.Contains(names, name):
		return "", &TemplateError{name, names}
	default:
		key += "." + name
	}
	source, err := gguf.Value[string](m.md, key)
	if err != nil {
		return "", fmt.Errorf("runtime: %w", err)
	}
	if !strings.Contains(source, "{") {
		return "", &gguf.UnsupportedError{Msg: fmt.Sprintf("runtime: key %s: %q is the name of a template, not a template", key, source)}
	}
	return source, nil
}

// templateNames are the names of the model's templates.
func (m *Model) templateNames() ([]string, error) {
	var names []string
	if source, err := gguf.Value[string](m.md, keyTemplate); err == nil && source != "" {
		names = append(names, "default")
	}
	if _, ok := m.md.Get(keyTemplate + "s"); ok {
		more, err := gguf.Value[[]string](m.md, keyTemplate+"s")
		if err != nil {
			return nil, fmt.Errorf("runtime: %w", err)
		}
		for _, name := range more {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// Render is the conversation as the model reads it. BOS and EOS of in are filled in.
func (t *ChatTemplate) Render(ctx context.Context, in chat.Input) (string, error) {
	in.BOS, in.EOS = t.bos, t.eos
	text, err := t.template.Render(ctx, in)
	if err != nil {
		return "", fmt.Errorf("runtime: %w", err)
	}
	return text, nil
}

// Tokens is Render's text as ids.
func (t *ChatTemplate) Tokens(ctx context.Context, in chat.Input) ([]int32, error) {
	text, err := t.Render(ctx, in)
	if err != nil {
		return nil, err
	}
	return t.Encode(text)
}

// Encode is what Render has written as ids: special tokens are what they are written as, and BOS stands once, whether
// the template writes it or the vocabulary asks for it.
func (t *ChatTemplate) Encode(text string) ([]int32, error) {
	if t.tok.AddBOS() && t.bos != "" {
		text = strings.TrimPrefix(text, t.bos)
	}
	ids, err := t.tok.Encode(text, token.Options{ParseSpecial: true})
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if id, ok := t.tok.BOS(); ok && t.tok.AddBOS() {
		ids = slices.Insert(ids, 0, id)
	}
	if len(ids) == 0 {
		return nil, errors.New("runtime: the chat template makes an empty text of the conversation")
	}
	return ids, nil
}
