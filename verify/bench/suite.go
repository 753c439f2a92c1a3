package bench

import (
	"strings"
	"unicode/utf8"

	"github.com/moeconv/moeconv/verify/probe"
)

// Prompt is one of a suite.
type Prompt struct {
	Name      string `json:"name"`
	Text      string `json:"text"`
	MaxTokens int    `json:"max_tokens,omitempty"` // 0: Options.MaxTokens
}

// most is the most tokens that an answer may have.
func (p Prompt) most(o Options) int {
	if p.MaxTokens > 0 {
		return p.MaxTokens
	}
	return o.MaxTokens
}

// Modes in which answers are asked for.
const (
	Streaming    = "streaming"
	NonStreaming = "non-streaming"
	Greedy       = "greedy" // whole, at temperature 0: to compare answers, not speed
)

// Suite is what is asked.
type Suite struct {
	Name    string
	About   string
	Prompts []Prompt
	Modes   []string
	Pause   float64 // seconds between requests, unless the user says otherwise
	Judged  bool    // answers are held against the streaming protocol
}

var (
	both   = []string{Streaming, NonStreaming}
	warmUp = Prompt{Name: "warm-up", Text: "Write a haiku about AI"}
)

// Suites are those that there are; the first is the default. Prompts are word for word those of the published
// measurements, but for those of long, whose wording was not kept.
var Suites = []Suite{
	{"standard", "four prompts, streamed and not", []Prompt{
		{"short", "Write a haiku about AI", 0},
		{"medium", "Explain quantum computing in simple terms", 0},
		{"long", "Write a Python function to calculate fibonacci numbers recursively", 0},
		{"very long", "Write a detailed technical explanation of how gradient descent optimization works in machine learning", 0},
	}, both, 0, false},
	{"quants", "one prompt, for a matrix of many files", []Prompt{{"quantum", "Explain quantum computing in simple terms.", 0}}, both, 0, false},
	{"streaming", "nine prompts of 50 to 1000 tokens, streamed, with scores", []Prompt{
		{"greeting", "Hello, how are you?", 50},
		{"factorial", "Write a Python function to calculate factorial", 150},
		{"binary search", "Explain how binary search works", 200},
		{"jugs", "You have 3-gallon and 5-gallon jugs. Measure exactly 4 gallons step-by-step", 300},
		{"chat application", "Design a simple chat application architecture", 400},
		{"sorting", "Compare bubble sort and quicksort algorithms", 350},
		{"story", "Write a short story about AI discovering emotions", 800},
		{"REST API", "Document a REST API for a library management system", 1000},
		{"renewable energy", "Analyze the benefits and challenges of renewable energy", 600},
	}, []string{Streaming}, 5, true},
	{"long", "three prompts of 2000 tokens, streamed: is the speed kept", []Prompt{
		{"energy", "Write a comprehensive analysis of renewable energy: technologies, economics, policy and outlook.", 2000},
		{"microservices", "Write a complete technical specification of a microservices architecture for an online shop.", 2000},
		{"agriculture", "Write a detailed business plan for a company in sustainable agriculture.", 2000},
	}, []string{Streaming}, 0, true},
}

// FindSuite is nil for a name that is none's.
func FindSuite(name string) *Suite {
	for i := range Suites {
		if Suites[i].Name == name {
			return &Suites[i]
		}
	}
	return nil
}

// Bounds of an answer's score.
const (
	bestScore   = 5
	penalty     = 2
	worstScore  = 1
	passScore   = 3
	shortAnswer = 20 // characters
)

// judge sets a row's repetition and score.
func (r *Row) judge() {
	r.Repetition, r.Score = probe.RepetitionScore(r.Text), bestScore
	if r.Repetition > probe.RepetitionFail {
		r.Score -= penalty
	}
	text := strings.TrimSpace(r.Text)
	if utf8.RuneCountInString(text) < shortAnswer {
		r.Score -= penalty
	}
	if text == "" {
		r.Score = worstScore
	}
}
