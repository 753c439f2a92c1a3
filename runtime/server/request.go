package server

import (
	"encoding/json"
	"math/rand/v2"
	"slices"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/sample"
)

// sampling is what requests have in common. Fields of OpenAI's API, and further ones of llama-server's.
type sampling struct {
	Model         string   `json:"model"`
	Stream        bool     `json:"stream"`
	StreamOptions *options `json:"stream_options,omitempty"`
	N             *int     `json:"n,omitempty"`
	Stop          texts    `json:"stop,omitempty"`
	MaxTokens     *int     `json:"max_tokens,omitempty"`

	Temperature      *float64 `json:"temperature,omitempty"`
	TopP             *float64 `json:"top_p,omitempty"`
	Seed             *int64   `json:"seed,omitempty"`
	FrequencyPenalty float64  `json:"frequency_penalty,omitempty"`
	PresencePenalty  float64  `json:"presence_penalty,omitempty"`

	TopK          int     `json:"top_k,omitempty"`
	MinP          float64 `json:"min_p,omitempty"`
	RepeatPenalty float64 `json:"repeat_penalty,omitempty"`
	RepeatLast    *int    `json:"repeat_last_n,omitempty"`
	IgnoreEOS     bool    `json:"ignore_eos,omitempty"`

	ReturnTokenIDs bool  `json:"return_token_ids,omitempty"` // vLLM's
	CachePrompt    *bool `json:"cache_prompt,omitempty"`     // llama-server's: false evaluates the whole prompt anew

	LogitBias map[string]float64 `json:"logit_bias,omitempty"`
}

type options struct {
	IncludeUsage bool `json:"include_usage"`
}

// usage reports whether a stream ends with what it used.
func (o *options) usage() bool { return o != nil && o.IncludeUsage }

// texts is a text or a list of texts.
type texts []string

// UnmarshalJSON takes both.
func (t *texts) UnmarshalJSON(data []byte) error {
	var one *string
	if json.Unmarshal(data, &one) == nil {
		if one != nil {
			*t = texts{*one}
		}
		return nil
	}
	var many []string
	if json.Unmarshal(data, &many) != nil {
		return badParam("stop", "Invalid 'stop': want a string or a list of strings.")
	}
	*t = many
	return nil
}

// Bounds of a request.
const (
	maxChoices = 128
	maxStops   = 16
	maxTop     = 20
)

// choices is how many answers are asked for.
func (s *sampling) choices() int {
	if s.N == nil {
		return 1
	}
	return *s.N
}

// fresh reports whether nothing that is known of the prompt may be used.
func (s *sampling) fresh() bool { return s.CachePrompt != nil && !*s.CachePrompt }

// generation is the options of choice number i, checked. The seed, if none is given, is drawn.
func (s *sampling) generation() (runtime.GenerateOptions, error) {
	o := runtime.GenerateOptions{IgnoreEOG: s.IgnoreEOS, Stop: slices.Clone(s.Stop)}
	switch {
	case s.choices() < 1 || s.choices() > maxChoices:
		return o, badParam("n", "Invalid 'n': %d, want 1 to %d.", s.choices(), maxChoices)
	case len(s.Stop) > maxStops:
		return o, badParam("stop", "Invalid 'stop': %d texts, at most %d are possible.", len(s.Stop), maxStops)
	case slices.Contains(s.Stop, ""):
		return o, badParam("stop", "Invalid 'stop': a text is empty.")
	case len(s.LogitBias) > 0:
		return o, refuse(400, invalidRequest, "logit_bias", "unsupported_parameter", "Unsupported parameter: 'logit_bias'.")
	case s.MaxTokens != nil && *s.MaxTokens < 1:
		return o, badParam("max_tokens", "Invalid 'max_tokens': %d, want 1 or more.", *s.MaxTokens)
	case s.StreamOptions != nil && !s.Stream:
		return o, badParam("stream_options", "'stream_options' goes with 'stream'.")
	}
	if s.MaxTokens != nil {
		o.MaxTokens = *s.MaxTokens
	}
	return o, s.sample(&o.Sample)
}

func (s *sampling) sample(o *sample.Options) error {
	*o = sample.Options{Temperature: 1, TopK: s.TopK, MinP: s.MinP, RepeatPenalty: s.RepeatPenalty,
		FrequencyPenalty: s.FrequencyPenalty, PresencePenalty: s.PresencePenalty, RepeatLast: -1}
	if s.Temperature != nil {
		o.Temperature = *s.Temperature
	}
	if s.TopP != nil {
		o.TopP = *s.TopP
	}
	if s.RepeatLast != nil {
		o.RepeatLast = *s.RepeatLast
	}
	o.Seed = rand.Uint64()
	if s.Seed != nil {
		o.Seed = uint64(*s.Seed)
	}
	for _, c := range []struct {
		param  string
		value  float64
		lo, hi float64
	}{
		{"temperature", o.Temperature, 0, 100}, {"top_p", o.TopP, 0, 1}, {"min_p", o.MinP, 0, 1},
		{"frequency_penalty", o.FrequencyPenalty, -2, 2}, {"presence_penalty", o.PresencePenalty, -2, 2},
		{"repeat_penalty", o.RepeatPenalty, 0, 100}, {"repeat_last_n", float64(o.RepeatLast), -1, 1 << 30},
	} {
		if !(c.value >= c.lo && c.value <= c.hi) {
			return badParam(c.param, "Invalid '%s': %v, want %v to %v.", c.param, c.value, c.lo, c.hi)
		}
	}
	if o.RepeatPenalty == 0 && o.FrequencyPenalty == 0 && o.PresencePenalty == 0 {
		o.RepeatLast = 0
	}
	return nil
}

// Usage counts tokens as the model's tokenizer does.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	Details          struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// add counts a generation; a prompt counts once for all of its choices.
func (u *Usage) add(g runtime.Generation, first bool) {
	if first {
		u.PromptTokens += g.PromptTokens
		u.Details.CachedTokens += g.CachedTokens
	}
	u.CompletionTokens += g.Tokens
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
}

// reasonOf is finishReason in documents, null while there is no reason yet.
func reasonOf(reason string) *string {
	if reason == "" {
		return nil
	}
	word := finishReason(reason)
	return &word
}

// finishReason is the API's word for a reason.
func finishReason(reason string) string {
	switch reason {
	case runtime.ReasonLength, runtime.ReasonContext:
		return "length"
	}
	return "stop"
}
