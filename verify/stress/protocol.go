// Package stress puts a model under load, as the stress protocol of the founding
// white paper does: every kind of prompt, long answers, several sessions at a time, a
// conversation of many turns, bursts, the context up to its limit and one token beyond,
// hours of work, and what comes after errors. The protocol is data. What would be wrong on any machine fails;
// what depends on how fast this one is warns.
package stress

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed protocol.yaml
var embedded []byte

// ProtocolVersion is the version of the format: the value of the key moeconv_stress.
const ProtocolVersion = 1

// Protocol says what is asked, how much of it, and what is demanded.
type Protocol struct {
	Version     int        `yaml:"moeconv_stress"`
	Temperature float64    `yaml:"temperature"`
	Timeout     float64    `yaml:"timeout_s"` // of a request
	Categories  []Category `yaml:"categories"`
	Basic       struct {
		Prompts int `yaml:"prompts"` // the first N of each category
		Tokens  int `yaml:"tokens"`
	} `yaml:"basic"`
	Long struct {
		Tokens  int      `yaml:"tokens"`
		Prompts []string `yaml:"prompts"`
	} `yaml:"long"`
	Concurrent struct {
		Rounds   int    `yaml:"rounds"`   // over all categories
		Sessions int    `yaml:"sessions"` // at a time
		Tokens   int    `yaml:"tokens"`
		Prompt   string `yaml:"prompt"` // {i} and {prompt} are filled in
	} `yaml:"concurrent"`
	Turns struct {
		Tokens   int      `yaml:"tokens"`   // of an answer
		Messages []string `yaml:"messages"` // the user's, in order
		Recall   []string `yaml:"recall"`   // words of the first that the last answer should hold
	} `yaml:"turns"`
	Burst struct {
		Requests int   `yaml:"requests"` // at once
		Tokens   []int `yaml:"tokens"`   // lengths in turn
		Leave    int   `yaml:"leave"`    // each Nth client goes away at the first piece of its answer; 0: none
	} `yaml:"burst"`
	Context struct {
		Tokens int `yaml:"tokens"` // or the model's own length, where that is less
	} `yaml:"context"`
	Soak struct {
		Seconds float64 `yaml:"seconds"`
		Tokens  int     `yaml:"tokens"`
	} `yaml:"soak"`
	Gates Gates `yaml:"gates"`
}

// Category is prompts of one kind.
type Category struct {
	Name    string   `yaml:"name"`
	Prompts []string `yaml:"prompts"`
}

// Gates are the bounds; protocol.yaml says what each means.
type Gates struct {
	TokensPerSecond float64 `yaml:"tokens_per_s"`
	Consistency     float64 `yaml:"consistency"`
	Throughput      float64 `yaml:"throughput"`
	Slowdown        float64 `yaml:"slowdown"`
	Linearity       float64 `yaml:"linearity"`
	Drift           float64 `yaml:"drift"`
	Answered        float64 `yaml:"answered"`
	Reuse           float64 `yaml:"reuse"`
	Regression      float64 `yaml:"regression"`
}

// Load is the white paper's protocol, or that of a file. A file's keys replace those of the white paper's.
func Load(name string) (*Protocol, error) {
	p := &Protocol{}
	if err := p.decode(embedded); err != nil {
		return nil, err
	}
	if name == "" {
		return p, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("stress: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("stress: %w", err)
	}
	if err := p.decode(data); err != nil {
		return nil, fmt.Errorf("stress: %s: %w", name, err)
	}
	return p, nil
}

func (p *Protocol) decode(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(p); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if p.Version != ProtocolVersion {
		return fmt.Errorf("key moeconv_stress: format %d, this version reads %d", p.Version, ProtocolVersion)
	}
	for _, n := range []struct {
		key string
		v   float64
	}{{"temperature", p.Temperature + 1}, {"timeout_s", p.Timeout}, {"basic.prompts", float64(p.Basic.Prompts)}, {"basic.tokens", float64(p.Basic.Tokens)},
		{"long.tokens", float64(p.Long.Tokens)}, {"concurrent.rounds", float64(p.Concurrent.Rounds)}, {"concurrent.sessions", float64(p.Concurrent.Sessions)},
		{"concurrent.tokens", float64(p.Concurrent.Tokens)}, {"turns.tokens", float64(p.Turns.Tokens)}, {"burst.requests", float64(p.Burst.Requests)},
		{"burst.tokens", float64(least(p.Burst.Tokens))}, {"burst.leave", float64(p.Burst.Leave) + 1},
		{"context.tokens", float64(p.Context.Tokens) / 8}, {"soak.seconds", p.Soak.Seconds}, {"soak.tokens", float64(p.Soak.Tokens)}} {
		if !(n.v > 0) || n.key != "timeout_s" && n.key != "soak.seconds" && n.v < 1 {
			return fmt.Errorf("key %s is too small", n.key)
		}
	}
	if len(p.Categories) == 0 || len(p.Long.Prompts) == 0 || len(p.Turns.Messages) == 0 {
		return errors.New("keys categories, long.prompts and turns.messages: there are no prompts")
	}
	for _, c := range p.Categories {
		if c.Name == "" || len(c.Prompts) == 0 {
			return fmt.Errorf("key categories: %q has no name or no prompts", c.Name)
		}
	}
	return nil
}

// least is the smallest of the numbers; 0 of none.
func least(numbers []int) int {
	if len(numbers) == 0 {
		return 0
	}
	return slices.Min(numbers)
}

func (p *Protocol) timeout() time.Duration { return time.Duration(p.Timeout * float64(time.Second)) }

// requests are those of the concurrent phase, in the order they are sent: round by round, a prompt of each category.
func (p *Protocol) requests() []string {
	var out []string
	for round := range p.Concurrent.Rounds {
		for _, c := range p.Categories {
			prompt := c.Prompts[round%len(c.Prompts)]
			out = append(out, strings.NewReplacer("{i}", fmt.Sprint(len(out)+1), "{prompt}", prompt).Replace(p.Concurrent.Prompt))
		}
	}
	return out
}
