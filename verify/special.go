package verify

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert"
)

// ends are the special tokens that a conversation stands or falls with.
var ends = []string{"bos", "eos", "eot"}

// quirk is the reference's defect in a key, if the conversion reproduces one.
func (c *conformity) quirk(key string) (convert.Quirk, bool) {
	i := slices.IndexFunc(c.quirks, func(q convert.Quirk) bool { return q.Key == key })
	if i < 0 {
		return convert.Quirk{}, false
	}
	return c.quirks[i], true
}

// specials compares the ids of special tokens.
func (c *conformity) specials() {
	keys := map[string]bool{}
	var order []string
	for key := range c.theirs.All() {
		if isSpecial(key) {
			keys[key], order = true, append(order, key)
		}
	}
	for key := range c.mine.All() {
		if isSpecial(key) && !keys[key] {
			order = append(order, key)
		}
	}
	for _, key := range order {
		kind := strings.TrimSuffix(strings.TrimPrefix(key, vocabPrefix), "_token_id")
		mine, err := c.mine.Int(key)
		theirs, err2 := c.theirs.Int(key)
		warn := !slices.Contains(ends, kind)
		switch {
		case err == nil && err2 == nil && mine == theirs:
		case err != nil && err2 == nil:
			c.find(warn, kind, "the %s token is not set, the source's is %s", kind, c.named(theirs))
		case err2 != nil:
			c.find(kind != "bos", kind, "the %s token is %s, the source has none", kind, c.named(mine))
		default:
			c.find(warn, kind, "wrong %s: it is token %s, the source's is %s", kind, c.named(mine), c.named(theirs))
		}
	}
}

func isSpecial(key string) bool {
	return strings.HasPrefix(key, vocabPrefix) && strings.HasSuffix(key, "_token_id")
}

func (c *conformity) named(id int64) string {
	tk := c.tk
	if tk == nil {
		tk = c.ref
	}
	if id < 0 || id >= int64(tk.Size()) {
		return fmt.Sprintf("%d, outside of the vocabulary", id)
	}
	return fmt.Sprintf("%d %.40q", id, tk.TokenText(int32(id)))
}

// switches compares what is added to texts. A defect of the reference that the file has too is a warning; one that it
// mends is none.
func (c *conformity) switches() {
	for _, name := range []string{"add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix", "remove_extra_whitespaces"} {
		key := vocabPrefix + name
		mine, has := c.mine.Get(key)
		theirs, want := c.theirs.Get(key)
		q, defect := c.quirk(key)
		switch {
		case defect && has && mine == q.Right:
		case defect && mine == theirs:
			c.find(true, "reference-defect", "%s: %s: %v would be right, as fixes of a recipe set it", key, q.What, q.Right)
		case has == want && mine == theirs:
		case !has && theirs == false && name != "add_space_prefix": // what loaders take it for
		case !has:
			c.find(false, name, "%s is not set, the source's is %v", key, theirs)
		case !want && mine == false:
		case !want:
			c.find(false, name, "%s is %v, the source does not set it", key, mine)
		default:
			c.find(false, name, "wrong %s: it is %v, the source's is %v", key, mine, theirs)
		}
	}
	for _, q := range c.quirks {
		if mine, ok := c.mine.Get(q.Key); ok && !strings.Contains(q.Key, ".add_") && q.Right != nil && fmt.Sprint(mine) != fmt.Sprint(q.Right) {
			c.find(true, "reference-defect", "%s: %s", q.Key, q.What)
		}
	}
}

// declared holds the file's beginning and end of texts against what config.json, generation_config.json and
// tokenizer_config.json each say.
func (c *conformity) declared() {
	if c.Checkpoint == nil {
		return
	}
	config, generation, tokenizer := c.object("config.json"), c.object("generation_config.json"), c.object("tokenizer_config.json")
	if text, ok := config["text_config"].(map[string]any); ok && config["eos_token_id"] == nil {
		config = text
	}
	for _, kind := range ends[:2] {
		id, err := c.mine.Int(vocabPrefix + kind + "_token_id")
		said := append(ids(config[kind+"_token_id"]), ids(generation[kind+"_token_id"])...)
		text := tokenText(tokenizer[kind+"_token"])
		if _, defect := c.quirk(vocabPrefix + kind + "_token_id"); defect {
			continue // reported already
		}
		if err != nil || len(said) == 0 && text == "" || slices.Contains(said, id) || text != "" && c.tk.TokenText(int32(id)) == text {
			continue
		}
		c.find(true, kind, "the %s token is %s; config.json says %v, generation_config.json %v, tokenizer_config.json %q", kind, c.named(id),
			config[kind+"_token_id"], generation[kind+"_token_id"], text)
	}
	for _, id := range ids(generation["eos_token_id"]) {
		if id >= 0 && id < int64(c.tk.Size()) && !c.tk.IsEOG(int32(id)) {
			c.notes = append(c.notes, fmt.Sprintf("generation_config.json ends texts at token %s too, which the file does not end at", c.named(id)))
		}
	}
}

// object reads a JSON object of the checkpoint; nil where there is none.
func (c *conformity) object(name string) map[string]any {
	text, err := fs.ReadFile(c.Checkpoint.Files, name)
	if err != nil {
		return nil
	}
	var out map[string]any
	if json.Unmarshal(text, &out) != nil {
		return nil
	}
	return out
}

// ids are the ids of a number or a list of numbers.
func ids(v any) []int64 {
	switch v := v.(type) {
	case float64:
		return []int64{int64(v)}
	case []any:
		var out []int64
		for _, e := range v {
			out = append(out, ids(e)...)
		}
		return out
	}
	return nil
}

// tokenText is the text of a token that stands by itself or as an object.
func tokenText(v any) string {
	if m, ok := v.(map[string]any); ok {
		v = m["content"]
	}
	s, _ := v.(string)
	return s
}
