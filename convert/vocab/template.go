package vocab

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// namedTemplate is one of several chat templates.
type namedTemplate struct{ name, text string }

const defaultTemplate = "default"

// addTemplates writes the templates; as the reference does, it leaves out empty texts, though not their names.
func (s *specialVocab) addTemplates(md *gguf.Metadata) {
	var names []string
	for _, t := range s.templates {
		if t.text != "" {
			md.Set("tokenizer.chat_template."+t.name, t.text)
		}
		if !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
	}
	if len(names) > 0 {
		md.Set("tokenizer.chat_templates", names)
	}
	if s.template != nil && *s.template != "" {
		md.Set("tokenizer.chat_template", *s.template)
	}
}

// loadTemplate finds the chat template: tokenizer_config.json's wins over chat_template.jinja
// with its additional ones, and that over chat_template.json.
func (v *Vocab) loadTemplate(f *files) error {
	tmpl, err := templateFiles(f.fsys)
	if err != nil {
		return err
	}
	if f.config.has("chat_template") {
		tmpl = f.config.get("chat_template")
	}
	switch t := tmpl.(type) {
	case nil:
	case string:
		v.special.template = &t
	case []any:
		v.addNamed(t)
	default:
		v.warn("tokenizer_config.json: chat_template is neither text nor a list and left out")
	}
	if v.special.template != nil {
		v.checkTemplate("chat template", *v.special.template)
	}
	for _, t := range v.special.templates {
		v.checkTemplate("chat template "+t.name, t.text)
	}
	return nil
}

func templateFiles(fsys fs.FS) (any, error) {
	jinja, err := readJinja(fsys, "chat_template.jinja")
	if err != nil {
		return nil, err
	}
	if jinja == nil {
		o, err := readObject(fsys, "chat_template.json")
		return o.get("chat_template"), err
	}
	names, _ := fs.Glob(fsys, "additional_chat_templates/*.jinja")
	if len(names) == 0 {
		return *jinja, nil
	}
	list := []any{map[string]any{"name": defaultTemplate, "template": *jinja}}
	for _, name := range names {
		text, err := readJinja(fsys, name)
		if err != nil {
			return nil, err
		}
		if text != nil {
			list = append(list, map[string]any{"name": strings.TrimSuffix(path.Base(name), ".jinja"), "template": *text})
		}
	}
	return list, nil
}

// readJinja reads a text file as Python does: every line end becomes a line feed.
func readJinja(fsys fs.FS, name string) (*string, error) {
	data, err := readText(fsys, name)
	if data == nil || err != nil {
		return nil, err
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	return &text, nil
}

// addNamed takes a list of {name, template}.
func (v *Vocab) addNamed(list []any) {
	for i, item := range list {
		m, _ := item.(map[string]any)
		name, _ := m["name"].(string)
		text, ok := m["template"].(string)
		if name == "" || !ok {
			v.warn("tokenizer_config.json: entry %d of chat_template has no name or text and is left out", i)
			continue
		}
		name = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
				return r
			}
			return '_'
		}, name)
		if name == defaultTemplate {
			v.special.template = &text
			continue
		}
		v.special.templates = append(v.special.templates, namedTemplate{name, text})
	}
}

// checkTemplate warns of a template that cannot parse: a tag that is not closed, or blocks that do not nest.
func (v *Vocab) checkTemplate(what, text string) {
	if err := checkJinja(text); err != nil {
		v.warn("%s does not parse: %v (converted unchanged)", what, err)
	}
}

// jinjaBlocks are the statements that have an end.
var jinjaBlocks = []string{"if", "for", "macro", "filter", "call", "generation", "block", "with", "raw", "autoescape"}

func checkJinja(text string) error {
	var open []string
	closers := map[string]string{"{{": "}}", "{%": "%}", "{#": "#}"}
	for {
		at := strings.IndexByte(text, '{')
		if at < 0 || at+1 == len(text) {
			break
		}
		mark := text[at : at+2]
		closer, ok := closers[mark]
		if !ok {
			text = text[at+1:]
			continue
		}
		body := text[at+2:]
		end := closing(body, closer)
		if end < 0 {
			return fmt.Errorf("%q is not closed", mark)
		}
		if mark == "{%" {
			var err error
			if open, err = statement(open, strings.Trim(body[:end], "-+ \t\r\n")); err != nil {
				return err
			}
		}
		text = body[end+2:]
	}
	if len(open) > 0 {
		return fmt.Errorf("%q has no end", open[len(open)-1])
	}
	return nil
}

// closing is the position of the closing mark outside of strings; comments have no strings.
func closing(body, closer string) int {
	if closer == "#}" {
		return strings.Index(body, closer)
	}
	quote := byte(0)
	for i := 0; i+1 < len(body); i++ {
		switch c := body[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote == 0 && body[i:i+2] == closer && !(closer == "}}" && strings.HasPrefix(body[i:], "}}}")):
			return i
		}
	}
	return -1
}

// statement keeps the stack of open blocks.
func statement(open []string, stmt string) ([]string, error) {
	word, rest, _ := strings.Cut(stmt, " ")
	switch {
	case word == "":
		return open, errors.New("a statement is empty")
	case word == "for" && !strings.Contains(" "+strings.Join(strings.Fields(rest), " "), " in ") || (word == "if" || word == "elif") && strings.TrimSpace(rest) == "":
		return open, fmt.Errorf("statement %q is not complete", stmt)
	case slices.Contains(jinjaBlocks, word) || word == "set" && !strings.Contains(rest, "="):
		return append(open, word), nil
	case strings.HasPrefix(word, "end"):
		if len(open) == 0 || open[len(open)-1] != word[3:] {
			return open, fmt.Errorf("%q closes nothing", word)
		}
		return open[:len(open)-1], nil
	}
	return open, nil
}
