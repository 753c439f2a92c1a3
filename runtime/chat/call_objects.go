package chat

import "strings"

// objectList is <tool_calls> around a list of objects (Apriel, MiniMax-M1, Hunyuan-A13B), or around Hunyuan's calls.
var objectList = dialect{
	calls: []callMark{{mark: mark{"<tool_calls>", "</tool_calls>"}, read: readToolCalls}},
}

func readToolCalls(body string, t tools) ([]ToolCall, bool) {
	if strings.HasPrefix(strings.TrimSpace(body), "<tool_call>") {
		return readHunyuan(body, t)
	}
	return readObjects(body, t)
}

// nemotron is Nemotron Nano 2's list of objects.
var nemotron = dialect{
	calls: []callMark{{mark: mark{"<TOOLCALL>", "</TOOLCALL>"}, read: readObjects}},
}

// granite is <|tool_call|> and a list of objects (Granite 3); Phi-4-mini marks the end, too. Granite's answers may stand
// in <response>.
var granite = dialect{
	calls: []callMark{{mark: mark{"<|tool_call|>", ""}, read: readGranite}},
	drops: []string{"<response>", "</response>"},
}

func readGranite(body string, t tools) ([]ToolCall, bool) {
	return readObjects(strings.TrimSuffix(strings.TrimSpace(body), "<|/tool_call|>"), t)
}

// fireFunction is FireFunction's list of objects after a word.
var fireFunction = dialect{
	in:    containsAll("functools["),
	calls: []callMark{{mark: mark{"functools", ""}, read: readObjects}},
}

// gigaChat is an object after a token (3.1), or in a message of a role of its own (3).
var gigaChat = dialect{
	in: containsAll("<|role_sep|>", "<|message_sep|>"),
	calls: []callMark{
		{mark: mark{"<|function_call|>", ""}, read: readObjects},
		{mark: mark{"function call<|role_sep|>", ""}, read: readObjects},
	},
	drops:  []string{"<|message_sep|>"},
	tokens: []string{"<|role_sep|>"},
}
