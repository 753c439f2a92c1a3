// Package sample turns logits into token ids. The stages run in one fixed order:
// penalties, top-k, top-p, min-p, temperature, draw. A draw depends on the
// logits, the options and the tokens accepted so far, and on nothing else.
package sample

import (
	"fmt"
	"math"
)

// Options are the settings of a Sampler. The zero value is greedy: always the most likely token.
type Options struct {
	// Temperature divides the logits before the draw; 0 is greedy, whatever the other options.
	Temperature float64 `json:"temperature"`
	// TopK keeps the K largest logits; 0 or less keeps all.
	TopK int `json:"top_k"`
	// TopP keeps the most likely tokens until their probability reaches P; 0 or 1 keeps all.
	// llama.cpp takes 0 for "one token": Temperature 0 says that.
	TopP float64 `json:"top_p"`
	// MinP keeps tokens at least P times as likely as the most likely one; 0 keeps all.
	MinP float64 `json:"min_p"`
	// RepeatPenalty divides positive and multiplies negative logits of tokens seen; 0 or 1 is off.
	RepeatPenalty float64 `json:"repeat_penalty"`
	// FrequencyPenalty is subtracted once for every time a token was seen.
	FrequencyPenalty float64 `json:"frequency_penalty"`
	// PresencePenalty is subtracted once from every token seen.
	PresencePenalty float64 `json:"presence_penalty"`
	// RepeatLast is the number of latest tokens the penalties look at; 0 switches them off, -1 is all.
	RepeatLast int `json:"repeat_last_n"`
	// Seed starts the random numbers of the draw.
	Seed uint64 `json:"seed"`
}

// Default is llama.cpp's default sampling: temperature 0.8, top-k 40, top-p 0.95, min-p 0.05, no penalties.
func Default() Options {
	return Options{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, RepeatPenalty: 1, RepeatLast: 64}
}

// penaltyMax keeps penalized logits finite.
const penaltyMax = 1e6

// Validate fails on values that mean nothing, naming the option.
func (o Options) Validate() error {
	checks := []struct {
		name    string
		value   float64
		lo, hi  float64
		meaning string
	}{
		{"temperature", o.Temperature, 0, penaltyMax, "0 to 1e6"},
		{"top-p", o.TopP, 0, 1, "0 to 1"},
		{"min-p", o.MinP, 0, 1, "0 to 1"},
		{"repeat-penalty", o.RepeatPenalty, 0, penaltyMax, "0 to 1e6"},
		{"frequency-penalty", o.FrequencyPenalty, -penaltyMax, penaltyMax, "-1e6 to 1e6"},
		{"presence-penalty", o.PresencePenalty, -penaltyMax, penaltyMax, "-1e6 to 1e6"},
		{"repeat-last-n", float64(o.RepeatLast), -1, math.MaxInt32, "-1 or more"},
	}
	for _, c := range checks {
		if !(c.value >= c.lo && c.value <= c.hi) { // false for NaN
			return fmt.Errorf("sample: %s: %v, want %s", c.name, c.value, c.meaning)
		}
	}
	return nil
}

// penalizes reports whether any penalty can change a logit.
func (o Options) penalizes() bool {
	repeat := o.RepeatPenalty != 0 && o.RepeatPenalty != 1
	return o.RepeatLast != 0 && (repeat || o.FrequencyPenalty != 0 || o.PresencePenalty != 0)
}
