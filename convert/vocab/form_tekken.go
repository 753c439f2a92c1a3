package vocab

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf/pretoken"
)

func init() { register("tekken", readTekken) }

// tekken is tekken.json, the vocabulary of mistral-common: ranks of byte strings, whose ids
// follow those of the special tokens.
type tekken struct {
	Config struct {
		Pattern    string `json:"pattern"`
		VocabSize  int    `json:"default_vocab_size"`
		NumSpecial int    `json:"default_num_special_tokens"`
		Version    string `json:"version"`
	} `json:"config"`
	Vocab   json.RawMessage  `json:"vocab"` // of tekkenToken
	Special *[]tekkenSpecial `json:"special_tokens"`
}

type tekkenToken struct {
	Rank  int    `json:"rank"`
	Bytes string `json:"token_bytes"`
}

type tekkenSpecial struct {
	Rank int    `json:"rank"`
	Text string `json:"token_str"`
}

// tekkenTokens are the special tokens of files that do not list any, up to version 7.
var tekkenTokens = strings.Fields(`<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS]
	[IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT]`)

// tekkenVersions are those known, with the name of a chat template that llama.cpp has built in.
// The template of later ones is a file the reference brings along.
var tekkenVersions = map[string]string{
	"v1": "mistral-v1", "v2": "", "v3": "mistral-v3-tekken", "v7": "mistral-v7-tekken", "v11": "", "v13": "", "v15": "",
}

// implied are the versions whose special tokens need not be listed.
var implied = []string{"v1", "v2", "v3", "v7"}

// readTekken reads tekken.json.
func readTekken(v *Vocab, f *files, opts Options) error {
	data, err := readText(f.fsys, "tekken.json")
	if err != nil {
		return err
	}
	if data == nil {
		return errNoFiles
	}
	t := &tekken{}
	if err := json.Unmarshal(data, t); err != nil {
		return fmt.Errorf("tekken.json: %w", jsonError(err))
	}
	list, err := elements(t.Vocab)
	if err != nil {
		return fmt.Errorf("tekken.json: vocab: %w", err)
	}
	special, err := t.special(len(list))
	if err == nil {
		err = v.putTekken(list[:t.Config.VocabSize-len(special)], special)
	}
	if err == nil {
		err = v.setPattern(t.Config.Pattern, opts)
	}
	if err != nil {
		return fmt.Errorf("tekken.json: %w", err)
	}
	if opts.VocabSize > 0 && opts.VocabSize != len(v.tokens) {
		return fmt.Errorf("tekken.json: %d tokens, but config.json's vocab_size is %d", len(v.tokens), opts.VocabSize)
	}
	return v.tekkenTemplate(f, t)
}

// special is the special tokens by id, with fillers. n is the number of other tokens in the file.
func (t *tekken) special(n int) ([]string, error) {
	c := &t.Config
	if _, ok := tekkenVersions[c.Version]; !ok {
		return nil, unsupported("version %q is not supported", c.Version)
	}
	var out []string
	switch {
	case t.Special != nil:
		for i, s := range *t.Special {
			if s.Rank != i {
				return nil, fmt.Errorf("special token %d (%q) has rank %d", i, s.Text, s.Rank)
			}
			out = append(out, s.Text)
		}
	case slices.Contains(implied, c.Version):
		out = slices.Clone(tekkenTokens)
	default:
		return nil, fmt.Errorf("version %s has to list its special tokens", c.Version)
	}
	if c.NumSpecial < len(out) || c.VocabSize <= c.NumSpecial || c.VocabSize > n+c.NumSpecial {
		return nil, fmt.Errorf("%d special tokens of %d and %d others do not make default_vocab_size %d", len(out), c.NumSpecial, n, c.VocabSize)
	}
	if c.NumSpecial > maxVocabSize {
		return nil, fmt.Errorf("default_num_special_tokens %d is more than %d", c.NumSpecial, maxVocabSize)
	}
	for i := len(out); i < c.NumSpecial; i++ {
		out = append(out, fmt.Sprintf("<SPECIAL_%d>", i))
	}
	seen := map[string]int{}
	for i, s := range out {
		if old, ok := seen[s]; ok || s == "" {
			return nil, fmt.Errorf("special tokens %d and %d are both %q", old, i, s)
		}
		seen[s] = i
	}
	return out, nil
}

