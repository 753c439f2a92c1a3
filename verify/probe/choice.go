package probe

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Choice is which probes a recipe wants: a list of its own, or a set and how to ask it.
type Choice struct {
	Own []Spec

	Set       string // an embedded set's name, or a file
	Thinking  string // on, off, or empty: as the chat template has it
	MaxTokens int    // of the chat probes; 0: the set's
}

// chosen is the form that names a set.
type chosen struct {
	Set       string `yaml:"set"`
	Thinking  string `yaml:"thinking,omitempty"`
	MaxTokens int    `yaml:"max_tokens,omitempty"`
}

// UnmarshalYAML reads either form; unknown keys are errors.
func (c *Choice) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return strictly(n, &c.Own)
	}
	var s chosen
	if err := strictly(n, &s); err != nil {
		return err
	}
	c.Set, c.Thinking, c.MaxTokens = s.Set, s.Thinking, s.MaxTokens
	return nil
}

// MarshalYAML writes the form that c has.
func (c Choice) MarshalYAML() (any, error) {
	if c.Set == "" {
		return c.Own, nil
	}
	return chosen{c.Set, c.Thinking, c.MaxTokens}, nil
}

// strictly decodes a node with unknown keys as errors, which a node by itself does not tell.
func strictly(n *yaml.Node, to any) error {
	data, err := yaml.Marshal(n)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	return dec.Decode(to)
}

// Check fails on a choice that cannot be carried out. Whether a set's file is there shows when it is loaded.
func (c Choice) Check() error {
	if c.Thinking != "" && c.Thinking != "on" && c.Thinking != "off" || c.MaxTokens < 0 {
		return fmt.Errorf("thinking %q, max_tokens %d: want on or off, and a number", c.Thinking, c.MaxTokens)
	}
	if c.Set == "" && (c.Thinking != "" || c.MaxTokens != 0) {
		return fmt.Errorf("no set is named")
	}
	for _, s := range c.Own {
		if _, err := New(s); err != nil {
			return err
		}
	}
	return nil
}

// Suite loads what was chosen. path makes a set's file name absolute.
func (c Choice) Suite(path func(string) string) (*Suite, error) {
	specs := c.Own
	if c.Set != "" {
		set, err := LoadSet(pathOf(c.Set, path))
		if err != nil {
			return nil, err
		}
		specs = set.Probes
	}
	return NewSuite(specs, Options{Thinking: c.Thinking, MaxTokens: c.MaxTokens})
}

func pathOf(set string, path func(string) string) string {
	for _, name := range SetNames() {
		if name == set {
			return set
		}
	}
	return path(set)
}
