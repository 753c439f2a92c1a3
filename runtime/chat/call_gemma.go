package chat

import (
	"encoding/json"
	"strings"
)

const gemmaQuote = `<|"|>`

// gemma is Gemma 4's call:NAME{NAME:VALUE,...}, with a token for quotes.
var gemma = dialect{
	in:     containsAll("<|tool_call>call:"),
	thinks: []mark{{"<|channel>thought", "<channel|>"}},
	calls:  []callMark{{mark: mark{"<|tool_call>", "<tool_call|>"}, read: readGemma}},
	drops:  []string{"<channel|>"},
	tokens: []string{"<|channel>", gemmaQuote},
}

func readGemma(body string, _ tools) ([]ToolCall, bool) {
	text, found := strings.CutPrefix(strings.TrimSpace(body), "call:")
	name, _, _ := strings.Cut(text, "{")
	g := gemmaValues{text[len(name):]}
	v, ok := g.value(0)
	if !found || !ok || g.rest != "" || v[0] != '{' {
		return nil, false
	}
	return []ToolCall{{Name: strings.TrimSpace(name), Arguments: string(v)}}, true
}

// gemmaValues reads values that have no spaces around them.
type gemmaValues struct{ rest string }

func (g *gemmaValues) take(text string) bool {
	rest, ok := strings.CutPrefix(g.rest, text)
	g.rest = rest
	return ok
}

func (g *gemmaValues) value(depth int) (json.RawMessage, bool) {
	switch {
	case depth > maxNesting:
		return nil, false
	case g.take(gemmaQuote):
		text, rest, found := strings.Cut(g.rest, gemmaQuote)
		g.rest = rest
		return quoted(text), found
	case g.take("{"):
		var a argumentList
		for more := !g.take("}"); more; more = g.take(",") || !g.take("}") {
			key, rest, found := strings.Cut(g.rest, ":")
			g.rest = rest
			v, ok := g.value(depth + 1)
			if !found || !ok || !strings.HasPrefix(g.rest, ",") && !strings.HasPrefix(g.rest, "}") {
				return nil, false
			}
			a.add(strings.ReplaceAll(strings.TrimSpace(key), gemmaQuote, ""), v)
		}
		return json.RawMessage(a.json()), true
	case g.take("["):
		items := []string{}
		for more := !g.take("]"); more; more = g.take(",") || !g.take("]") {
			v, ok := g.value(depth + 1)
			if !ok || !strings.HasPrefix(g.rest, ",") && !strings.HasPrefix(g.rest, "]") {
				return nil, false
			}
			items = append(items, string(v))
		}
		return json.RawMessage("[" + strings.Join(items, ", ") + "]"), true
	}
	end := strings.IndexAny(g.rest, ",}]")
	if end < 0 {
		return nil, false
	}
	word := strings.TrimSpace(g.rest[:end])
	g.rest = g.rest[end:]
	return json.RawMessage(word), json.Valid([]byte(word))
}
