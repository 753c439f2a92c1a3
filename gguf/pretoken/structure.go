package pretoken

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// UnknownError says that a pre-tokenizer is not known, and which known ones come near.
type UnknownError struct {
	Name       string   // the name asked for; empty for a structure
	What       string   // what is not known of a structure
	Alike      []string // known names that cut all probing texts as the structure does
	Candidates []string // known names that resemble it
	Compared   string   // what was compared, and where the nearest differs
}

func (e *UnknownError) Error() string {
	msg := "pretoken: " + e.What
	if e.Name != "" {
		msg = fmt.Sprintf("pretoken: pre-tokenizer %q is not known", e.Name)
	}
	if len(e.Alike) > 0 {
		msg += "; candidates that cut alike: " + strings.Join(e.Alike, ", ")
	}
	if len(e.Candidates) > 0 {
		msg += "; similar: " + strings.Join(e.Candidates, ", ")
	}
	if e.Compared != "" {
		msg += " (" + e.Compared + ")"
	}
	return msg
}

// Match is the pre-tokenizer recognised in a tokenizer.json.
type Match struct {
	Name   string
	Others []string // names under which loaders do the same
	NFC    bool     // the model normalises text to NFC first; loaders do not
	// MergesDiffer says that loaders treat words that are tokens otherwise than the model (ignore_merges).
	MergesDiffer bool
}

// Structure is a tokenizer.json's way of cutting text, reduced to what matters.
type Structure struct {
	Regexes []string // applied in order, each to the pieces the one before left
	NFC     bool
}

// node is any element of normalizer and pre_tokenizer.
type node struct {
	Type          string           `json:"type"`
	Normalizers   []node           `json:"normalizers"`
	Pretokenizers []node           `json:"pretokenizers"`
	Pattern       *json.RawMessage `json:"pattern"`
	Behavior      string           `json:"behavior"`
	Invert        bool             `json:"invert"`
	Individual    bool             `json:"individual_digits"`
	PrefixSpace   *bool            `json:"add_prefix_space"`
	UseRegex      *bool            `json:"use_regex"`
}

// ParseStructure reduces the pre_tokenizer and normalizer of a tokenizer.json. What has no
// counterpart in byte-level BPE is an *UnknownError, what is not well-formed any other error.
func ParseStructure(preTokenizer, normalizer json.RawMessage) (Structure, error) {
	var s Structure
	var pre, norm node
	if err := unmarshal(normalizer, &norm); err != nil {
		return s, fmt.Errorf("pretoken: normalizer: %w", err)
	}
	if err := unmarshal(preTokenizer, &pre); err != nil {
		return s, fmt.Errorf("pretoken: pre_tokenizer: %w", err)
	}
	if err := s.normalize(norm); err != nil {
		return s, err
	}
	byteLevel := false
	for _, n := range flatten(pre, nil) {
		if byteLevel {
			return s, unknown("pre_tokenizer: %s after ByteLevel is not supported", n.Type)
		}
		if err := s.add(n); err != nil {
			return s, err
		}
		byteLevel = n.Type == "ByteLevel"
	}
	if !byteLevel {
		return s, unknown("pre_tokenizer: no ByteLevel, so this is not byte-level BPE")
	}
	return s, nil
}

func unmarshal(raw json.RawMessage, n *node) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	return json.Unmarshal(raw, n)
}

func unknown(format string, args ...any) error {
	return &UnknownError{What: fmt.Sprintf(format, args...)}
}

func (s *Structure) normalize(n node) error {
	switch n.Type {
	case "":
	case "NFC":
		s.NFC = true
	case "Sequence":
		for _, sub := range n.Normalizers {
			if err := s.normalize(sub); err != nil {
				return err
			}
		}
	default:
		return unknown("normalizer %s is not supported for byte-level BPE", n.Type)
	}
	return nil
}

func flatten(n node, out []node) []node {
	if n.Type != "Sequence" {
		if n.Type != "" {
			out = append(out, n)
		}
		return out
	}
	for _, sub := range n.Pretokenizers {
		out = flatten(sub, out)
	}
	return out
}