// parseTekken reads an entry of vocab.
func parseTekken(entry []byte) (tok tekkenToken, err error) {
	if rest := skipSpace(entry); len(rest) > 0 && rest[0] == '{' { // without reflection, where nothing is unusual
		ids, texts := 0, 0
		for rest = skipSpace(rest[1:]); len(rest) > 0 && rest[0] == '"'; rest = skipSpace(rest) {
			var key, text string
			if key, rest, err = cutString(rest); err != nil {
				break
			}
			rest = skipSpace(rest)
			rest = skipSpace(rest[1:]) // the colon
			n := 0
			for n < len(rest) && rest[n] != ',' && rest[n] != '}' && rest[n] != '"' {
				n++
			}
			switch value := string(bytes.TrimSpace(rest[:n])); {
			case n < len(rest) && rest[n] == '"':
				if text, rest, err = cutString(rest); err == nil && strings.EqualFold(key, "token_bytes") {
					tok.Bytes = text
					texts++
				}
				n = 0
			case strings.EqualFold(key, "rank"):
				if tok.Rank, err = strconv.Atoi(value); err == nil {
					ids++
				}
			}
			rest = bytes.TrimPrefix(skipSpace(rest[n:]), []byte(","))
		}
		if ids == 1 && texts == 1 && err == nil && string(rest) == "}" {
			return tok, nil
		}
	}
	tok = tekkenToken{}
	return tok, json.Unmarshal(entry, &tok)
}

// putTekken makes tokens, types, merges and ids.
func (v *Vocab) putTekken(list [][]byte, special []string) error {
	r := &ranks{of: make(map[string]int, len(list))}
	for i, entry := range list {
		tok, err := parseTekken(entry)
		if err != nil {
			return fmt.Errorf("vocab %d: %w", i, jsonError(err))
		}
		raw, err := base64.StdEncoding.DecodeString(tok.Bytes)
		if err != nil {
			return fmt.Errorf("vocab %d: token_bytes %.40q is not base64", i, tok.Bytes)
		}
		if i < 256 && len(raw) != 1 {
			return fmt.Errorf("vocab %d: %q is not a byte; the first 256 tokens are the bytes", i, raw)
		}
		if err := r.add(string(raw), tok.Rank); err != nil {
			return fmt.Errorf("vocab %d: %w", i, err)
		}
	}
	if err := r.checkBytes(); err != nil {
		return err
	}
	v.model, v.idsFirst = "gpt2", true
	v.tokens = append(special, r.spelled()...)
	v.types = make([]int32, len(v.tokens))
	v.quirks = append(v.quirks, Quirk{"tokenizer.ggml.scores", "zeros of type INT32, which loaders take for FLOAT32; zeros are the same in both", nil})
	for i := range v.types {
		v.types[i] = typeNormal
		if i < len(special) {
			v.types[i] = typeControl
		}
	}
	v.findDoubles()
	var err error
	if v.merges, err = r.splits(); err != nil {
		return err
	}
	for _, n := range []namedID{{"bos", "<s>"}, {"eos", "</s>"}, {"unk", "<unk>"}, {"pad", "<pad>"}} {
		id := slices.Index(special, n.text)
		if id < 0 {
			return fmt.Errorf("there is no special token %q", n.text)
		}
		v.special.ids = append(v.special.ids, idEntry{n.kind, uint32(id)})
	}
	v.special.add = []addEntry{{"bos", true}, {"eos", false}}
	return nil
}

// splits is all the ways to put each token together from two others, tokens by rank and the ways by their ranks.
func (r *ranks) splits() ([]string, error) {
	var out []string
	for rank, tok := range r.tokens[256:] {
		if len(tok) > maxToken {
			return nil, fmt.Errorf("the token of rank %d has %d bytes", rank+256, len(tok))
		}
		var ways [][2]int
		for cut := 1; cut < len(tok); cut++ {
			left, ok := r.of[tok[:cut]]
			if !ok {
				continue
			}
			if right, ok := r.of[tok[cut:]]; ok {
				ways = append(ways, [2]int{left, right})
			}
		}
		if len(ways) == 0 {
			return nil, fmt.Errorf("the token %q of rank %d is not two others put together", tok, rank+256)
		}
		slices.SortFunc(ways, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
		for _, w := range ways {
			out = append(out, pretoken.Spell(r.tokens[w[0]])+" "+pretoken.Spell(r.tokens[w[1]]))
		}
	}
	return out, nil
}

// setPattern wants the pattern to be tekken's, or a name that replaces it.
func (v *Vocab) setPattern(pattern string, opts Options) error {
	v.pre = "tekken"
	if opts.Pre != "" {
		_, err := pretoken.New(opts.Pre)
		v.pre = opts.Pre
		return preError(err)
	}
	info, _ := pretoken.Lookup(v.pre)
	if !slices.Equal([]string{pattern}, info.Model) {
		return unsupported("config.pattern %q is not known (--pre NAME sets the pre-tokenizer)", pattern)
	}
	return nil
}

// tekkenTemplate takes chat_template.jinja, or the name under which llama.cpp has the version's template built in.
func (v *Vocab) tekkenTemplate(f *files, t *tekken) error {
	text, err := readJinja(f.fsys, "chat_template.jinja")
	if err != nil {
		return err
	}
	if name := tekkenVersions[t.Config.Version]; name != "" {
		v.special.template = &name
		return nil
	}
	if text == nil {
		v.warn("tekken.json: there is no chat_template.jinja, and none is known for version %s; llama.cpp's converter brings one along", t.Config.Version)
		return nil
	}
	v.special.template = text
	v.checkTemplate("chat template", *text)
	return nil
}
