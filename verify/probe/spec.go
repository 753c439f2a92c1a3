package probe

import (
	"fmt"
	"slices"
)

// DefaultMaxTokens is the length of an answer whose Spec states none.
const DefaultMaxTokens = 64

// Ways to put a prompt.
const (
	ModeRaw  = "raw"  // the model continues the prompt
	ModeChat = "chat" // the prompt is a user's turn, the model's chat template makes a text of it
)

// Spec is a probe as a set or a recipe states it.
type Spec struct {
	Name      string `yaml:"name"`
	Prompt    string `yaml:"prompt"`
	Mode      string `yaml:"mode"`       // raw (default) or chat
	MaxTokens int    `yaml:"max_tokens"` // 0: DefaultMaxTokens
	// Retries is how many more answers are drawn, with the seeds 1, 2 ..., when the greedy one says too little: of file and
	// source, to be compared; without a source, where it fails, and the failure is a warning when most of them pass.
	Retries     int     `yaml:"retries"`
	Temperature float64 `yaml:"temperature"` // of the retries

	Language   string   `yaml:"language"`    // go: prompt and answer together must scan as Go tokens; for mode raw
	Code       *Code    `yaml:"code"`        // what the code in the answer must be
	Result     *Sum     `yaml:"result"`      // what the answer must come to
	Verse      *Verse   `yaml:"verse"`       // the form of a poem
	Contains   []string `yaml:"contains"`    // all of these must be in the answer
	Keywords   []string `yaml:"keywords"`    // at least MinMatches of these must be, whatever their case; a|b is one or the other
	MinMatches int      `yaml:"min_matches"` // 0: no keyword is needed
	MinWords   int      `yaml:"min_words"`   // an answer that ends by itself before that ended early
	Pattern    string   `yaml:"pattern"`     // the answer must match this regular expression
	Agreement  float64  `yaml:"agreement"`   // share of the source's leading tokens that the answer begins with, at least
	Edits      float64  `yaml:"edits"`       // edit distance to the source's answer by the longer one's length, at most; 0: measured, no bound
}

// specError names the probe and what is wrong with it.
type specError struct{ name, msg string }

func (e *specError) Error() string { return fmt.Sprintf("probe: %q: %s", e.name, e.msg) }

func (s Spec) errorf(format string, args ...any) error {
	return &specError{s.Name, fmt.Sprintf(format, args...)}
}

// New makes a probe. Every probe has the standard criteria (not empty, UTF-8, repetition, echo, script) besides those
// of the spec.
func New(s Spec) (Probe, error) {
	if err := s.check(); err != nil {
		return Probe{}, err
	}
	if s.MaxTokens == 0 {
		s.MaxTokens = DefaultMaxTokens
	}
	if s.Mode == "" {
		s.Mode = ModeRaw
	}
	p := Probe{Spec: s, Criteria: []Criterion{NotEmpty{}, UTF8{}, Repetition{}, Echo{}, Script{}}}
	add := func(wanted bool, c Criterion) {
		if wanted {
			p.Criteria = append(p.Criteria, c)
		}
	}
	add(s.MinWords > 0, EarlyEnd{s.MinWords})
	add(s.Language == "go", GoTokens{})
	if s.Code != nil {
		p.Criteria = append(p.Criteria, s.Code.criteria()...)
	}
	if s.Result != nil {
		p.Criteria = append(p.Criteria, *s.Result, Arithmetic{})
	}
	if s.Verse != nil {
		add(true, *s.Verse)
	}
	add(len(s.Contains) > 0, Contains(s.Contains))
	add(s.MinMatches > 0, Keywords{s.Keywords, s.MinMatches})
	if s.Pattern != "" {
		c, err := NewPattern(s.Pattern)
		if err != nil {
			return Probe{}, s.errorf("%v", err)
		}
		add(true, c)
	}
	add(true, Agreement{s.Agreement})
	add(true, Edits{s.Edits})
	return p, nil
}

func (s Spec) check() error {
	if s.Name == "" || s.Prompt == "" || s.MaxTokens < 0 {
		return s.errorf("a name, a prompt and a number of tokens are needed")
	}
	if !slices.Contains([]string{"", ModeRaw, ModeChat}, s.Mode) {
		return s.errorf("unknown mode %q; raw and chat are known", s.Mode)
	}
	if s.Language != "" && s.Language != "go" {
		return s.errorf("unknown language %q", s.Language)
	}
	if s.Language != "" && s.Mode == ModeChat {
		return s.errorf("language goes with mode raw; code is for answers of a chat")
	}
	if s.Retries < 0 || s.Temperature < 0 || s.Retries > 0 && s.Temperature == 0 {
		return s.errorf("retries need a temperature above 0")
	}
	if s.MinMatches < 0 || s.MinMatches > len(s.Keywords) || s.MinMatches == 0 && len(s.Keywords) > 0 {
		return s.errorf("min_matches %d of %d keywords makes no sense", s.MinMatches, len(s.Keywords))
	}
	if s.MinWords < 0 {
		return s.errorf("min_words %d", s.MinWords)
	}
	for name, share := range map[string]float64{"agreement": s.Agreement, "edits": s.Edits} {
		if !(share >= 0 && share <= 1) {
			return s.errorf("%s %v is not a share", name, share)
		}
	}
	for _, c := range []interface{ check() error }{s.Code, s.Result, s.Verse} {
		if err := c.check(); err != nil {
			return s.errorf("%v", err)
		}
	}
	return nil
}
