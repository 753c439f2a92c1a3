package chat

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

const weather = `[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}}}}]`

// take parses an answer that comes in pieces of random lengths.
func take(f *Format, prompt, toolList, answer string, rng *rand.Rand) (all Delta) {
	p := f.NewParser(prompt, []byte(toolList))
	add := func(d Delta) {
		all.Content += d.Content
		all.Reasoning += d.Reasoning
		all.Calls = append(all.Calls, d.Calls...)
	}
	for answer != "" {
		n := 1 + rng.IntN(min(len(answer), 9))
		add(p.Push(answer[:n]))
		answer = answer[n:]
	}
	add(p.Flush())
	return all
}

// TestAnswersOfTemplates: calls as the templates of real models write them, which is how the models do, are read again.
func TestAnswersOfTemplates(t *testing.T) {
	dir := testdata.Path("templates")
	var rendered map[string]map[string]rendered
	readJSON(t, filepath.Join(dir, "rendered.json"), &rendered)
	rng := rand.New(rand.NewPCG(1, 2))
	read := 0
	for name, cases := range rendered {
		source, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f, out := FormatOf(string(source)), cases["tools"].Out
		at := max(strings.LastIndex(out, "Zürich"), strings.LastIndex(out, `Z\u00fcrich`))
		if at < 0 || len(f.calls) == 0 && !f.harmony {
			continue
		}
		begin, end := -1, 0
		if f.harmony {
			begin = strings.LastIndex(out[:at], " to=functions.get_weather")
			end = at + strings.Index(out[at:], "<|call|>")
		}
		for _, m := range f.calls {
			if i := strings.LastIndex(out[:at], m.begin); i > begin && (!m.whole || begin < 0) {
				begin = i
				if m.whole {
					begin = strings.LastIndex(out[:at], `{"name"`)
				}
				if end = at + strings.Index(out[at:], m.end) + len(m.end); m.end == "" {
					end, _ = earliest(out[at:], []string{"</s>", "<|eot_id|>", "<|im_end|>"})
					end += at
				}
			}
		}
		if name == "MiniMax-M3.jinja" { // marks of its own between all tags; its calls stay text
			continue
		}
		if begin < 0 || end <= begin {
			t.Errorf("%s: no calls", name)
			continue
		}
		got := take(f, "", weather, out[begin:end], rng)
		var arguments any
		if len(got.Calls) != 1 || got.Content != "" || json.Unmarshal([]byte(got.Calls[0].Arguments), &arguments) != nil {
			t.Errorf("%s: %q: %+v", name, out[begin:end], got)
			continue
		}
		if want := (map[string]any{"city": "Zürich", "days": 2.0}); got.Calls[0].Name != "get_weather" || !reflect.DeepEqual(arguments, want) {
			t.Errorf("%s: %+v", name, got.Calls[0])
		}
		read++
	}
	t.Logf("the calls of %d templates were read", read)
	if read == 0 || testdata.Full() && read < 41 {
		t.Errorf("%d templates", read)
	}
}

