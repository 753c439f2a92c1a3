package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/chat"
)

const keyTemplate = "tokenizer.chat_template"

// templateCase is a conversation that both templates render.
type templateCase struct {
	name, messages, tools, extra string
	generate                     bool
}

const (
	caseTools = `[{"type": "function", "function": {"name": "get_weather", "description": "Current weather of a city", "parameters": {"type": "object",
 "properties": {"city": {"type": "string", "description": "Name of the city"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, "required": ["city"]}}},
 {"type": "function", "function": {"name": "add", "description": "Adds", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}}}]`
	caseCalls = `[{"role": "user", "content": "Weather in Graz?"},
 {"role": "assistant", "content": "", "tool_calls": [{"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Graz", "unit": "celsius"}}}]},
 {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "{\"temperature\": 21}"}]`
	caseThought = `[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4", "reasoning_content": "Two and two."},
 {"role": "user", "content": "And 3+3?"}]`
	caseTurns = `[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\nthere "}, {"role": "assistant", "content": " Hello!"},
 {"role": "user", "content": "Spell <|x|> & \"y\""}, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "日本語 🙂"}]`
)

// templateCases are the conversations whose renderings must be the source's. Templates may refuse any of them; then both must.
var templateCases = []templateCase{
	{"plain", `[{"role": "user", "content": "What is 2+2?"}]`, "", "", true},
	{"plain, no answer begun", `[{"role": "user", "content": "What is 2+2?"}]`, "", "", false},
	{"system", `[{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Hi"}]`, "", "", true},
	{"several turns", caseTurns, "", "", true},
	{"several turns, no system", `[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]`, "", "", true},
	{"complete", `[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]`, "", "", false},
	{"tools", `[{"role": "user", "content": "Weather in Graz?"}]`, caseTools, "", true},
	{"tools, system", `[{"role": "system", "content": "Use tools."}, {"role": "user", "content": "Weather in Graz?"}]`, caseTools, "", true},
	{"tool calls", caseCalls, caseTools, "", true},
	{"tool calls answered", strings.TrimSuffix(caseCalls, "]") + `, {"role": "assistant", "content": "21 degrees."}, {"role": "user", "content": "Thanks"}]`, caseTools, "", true},
	{"reasoning", caseThought, "", "", true},
	{"reasoning on", caseThought, "", `{"enable_thinking": true, "thinking": true, "reasoning_effort": "high"}`, true},
	{"reasoning off", caseThought, "", `{"enable_thinking": false, "thinking": false, "reasoning_effort": "low"}`, true},
	{"reasoning written out", `[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\n4"}, {"role": "user", "content": "ok"}]`, "", "", true},
}

// templatesOf are a model's templates by name; "" is the default one.
func templatesOf(md *gguf.Metadata) map[string]string {
	out := map[string]string{}
	for key, v := range md.All() {
		text, ok := v.(string)
		name, found := strings.CutPrefix(key, keyTemplate)
		if found && ok && text != "" && (name == "" || name[0] == '.') {
			out[strings.TrimPrefix(name, ".")] = text
		}
	}
	return out
}

// checkTemplate asks whether the file's chat templates write what the source's do.
func checkTemplate(ctx context.Context, s *Subject) Result {
	mine := templatesOf(s.Source.Metadata())
	if s.Reference == nil {
		return s.templatesWork(ctx, mine)
	}
	theirs := templatesOf(s.Reference.Metadata())
	if len(mine)+len(theirs) == 0 {
		return NewResult(NotApplicable, "neither file nor source has a chat template")
	}
	t := &templates{ctx: ctx, mineBOS: specialsOf(s.Source.Metadata()), theirBOS: specialsOf(s.Reference.Metadata()), r: NewResult(Pass, "")}
	all := maps.Clone(mine)
	maps.Copy(all, theirs)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.compare(name, mine[name], theirs[name])
	}
	if err := ctx.Err(); err != nil {
		return failure(err)
	}
	t.r.Figure = Number(t.rendered)
	t.r.summarize(fmt.Sprintf("%d templates, %d renderings are the source's, %d refusals too", len(all), t.rendered, t.refused))
	return t.r
}

