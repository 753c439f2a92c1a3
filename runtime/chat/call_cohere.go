package chat

// cohere is Command R's list of objects in <|START_ACTION|>, or for Command R+ in a block of JSON.
var cohere = dialect{
	in: func(source string) bool {
		return containsAll("<|START_ACTION|>")(source) || containsAll("Action:", "```json", "tool_name")(source)
	},
	thinks: []mark{{"<|START_THINKING|>", "<|END_THINKING|>"}},
	calls: []callMark{
		{mark: mark{"<|START_ACTION|>", "<|END_ACTION|>"}, read: readObjects},
		{mark: mark{"Action:\n```json", "```"}, read: readObjects},
		{mark: mark{"Action: ```json", "```"}, read: readObjects},
	},
	drops: []string{"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"},
}