func (s *Structure) add(n node) error {
	switch n.Type {
	case "Split":
		re, err := n.regex()
		if err != nil {
			return err
		}
		s.Regexes = append(s.Regexes, canonical(re))
	case "Digits":
		if n.Individual {
			s.Regexes = append(s.Regexes, eachDigit)
		} else {
			s.Regexes = append(s.Regexes, digitRuns)
		}
	case "ByteLevel":
		if n.PrefixSpace == nil || *n.PrefixSpace {
			return unknown("pre_tokenizer: ByteLevel with add_prefix_space is not supported")
		}
		if n.UseRegex == nil || *n.UseRegex {
			s.Regexes = append(s.Regexes, canonical(gpt2))
		}
	default:
		return unknown("pre_tokenizer: %s is not supported for byte-level BPE", n.Type)
	}
	return nil
}

// regex is a Split's pattern. Keeping the matches as pieces of their own is the same as
// dropping what lies between them, for a pattern that leaves nothing out; all of the table's
// alternations that end in |\s+ are such.
func (n node) regex() (string, error) {
	var p struct {
		Regex  *string
		String *string
	}
	if n.Pattern != nil {
		if err := json.Unmarshal(*n.Pattern, &p); err != nil {
			return "", fmt.Errorf("pretoken: pre_tokenizer: Split: pattern: %w", err)
		}
	}
	if p.Regex == nil {
		return "", unknown("pre_tokenizer: Split without a regex is not supported")
	}
	isolated := n.Behavior == "Isolated" // inverted, it cuts at the same places
	removed := n.Behavior == "Removed" && n.Invert && strings.HasSuffix(*p.Regex, `|\s+`)
	if !isolated && !removed {
		return "", unknown("pre_tokenizer: Split with behavior %s, invert %t is not supported", n.Behavior, n.Invert)
	}
	return *p.Regex, nil
}

// canonical writes control characters, which some files hold raw, as escapes.
func canonical(re string) string {
	return strings.NewReplacer("\r", `\r`, "\n", `\n`, "\t", `\t`).Replace(re)
}

// spellings are the structures that mean a scheme: the models' own and the loader's.
func (s *scheme) spellings() [][]string {
	return append(slices.Clone(s.model), s.loader)
}

func (s *scheme) matches(regexes []string) bool {
	return slices.ContainsFunc(s.spellings(), func(sp []string) bool {
		return slices.EqualFunc(sp, regexes, func(a, b string) bool { return canonical(a) == b })
	})
}

// Classify finds the pre-tokenizer whose regexes are exactly st's. ignoreMerges is the
// tokenizer's flag of that name. Several names can mean the same cutting: prefer names those
// that the model's family is known by; else the commonest is taken and Match.Others lists the
// rest. A structure that is not in the table is an *UnknownError naming those that cut the probing texts alike,
// which is no proof, or those that come nearest.
func Classify(st Structure, ignoreMerges bool, prefer ...string) (Match, error) {
	m := Match{NFC: st.NFC}
	var found []*scheme
	var names []string
	for i := range schemes {
		if s := &schemes[i]; !s.rawUTF8 && s.matches(st.Regexes) {
			found = append(found, s)
			names = append(names, s.names...)
		}
	}
	if len(found) == 0 {
		e := &UnknownError{What: "the structure of pre_tokenizer is not known"}
		e.Alike, e.Candidates, e.Compared = compareAll(st)
		return m, e
	}
	chosen := found[0]
	if i := slices.IndexFunc(found, func(s *scheme) bool { return s.ignoreMerges == ignoreMerges }); i >= 0 {
		chosen = found[i]
	}
	m.Name = chosen.names[0]
	if st.NFC && chosen.nfcName != "" {
		m.Name = chosen.nfcName
	}
	if i := slices.IndexFunc(prefer, func(p string) bool { return slices.Contains(names, p) }); i >= 0 {
		m.Name = prefer[i]
		info, _ := Lookup(m.Name)
		m.MergesDiffer = info.IgnoreMerges != ignoreMerges
		return m, nil
	}
	m.MergesDiffer = chosen.ignoreMerges != ignoreMerges
	m.Others = slices.DeleteFunc(names, func(n string) bool { return n == m.Name })
	return m, nil
}