// templatesWork judges templates without a source: they must parse and render a plain conversation.
func (s *Subject) templatesWork(ctx context.Context, mine map[string]string) Result {
	if len(mine) == 0 {
		return NewResult(NotApplicable, "the file has no chat template")
	}
	r := NewResult(Pass, "")
	for _, name := range slices.Sorted(maps.Keys(mine)) {
		if _, err := render(ctx, mine[name], templateCases[0], specialsOf(s.Source.Metadata())); err != nil {
			r.Find(Problem{Expert: -1, warn: true, Damage: "template", Message: fmt.Sprintf("%s: a plain conversation: %v", called(name), err)})
		}
	}
	r.summarize(fmt.Sprintf("%d templates render; no source to compare with", len(mine)))
	return r
}

// bosEOS are the texts of the tokens that templates write.
type bosEOS struct{ bos, eos string }

func specialsOf(md *gguf.Metadata) bosEOS {
	tokens, _ := gguf.Value[[]string](md, vocabPrefix+"tokens")
	text := func(kind string) string {
		id, err := md.Int(vocabPrefix + kind + "_token_id")
		if err != nil || id < 0 || id >= int64(len(tokens)) {
			return ""
		}
		return tokens[id]
	}
	return bosEOS{text("bos"), text("eos")}
}

func called(name string) string {
	if name == "" {
		return "chat template"
	}
	return "chat template " + name
}

// templates compares templates.
type templates struct {
	ctx               context.Context
	mineBOS, theirBOS bosEOS
	rendered, refused int
	r                 Result
}

func (t *templates) find(warn bool, format string, args ...any) {
	t.r.Find(Problem{Expert: -1, warn: warn, Damage: "template", Message: fmt.Sprintf(format, args...)})
}

func (t *templates) compare(name, mine, theirs string) {
	switch {
	case mine == "":
		t.find(false, "%s is missing, the source has one", called(name))
		return
	case theirs == "":
		t.find(true, "%s is not the source's, which has none", called(name))
		return
	}
	before := t.rendered
	for _, c := range templateCases {
		got, err := render(t.ctx, mine, c, t.mineBOS)
		want, err2 := render(t.ctx, theirs, c, t.theirBOS)
		switch {
		case err == nil && err2 == nil && got == want:
			t.rendered++
		case err != nil && err2 != nil:
			t.refused++
			var syntax *chat.SyntaxError
			if mine != theirs && errors.As(err, &syntax) && !errors.As(err2, &syntax) {
				t.find(false, "changed: %s no longer parses: %v", called(name), err)
				return
			}
		case err != nil:
			t.find(false, "changed: %s refuses %q, which the source's renders: %v", called(name), c.name, err)
			return
		case err2 != nil:
			t.find(false, "changed: %s renders %q, which the source's refuses: %v", called(name), c.name, err2)
			return
		default:
			t.find(false, "changed: %s renders %q as %s, the source's as %s", called(name), c.name, around(got, want), around(want, got))
			return
		}
	}
	if mine != theirs {
		t.find(bare(mine) == bare(theirs), "changed: %s has another text than the source's, though %d cases render alike: %s, the source's is %s",
			called(name), t.rendered-before, around(mine, theirs), around(theirs, mine))
	}
}

var (
	remark = regexp.MustCompile(`(?s)\{#.*?#\}`)
	blanks = regexp.MustCompile(`\s+`)
)

// bare is a template's text without remarks and with every white space the same.
func bare(text string) string { return blanks.ReplaceAllString(remark.ReplaceAllString(text, ""), " ") }

// around is the part of a where it parts from b.
func around(a, b string) string {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	from, to := max(0, at-24), min(len(a), at+48)
	out := strings.ToValidUTF8(a[from:to], "")
	if from > 0 {
		out = "..." + out
	}
	if to < len(a) {
		out += "..."
	}
	return fmt.Sprintf("%q", out)
}

// render renders a case as transformers would, on a fixed day.
func render(ctx context.Context, source string, c templateCase, special bosEOS) (string, error) {
	tmpl, err := chat.Parse(source)
	if err != nil {
		return "", err
	}
	in := chat.Input{Messages: []byte(c.messages), AddGenerationPrompt: c.generate, BOS: special.bos, EOS: special.eos,
		Now: func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }}
	if c.tools != "" {
		in.Tools = []byte(c.tools)
	}
	if c.extra != "" {
		in.Extra = []byte(c.extra)
	}
	return tmpl.Render(ctx, in)
}
