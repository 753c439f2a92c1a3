package verify

// SourceName is the engine of answers that are the source's own; those of a sibling have its file's name.
const SourceName = "source"

// Answer is one answer to a probe, with what is needed to ask again. All are kept, whatever came of them.
type Answer struct {
	Engine       string            `json:"engine"`               // builtin, endpoint, source, or a sibling's name
	Template     string            `json:"template"`             // how the prompt was put: chat, raw
	Temperature  float64           `json:"temperature"`          // 0: greedy
	Seed         uint64            `json:"seed"`                 // of the draw; without meaning for a greedy answer
	MaxTokens    int               `json:"max_tokens"`           // allowed
	PromptTokens int               `json:"prompt_tokens"`        // as the model's tokenizer, or the endpoint, counts
	Tokens       int               `json:"tokens"`               // likewise, of the answer
	Finish       string            `json:"finish"`               // why it ended
	Text         string            `json:"text"`                 // all of it, thinking included
	Status       Status            `json:"status"`               // of this answer alone
	Scores       map[string]Number `json:"scores,omitempty"`     // by criterion
	Findings     []string          `json:"findings,omitempty"`   // what was found wrong
	AsSource     []string          `json:"as_source,omitempty"`  // what the source's own answer lacks as well
	NotJudged    []string          `json:"not_judged,omitempty"` // criteria that would need the answer's end
}