// TestAnswers: reasoning, calls and content, and what only looks like them.
func TestAnswers(t *testing.T) {
	const (
		qwen    = "<think></think> <tool_call></tool_call>"
		mistral = "[TOOL_CALLS] [THINK] [/THINK]"
		oss     = "<|start|><|channel|><|message|>"
		llama   = `ipython "parameters": `
		kimi    = "<|tool_calls_section_begin|>"
	)
	call := func(arguments string) []ToolCall { return []ToolCall{{"", "get_weather", arguments}} }
	for _, c := range []struct {
		name, source, prompt, tools, answer string
		want                                Delta
	}{
		{"plain", qwen, "", weather, " Hello\n there \n", Delta{Content: " Hello\n there \n"}},
		{"reasoning", qwen, "", "", "<think>\na b\n</think>\n\nc ", Delta{Content: "c ", Reasoning: "a b"}},
		{"begun in the prompt", qwen, "x<think>\n", "", "a < b\n</think>\n\nc", Delta{Content: "c", Reasoning: "a < b"}},
		{"never ended", qwen, "x<think>", "", "a\n", Delta{Reasoning: "a"}},
		{"not at the start", qwen, "", "", "a <think>b</think>", Delta{Content: "a <think>b</think>"}},
		{"no such format", "", "", weather, `<think>a</think><tool_call>{"name":"get_weather","arguments":{}}</tool_call>`,
			Delta{Content: `<think>a</think><tool_call>{"name":"get_weather","arguments":{}}</tool_call>`}},
		{"text and two calls", qwen, "", weather, "<think>a</think>\nb\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"days\": 1}}\n</tool_call>\n<tool_call>{\"name\": \"get_weather\", \"arguments\": {}}</tool_call>\n",
			Delta{"b", "a", append(call(`{"days": 1}`), call(`{}`)...)}},
		{"no tools", qwen, "", "", `<tool_call>{"name":"get_weather","arguments":{}}</tool_call>`, Delta{Content: `<tool_call>{"name":"get_weather","arguments":{}}</tool_call>`}},
		{"no such tool", qwen, "", weather, `<tool_call>{"name":"x","arguments":{}}</tool_call> y`, Delta{Content: `<tool_call>{"name":"x","arguments":{}}</tool_call> y`}},
		{"broken JSON", qwen, "", weather, "a <tool_call>{\"name\": \"get_weather\", </tool_call>\n", Delta{Content: "a <tool_call>{\"name\": \"get_weather\", </tool_call>\n"}},
		{"arguments that are no object", qwen, "", weather, `<tool_call>{"name":"get_weather","arguments":[1]}</tool_call>`, Delta{Content: `<tool_call>{"name":"get_weather","arguments":[1]}</tool_call>`}},
		{"cut off", qwen, "", weather, `a <tool_call>{"name":"get_wea`, Delta{Content: `a <tool_call>{"name":"get_wea`}},
		{"cut off marker", qwen, "", weather, `a <tool_ca`, Delta{Content: `a <tool_ca`}},
		{"end missing", qwen, "", weather, `<tool_call>{"name":"get_weather","arguments":{}}`, Delta{Calls: call(`{}`)}},
		{"more than JSON", qwen, "", weather, `<tool_call>{"name":"get_weather","arguments":{}}}</tool_call>`, Delta{Content: `<tool_call>{"name":"get_weather","arguments":{}}}</tool_call>`}},
		{"arguments as text", qwen, "", weather, `<tool_call>{"name":"get_weather","arguments":"{\"days\":2}"}</tool_call>`, Delta{Calls: call(`{"days":2}`)}},
		{"coder", qwen, "", weather, "<tool_call>\n<function=get_weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n12\n</parameter>\n</function>\n</tool_call>", Delta{Calls: call(`{"city": "12", "days": 12}`)}},
		{"coder, broken", qwen, "", weather, "<tool_call><function=get_weather><parameter=city>a</function></tool_call>", Delta{Content: "<tool_call><function=get_weather><parameter=city>a</function></tool_call>"}},
		{"mistral", mistral, "", weather, `[THINK]a[/THINK][TOOL_CALLS][{"name": "get_weather", "arguments": {"days": 2}, "id": "123456789"}]`, Delta{Reasoning: "a", Calls: []ToolCall{{"123456789", "get_weather", `{"days": 2}`}}}},
		{"mistral, names", mistral, "", weather, `[TOOL_CALLS]get_weather[ARGS]{"days": 2}[TOOL_CALLS]get_weather[CALL_ID]a[ARGS]{}`, Delta{Calls: []ToolCall{{"", "get_weather", `{"days": 2}`}, {"a", "get_weather", `{}`}}}},
		{"kimi", kimi, "", weather, `b<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:3<|tool_call_argument_begin|>{"days": 2}<|tool_call_end|><|tool_calls_section_end|>`, Delta{Content: "b", Calls: []ToolCall{{"functions.get_weather:3", "get_weather", `{"days": 2}`}}}},
		{"llama", llama, "", weather, `{"name": "get_weather", "parameters": {"days": 2}}`, Delta{Calls: call(`{"days": 2}`)}},
		{"llama, tag", llama, "", weather, `<|python_tag|>{"name": "get_weather", "parameters": {"days": 2}}`, Delta{Calls: call(`{"days": 2}`)}},
		{"llama, other JSON", llama, "", weather, ` {"a": 1} `, Delta{Content: ` {"a": 1} `}},
		{"llama, in a text", llama, "", weather, `so: {"name": "get_weather", "parameters": {}}`, Delta{Content: `so: {"name": "get_weather", "parameters": {}}`}},
		{"harmony", oss, "", weather, "<|channel|>analysis<|message|>think<|end|><|start|>assistant<|channel|>final<|message|>say it<|return|>", Delta{Content: "say it", Reasoning: "think"}},
		{"harmony, call", oss, "", weather, `<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"days":2}<|call|>`, Delta{Reasoning: "a", Calls: call(`{"days":2}`)}},
		{"harmony, call first", oss, "", weather, ` to=functions.get_weather<|channel|>commentary json<|message|>{"days":2}`, Delta{Calls: call(`{"days":2}`)}},
		{"harmony, broken call", oss, "", weather, `<|channel|>commentary to=functions.get_weather<|message|>{"days":`, Delta{Content: `<|channel|>commentary to=functions.get_weather<|message|>{"days":`}},
		{"harmony, none", oss, "", weather, "just text", Delta{Content: "just text"}},
		{"harmony, cut off", oss, "", weather, "<|channel|>ana", Delta{Content: "<|channel|>ana"}},
	} {
		for seed := range uint64(20) {
			if got := take(FormatOf(c.source), c.prompt, c.tools, c.answer, rand.New(rand.NewPCG(seed, 1))); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
				break
			}
		}
	}
}

// FuzzAnswer: whatever the answer, nothing of it is lost where it has no marks, and no piece comes out before its time.
func FuzzAnswer(f *testing.F) {
	f.Add("<think>a</think>b", uint64(1))
	f.Add("a <tool_call>{\"name\":\"get_weather\",\"arguments\":{}}</tool_call>", uint64(2))
	f.Add("<|channel|>final<|message|>x<|end|>", uint64(3))
	f.Add("[TOOL_CALLS]get_weather[ARGS]{}", uint64(4))
	f.Fuzz(func(t *testing.T, answer string, seed uint64) {
		for _, source := range []string{"", "<think></think><tool_call></tool_call>", "[TOOL_CALLS]", "<|channel|><|message|>", `ipython "parameters": `, deepSeekCalls} {
			format := FormatOf(source)
			whole := take(format, "", weather, answer, rand.New(rand.NewPCG(seed, 1)))
			p := format.NewParser("", []byte(weather))
			first, last := p.Push(answer), p.Flush()
			if got := first.Content + last.Content; got != whole.Content || first.Reasoning+last.Reasoning != whole.Reasoning || len(first.Calls)+len(last.Calls) != len(whole.Calls) {
				t.Errorf("%q at once: %+v %+v, in pieces: %+v", answer, first, last, whole)
			}
			if source == "" && whole.Content != answer {
				t.Errorf("%q became %q", answer, whole.Content)
			}
		}
	})
}
