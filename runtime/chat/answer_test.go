package chat

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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

// callsOf are the templates that write calls, by what stands before the last one and what ends it, where that is no mark
// of the format.
var callsOf = map[string][2]string{
	"openai-gpt-oss-120b.jinja":                      {" to=functions.get_weather", "<|call|>"},
	"muse-glimmer.jinja":                             {" to=get_weather", "<|eot|>"},
	"meetkai-functionary-medium-v3.1.jinja":          {"<function=get_weather>", "<|eom_id|>"},
	"meetkai-functionary-medium-v3.2.jinja":          {">>>get_weather", "<|eot_id|>"},
	"openbmb-MiniCPM5-1B.jinja":                      {"<function name=\"get_weather", "<|im_end|>"},
	"meta-llama-Llama-3.1-8B-Instruct.jinja":         {`{"name": "get_weather"`, "<|eot_id|>"},
	"meta-llama-Llama-3.2-3B-Instruct.jinja":         {`{"name": "get_weather"`, "<|eot_id|>"},
	"meta-llama-Llama-3.3-70B-Instruct.jinja":        {`{"name": "get_weather"`, "<|eot_id|>"},
	"fireworks-ai-llama-3-firefunction-v2.jinja":     {" functools[", "<|eot_id|>"},
	"CohereForAI-c4ai-command-r-plus-tool_use.jinja": {"Action:\n```json", "\n<|START_OF_TURN_TOKEN|>"},
	"deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja": {deepSeekCalls, "<｜tool▁outputs▁begin｜>"}, // without an end, if it is one call
}

// silent are the templates that write no calls, or none that could be told from a text.
var silent = []string{
	"HuggingFaceTB-SmolLM3-3B", "LFM2-8B-A1B", "LFM2.5-Instruct", "google-gemma-2-2b-it", "ibm-granite-granite-3.3-2B-Instruct",
	"llama-cpp-rwkv-world", "microsoft-Phi-3.5-mini-instruct",
}

