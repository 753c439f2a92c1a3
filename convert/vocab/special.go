package vocab

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/moeconv/moeconv/gguf"
)

// specialVocab is what the reference derives about special tokens, in the order it writes it.
type specialVocab struct {
	kinds     []string // bos, eos ...; TemplateProcessing can add eot and eom
	ids       []idEntry
	add       []addEntry
	template  *string
	templates []namedTemplate
	limit     int64     // ids from here on are passed over
	beyond    []idEntry // those ids
}

// noLimit lets every id pass.
const noLimit = math.MaxInt64

type idEntry struct {
	kind string
	id   uint32
}

type addEntry struct {
	kind  string
	value bool
}

// idKeys are the metadata keys for the kinds that have one.
var idKeys = map[string]string{
	"bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding", "mask": "mask", "eot": "eot", "eom": "eom",
}

// addKeys are the kinds that have an add_*_token key.
var addKeys = []string{"bos", "eos", "sep"}

func (s *specialVocab) addIDs(md *gguf.Metadata) {
	for _, e := range s.ids {
		if key, ok := idKeys[e.kind]; ok {
			md.Set("tokenizer.ggml."+key+"_token_id", e.id)
		}
	}
}

func (s *specialVocab) addTo(md *gguf.Metadata) {
	s.addIDs(md)
	for _, e := range s.add {
		if slices.Contains(addKeys, e.kind) {
			md.Set("tokenizer.ggml.add_"+e.kind+"_token", e.value)
		}
	}
	s.addTemplates(md)
}

func (s *specialVocab) adds(kind string) (value, ok bool) {
	i := slices.IndexFunc(s.add, func(e addEntry) bool { return e.kind == kind })
	return i >= 0 && s.add[i].value, i >= 0
}

func (s *specialVocab) setAdd(kind string, value bool) {
	if i := slices.IndexFunc(s.add, func(e addEntry) bool { return e.kind == kind }); i >= 0 {
		s.add[i].value = value
		return
	}
	s.add = append(s.add, addEntry{kind, value})
}

// setID keeps the first id of a kind. Values that are no integers are passed over.
func (s *specialVocab) setID(kind string, v any) error {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	id, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil {
		return nil
	}
	if id < 0 || id > math.MaxUint32 {
		return fmt.Errorf("invalid id %d for the %s token", id, kind)
	}
	if id >= s.limit {
		s.beyond = append(s.beyond, idEntry{kind, uint32(id)})
		return nil
	}
	if !slices.ContainsFunc(s.ids, func(e idEntry) bool { return e.kind == kind }) {
		s.ids = append(s.ids, idEntry{kind, uint32(id)})
	}
	return nil
}

// loadSpecial derives special tokens, add_*_token and the chat template, from
// tokenizer.json's post-processor, then tokenizer_config.json, then config.json. Ids from limit
// on are passed over.
func (v *Vocab) loadSpecial(f *files, t *tokenizer, limit int64) error {
	s := &v.special
	s.limit = limit
	s.kinds = []string{"bos", "eos", "unk", "sep", "pad", "cls", "mask"}
	p := newPostProcessing(s, f.config)
	p.read(t.PostProcessor)
	if !f.config.empty() {
		if err := v.loadTemplate(f); err != nil {
			return err
		}
		if err := v.loadNamed(f, t, p); err != nil {
			return fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	text, _ := f.model.get("text_config").(map[string]any)
	for _, kind := range s.kinds {
		id := f.model.get(kind + "_token_id")
		if id == nil {
			id = text[kind+"_token_id"]
		}
		if err := s.setID(kind, id); err != nil {
			return fmt.Errorf("config.json: %w", err)
		}
	}
	for _, e := range append(s.beyond, s.ids...) {
		if int64(e.id) >= int64(len(v.tokens)) {
			v.warn("the %s token's id %d is outside of the vocabulary of %d", e.kind, e.id, len(v.tokens))
		}
	}
	return nil
}

// loadNamed reads add_*_token and *_token. Where the post-processor has spoken its word
// stands; for a ByteLevel one, which says nothing about it, that is the reference's defect.
func (v *Vocab) loadNamed(f *files, t *tokenizer, p *postProcessing) error {
	s := &v.special
	for _, kind := range s.kinds {
		key := "add_" + kind + "_token"
		if want, ok := p.config.get(key).(bool); ok {
			got, known := s.adds(kind)
			if !known {
				s.setAdd(kind, want)
			} else if got != want && p.byteLevel[kind] {
				v.quirks = append(v.quirks, Quirk{"tokenizer.ggml." + key,
					fmt.Sprintf("%t because tokenizer.json has a ByteLevel post-processor, though tokenizer_config.json says %t", got, want), want})
			} else if got != want {
				v.warn("tokenizer_config.json: %s is %t, the post-processor of tokenizer.json says %t and counts", key, want, got)
			}
		}
		content, ok := p.config.get(kind + "_token").(string)
		if m, isObject := p.config.get(kind + "_token").(map[string]any); isObject {
			content, ok = m["content"].(string)
		}
		if !ok {
			continue
		}
		for _, a := range t.AddedTokens {
			if a.Content == content {
				if err := s.setID(kind, json.Number(strconv.FormatInt(a.ID, 10))); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}