// TestAnswersOfTemplates: calls as the templates of real models write them, which is how the models do, are read again.
func TestAnswersOfTemplates(t *testing.T) {
	dir := testdata.Path("templates")
	var cases map[string]map[string]json.RawMessage
	readJSON(t, filepath.Join(dir, "cases.json"), &cases)
	var messages []json.RawMessage
	if err := json.Unmarshal(cases["tools"]["messages"], &messages); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.jinja"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	read := 0
	for _, path := range names {
		name := filepath.Base(path)
		if slices.Contains(silent, strings.TrimSuffix(name, ".jinja")) {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := FormatOf(string(source))
		answer := callIn(t, name, string(source), f, messages, cases["tools"]["tools"])
		got := take(f, "", string(cases["tools"]["tools"]), answer, rng)
		var arguments any
		if len(got.Calls) != 1 || strings.TrimSpace(got.Content) != "" || json.Unmarshal([]byte(got.Calls[0].Arguments), &arguments) != nil {
			t.Errorf("%s: %q: %+v", name, answer, got)
			continue
		}
		if want := (map[string]any{"city": "Zürich", "days": 2.0}); got.Calls[0].Name != "get_weather" || !reflect.DeepEqual(arguments, want) {
			t.Errorf("%s: %+v", name, got.Calls[0])
		}
		read++
	}
	t.Logf("the calls of %d templates were read", read)
	if read == 0 || testdata.Full() && read < 63 {
		t.Errorf("%d templates", read)
	}
}

// callIn is the call of the conversation as the template writes it.
func callIn(t *testing.T, name, source string, f *Format, messages []json.RawMessage, tools []byte) string {
	t.Helper()
	tmpl, err := Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(messages[1:])
	if err != nil {
		t.Fatal(err)
	}
	if name == "meetkai-functionary-medium-v3.2.jinja" || name == "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja" { // arguments as text; no calls beside a text
		data = []byte(strings.NewReplacer(`{"city":"Zürich","days":2}`, `"{\"city\": \"Zürich\", \"days\": 2}"`, `"content":""`, `"content":null`).Replace(string(data)))
	}
	out, err := tmpl.Render(t.Context(), Input{Messages: data, API: true, Tools: tools, BOS: "<s>", EOS: "</s>", Now: clock})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	at := max(strings.LastIndex(out, "Zürich"), strings.LastIndex(out, `Z\u00fcrich`))
	if at < 0 {
		t.Fatalf("%s: %q", name, out)
	}
	begin, end := -1, ""
	if marks, ok := callsOf[name]; ok {
		begin, end = strings.LastIndex(out[:at], marks[0]), marks[1]
	} else {
		for _, m := range f.calls {
			if i := strings.LastIndex(out[:at], m.begin); i > begin {
				begin, end = i, m.end
			}
		}
	}
	if begin < 0 {
		t.Fatalf("%s: no call in %q", name, out[max(0, at-200):])
	}
	length := 0
	if callsOf[name][1] != "" || end == "" {
		end, length = cmp.Or(end, "</s>"), 0
		if strings.Contains(name, "GigaChat") {
			end = "<|message_sep|>"
		}
	} else {
		length = len(end)
	}
	return out[begin : at+strings.Index(out[at:], end)+length]
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
	const (
		python = `[{"type":"function","function":{"name":"python"}}]`
		nested = `[{"type":"function","function":{"name":"put","parameters":{"properties":{"text":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}},"at":{"type":"object"}}}}}]`
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
		{"seed", "<seed:tool_call>", "", weather, "<seed:tool_call>\n<function=get_weather>\n<parameter=days>2</parameter>\n</function>\n</seed:tool_call>", Delta{Calls: call(`{"days": 2}`)}},
		{"glm", qwen, "", weather, "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>a <b</arg_value>\n<arg_key>days</arg_key><arg_value>2</arg_value></tool_call>", Delta{Calls: call(`{"city": "a <b", "days": 2}`)}},
		{"glm, broken", qwen, "", weather, "<tool_call>get_weather\n<arg_key>city</arg_key></tool_call>", Delta{Content: "<tool_call>get_weather\n<arg_key>city</arg_key></tool_call>"}},
		{"mistral, broken", mistral, "", weather, `[TOOL_CALLS]get_weather{"days": 2}`, Delta{Content: `[TOOL_CALLS]get_weather{"days": 2}`}},
		{"deepseek", deepSeekCalls, "", weather, "a<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"days\": 2}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", Delta{Content: "a", Calls: append(call(`{"days": 2}`), call(`{}`)...)}},
		{"deepseek, broken", deepSeekCalls, "", weather, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", Delta{Content: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"}},
		{"deepseek 3.2", "set dsml = '｜DSML｜'", "", weather, "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">12</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>", Delta{Calls: call(`{"city": "12", "days": 2}`)}},
		{"deepseek 3.2, broken", "set dsml = '｜DSML｜'", "", weather, "<｜DSML｜function_calls><｜DSML｜invoke name=\"get_weather\"></｜DSML｜function_calls>", Delta{Content: "<｜DSML｜function_calls><｜DSML｜invoke name=\"get_weather\"></｜DSML｜function_calls>"}},
		{"kimi, broken", kimi, "", weather, `<|tool_calls_section_begin|>x<|tool_calls_section_end|>y`, Delta{Content: `<|tool_calls_section_begin|>x<|tool_calls_section_end|>y`}},
		{"minimax", "<minimax:tool_call>", "", weather, "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">2</parameter>\n</invoke>\n<invoke name=\"get_weather\">\n</invoke>\n</minimax:tool_call>", Delta{Calls: append(call(`{"city": "2"}`), call(`{}`)...)}},
		{"minimax, broken", "<minimax:tool_call>", "", weather, "<minimax:tool_call><invoke name=\"get_weather\">x</invoke></minimax:tool_call>", Delta{Content: "<minimax:tool_call><invoke name=\"get_weather\">x</invoke></minimax:tool_call>"}},
		{"minimax 3", "]<]minimax[>[ <tool_call> </mm:think>", "", nested, "<mm:think>a</mm:think>b\n]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"put\">]<]minimax[>[<text>5]<]minimax[>[</text>]<]minimax[>[<tags>]<]minimax[>[<item>x]<]minimax[>[</item>]<]minimax[>[<item>1]<]minimax[>[</item>]<]minimax[>[</tags>]<]minimax[>[<at>]<]minimax[>[<x>1.5]<]minimax[>[</x>]<]minimax[>[</at>]<]minimax[>[</invoke>\n]<]minimax[>[<invoke name=\"put\">]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>",
			Delta{"b", "a", []ToolCall{{"", "put", `{"text": "5", "tags": ["x", "1"], "at": {"x": 1.5}}`}, {"", "put", `{}`}}}},
		{"minimax 3, broken", "]<]minimax[>[ <tool_call>", "", nested, "]<]minimax[>[<tool_call>]<]minimax[>[<invoke name=\"put\">]<]minimax[>[<text>5]<]minimax[>[</invoke>]<]minimax[>[</tool_call>", Delta{Content: "]<]minimax[>[<tool_call>]<]minimax[>[<invoke name=\"put\">]<]minimax[>[<text>5]<]minimax[>[</invoke>]<]minimax[>[</tool_call>"}},
		{"objects", "<tool_calls>", "", weather, `a <tool_calls>[{"name": "get_weather", "arguments": {}, "id": "7"}]</tool_calls>`, Delta{Content: "a", Calls: []ToolCall{{"7", "get_weather", "{}"}}}},
		{"hunyuan, older", "<tool_calls>", "", weather, "<tool_calls>\n<tool_call>function<tool_sep>get_weather\n```json\n{\"days\": 2}\n```\n</tool_call>\n</tool_calls>", Delta{Calls: call(`{"days": 2}`)}},
		{"hunyuan", "':opensource' '<tool_calls{}>'", "", weather, "<think:opensource>a</think:opensource><tool_calls:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n<arg_key:opensource>days</arg_key:opensource>\n<arg_value:opensource>2</arg_value:opensource>\n</tool_call:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>", Delta{Reasoning: "a", Calls: append(call(`{"days": 2}`), call(`{}`)...)}},
		{"hunyuan, broken", "':opensource' '<tool_calls{}>'", "", weather, "<tool_calls:opensource><tool_call:opensource>get_weather</tool_call:opensource></tool_calls:opensource>", Delta{Content: "<tool_calls:opensource><tool_call:opensource>get_weather</tool_call:opensource></tool_calls:opensource>"}},
		{"granite", "<|tool_call|>", "", weather, `<|tool_call|>[{"name": "get_weather", "arguments": {"days": 2}}]`, Delta{Calls: call(`{"days": 2}`)}},
		{"granite, response", "<|tool_call|></think>", "", weather, "<think>a</think><response>b c</response>", Delta{Content: "b c", Reasoning: "a"}},
		{"phi 4", "<|tool_call|>", "", weather, `<|tool_call|>[{"name": "get_weather", "arguments": {}}]<|/tool_call|>`, Delta{Calls: call(`{}`)}},
		{"granite, broken", "<|tool_call|>", "", weather, `<|tool_call|>[{"name": "get_weather"}]`, Delta{Content: `<|tool_call|>[{"name": "get_weather"}]`}},
		{"cohere", "<|START_ACTION|>", "x<|START_THINKING|>", weather, "a<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": {\"days\": 2}}\n]<|END_ACTION|>", Delta{Reasoning: "a", Calls: []ToolCall{{"0", "get_weather", `{"days": 2}`}}}},
		{"cohere, response", "<|START_ACTION|>", "", weather, "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b\nc<|END_RESPONSE|>", Delta{Content: "b\nc", Reasoning: "a"}},
		{"cohere, broken", "<|START_ACTION|>", "", weather, "<|START_ACTION|>[{\"tool_name\": \"get_weather\"}]<|END_ACTION|>", Delta{Content: "<|START_ACTION|>[{\"tool_name\": \"get_weather\"}]<|END_ACTION|>"}},
		{"command r+", "Action: ```json tool_name", "", weather, "Action:\n```json\n[{\"tool_name\": \"get_weather\", \"parameters\": {}}]\n```", Delta{Calls: call(`{}`)}},
		{"apertus", "<|tools_prefix|>", "", weather, `<|inner_prefix|>a<|inner_suffix|><|tools_prefix|>[{"get_weather": {"days": 2}}, {"get_weather": {}}]<|tools_suffix|>`, Delta{Reasoning: "a", Calls: append(call(`{"days": 2}`), call(`{}`)...)}},
		{"apertus, broken", "<|tools_prefix|>", "", weather, `<|tools_prefix|>[{"get_weather": 1}]<|tools_suffix|>`, Delta{Content: `<|tools_prefix|>[{"get_weather": 1}]<|tools_suffix|>`}},
		{"solar", "<|tool_calls|><|tool_call:begin|>", "", weather, `<|think|>a<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>x1<|tool_call:name|>get_weather<|tool_call:args|>{"days": 2}<|tool_call:end|><|calls|>`, Delta{Reasoning: "a", Calls: []ToolCall{{"x1", "get_weather", `{"days": 2}`}}}},
		{"solar, content", "<|tool_calls|><|tool_call:begin|>", "", weather, `<|think|>a<|end|><|begin|>assistant<|content|>b<|end|>`, Delta{Content: "b", Reasoning: "a"}},
		{"solar, broken", "<|tool_calls|><|tool_call:begin|>", "", weather, `<|tool_calls|><|tool_call:begin|>get_weather<|tool_call:end|><|calls|>`, Delta{Content: `<|tool_calls|><|tool_call:begin|>get_weather<|tool_call:end|><|calls|>`}},
		{"minicpm", `<function name="<param name="`, "", weather, "a <function name=\"get_weather\"><param name=\"city\"><![CDATA[<a> </param>]]></param><param name=\"days\">2</param></function>\n<function name=\"get_weather\"></function>", Delta{Content: "a", Calls: append(call(`{"city": "<a> </param>", "days": 2}`), call(`{}`)...)}},
		{"minicpm, broken", `<function name="<param name="`, "", weather, `<function name="get_weather">x</function>`, Delta{Content: `<function name="get_weather">x</function>`}},
		{"functionary 3.1", "<function= </function>", "", weather, `<function=get_weather>{"days": 2}</function>`, Delta{Calls: call(`{"days": 2}`)}},
		{"functionary 3.1, broken", "<function= </function>", "", weather, `<function=get_weather>days</function>`, Delta{Content: `<function=get_weather>days</function>`}},
		{"functionary 3.2", `>>>all\n`, "x>>>", weather, "all\nso >>> 1\n>>>get_weather\n{\"days\": 2}", Delta{Content: "so >>> 1", Calls: call(`{"days": 2}`)}},
		{"functionary 3.2, one call", `>>>all\n`, "x>>>", weather, "get_weather\n{\"days\": 2}", Delta{Calls: call(`{"days": 2}`)}},
		{"functionary 3.2, text", `>>>all\n`, "", weather, "get up\n{}", Delta{Content: "get up\n{}"}},
		{"functionary 3.2, broken", `>>>all\n`, "", weather, "get_weather\n{", Delta{Content: ">>>get_weather\n{"}},
		{"functionary 3.2, no tools", `>>>all\n`, "", "", "all\nhi", Delta{Content: "hi"}},
		{"functionary 3.2, code", `>>>all\n`, "", python, "python\nprint('<1>')\n", Delta{Calls: []ToolCall{{"", "python", `{"code": "print('<1>')"}`}}}},
		{"llama, code", llama, "", python, "<|python_tag|>print(1)", Delta{Calls: []ToolCall{{"", "python", `{"code": "print(1)"}`}}}},
		{"llama, own tool", llama, "", weather, `<|python_tag|>get_weather.call(city="Rome", days=2)`, Delta{Calls: call(`{"city": "Rome", "days": 2}`)}},
		{"llama, several", llama, "", weather, `{"name": "get_weather", "parameters": {}}; {"name": "get_weather", "parameters": {"days": 1}}`, Delta{Calls: append(call(`{}`), call(`{"days": 1}`)...)}},
		{"llama, no such tool", llama, "", weather, `<|python_tag|>look.call(a=1)`, Delta{Content: `<|python_tag|>look.call(a=1)`}},
		{"firefunction", "functools[", "", weather, ` functools[{"name": "get_weather", "arguments": {"days": 2}}]`, Delta{Calls: call(`{"days": 2}`)}},
		{"firefunction, text", "functools[", "", weather, "use functools for it", Delta{Content: "use functools for it"}},
		{"gigachat 3", "<|role_sep|><|message_sep|>", "", weather, "a<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"get_weather\", \"arguments\": {}}", Delta{Content: "a", Calls: call(`{}`)}},
		{"gigachat 3.1", "<|role_sep|><|message_sep|>", "", weather, "a<|function_call|>{\"name\": \"get_weather\", \"arguments\": {}}", Delta{Content: "a", Calls: call(`{}`)}},
		{"lfm2", "<|tool_list_start|>", "", weather, `b <|tool_call_start|>[get_weather(city='Zü"r\'ich\u00e9', days=-2), get_weather(opts={'a': [1, 2.5, (True, None)], "b": "<&"},)]<|tool_call_end|>`, Delta{Content: "b", Calls: append(call(`{"city": "Zü\"r'iché", "days": -2}`), call(`{"opts": {"a": [1, 2.5, [true, null]], "b": "<&"}}`)...)}},
		{"lfm2, broken", "<|tool_list_start|>", "", weather, "<|tool_call_start|>[get_weather(city=Rome)]<|tool_call_end|>", Delta{Content: "<|tool_call_start|>[get_weather(city=Rome)]<|tool_call_end|>"}},
		{"gemma", "<|tool_call>call: <channel|>", "", weather, `<|channel>thought
a<channel|>b<|tool_call>call:get_weather{city:<|"|>San "F", {x}<|"|>,days:2,opts:{a:[1,true,<|"|>z<|"|>],b:{}}}<tool_call|><|tool_call>call:get_weather{}<tool_call|>`, Delta{"b", "a", append(call(`{"city": "San \"F\", {x}", "days": 2, "opts": {"a": [1, true, "z"], "b": {}}}`), call(`{}`)...)}},
		{"gemma, broken", "<|tool_call>call: <channel|>", "", weather, `<|tool_call>call:get_weather{city:Rome}<tool_call|>`, Delta{Content: `<|tool_call>call:get_weather{city:Rome}<tool_call|>`}},
		{"kimi 3", "'<|open|>' + tag", "x<|open|>think<|sep|>", weather, `a<|close|>think<|sep|><|open|>response<|sep|>b<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|><|open|>argument key="city" type="string"<|sep|>12<|close|>argument<|sep|><|open|>argument key="days" type="number"<|sep|>2<|close|>argument<|sep|><|close|>call<|sep|><|open|>call tool="get_weather" index="2"<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|>`, Delta{"b", "a", append(call(`{"city": "12", "days": 2}`), call(`{}`)...)}},
		{"kimi 3, broken", "'<|open|>' + tag", "", weather, `<|open|>tools<|sep|><|open|>call tool="get_weather"<|sep|>x<|close|>call<|sep|><|close|>tools<|sep|>`, Delta{Content: `<|open|>tools<|sep|><|open|>call tool="get_weather"<|sep|>x<|close|>call<|sep|><|close|>tools<|sep|>`}},
		{"muse", "<atem:function_calls><|message|>", "", weather, " to=self<|message|>a<|eom|><|start|>assistant to=user<|message|>b<|eom|><|start|>assistant to=get_weather<|message|><atem:function_calls>\n<atem:invoke name=\"get_weather\">\n<atem:parameter name=\"days\">2</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eot|>", Delta{"b", "a", call(`{"days": 2}`)}},
		{"muse, broken", "<atem:function_calls><|message|>", "", weather, " to=get_weather<|message|>{}<|eot|>", Delta{Content: " to=get_weather<|message|>{}"}},
		{"apriel", "[BEGIN FINAL RESPONSE]", "Here are my reasoning steps:\n", weather, "a\n[BEGIN FINAL RESPONSE]\nb", Delta{Content: "b", Reasoning: "a"}},
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
	f.Add("all\nx>>>get_weather\n{}", uint64(5))
	f.Add("<|tool_call_start|>[get_weather(a='b', c=[1, {'d': None}])]<|tool_call_end|>", uint64(6))
	f.Add("]<]minimax[>[<tool_call>]<]minimax[>[<invoke name=\"get_weather\">]<]minimax[>[<a>b]<]minimax[>[</a>]<]minimax[>[</invoke>]<]minimax[>[</tool_call>", uint64(7))
	f.Add(`<|tool_call>call:get_weather{a:[1,<|"|>b<|"|>]}<tool_call|>`, uint64(8))
	f.Add("[TOOL_CALLS]get_weather[ARGS]{}", uint64(4))
	f.Fuzz(func(t *testing.T, answer string, seed uint64) {
		for _, source := range []string{"", "<think></think><tool_call></tool_call>", "[TOOL_CALLS]", "<|channel|><|message|>", `ipython "parameters": `, deepSeekCalls, ">>>all\\n", "<|tool_list_start|>", "]<]minimax[>[ <tool_call>", "<|START_ACTION|>", "<|tool_call>call:", "'<|open|>' + tag", "<|role_sep|><|message_sep|>"} {
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
