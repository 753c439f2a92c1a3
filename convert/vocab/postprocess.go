package vocab

import "slices"

// postProcessing reads from a tokenizer.json's post-processor whether BOS, EOS and SEP are
// added, as the reference does: crudely, and changing tokenizer_config.json on the way.
type postProcessing struct {
	s         *specialVocab
	config    *object         // a copy of tokenizer_config.json
	byteLevel map[string]bool // kinds whose add flag stems from a ByteLevel alone

	bos, cls, eos, sep any
}

func newPostProcessing(s *specialVocab, config *object) *postProcessing {
	p := &postProcessing{s: s, config: &object{values: map[string]any{}}, byteLevel: map[string]bool{}}
	if config != nil {
		for _, k := range config.keys {
			p.config.set(k, config.values[k])
		}
	}
	p.bos, p.cls = p.config.get("bos_token"), p.config.get("cls_token")
	p.eos, p.sep = p.config.get("eos_token"), p.config.get("sep_token")
	if !truthy(p.bos) && truthy(p.cls) {
		p.bos = p.cls
		p.config.set("bos_token", p.bos)
	}
	if !truthy(p.eos) && truthy(p.sep) {
		p.eos = p.sep
		p.config.set("eos_token", p.eos)
	}
	return p
}

func (p *postProcessing) read(proc map[string]any) {
	if len(proc) == 0 {
		return
	}
	list := []any{proc}
	if l, ok := proc["processors"].([]any); ok {
		list = l
	}
	for _, item := range list {
		m, _ := item.(map[string]any)
		switch m["type"] {
		case "ByteLevel":
			for _, kind := range []string{"bos", "eos"} {
				if _, ok := p.s.adds(kind); !ok {
					p.s.setAdd(kind, false)
					p.byteLevel[kind] = true
				}
			}
		case "RobertaProcessing":
			p.roberta(m)
		case "TemplateProcessing":
			p.template(m)
		}
	}
}

func (p *postProcessing) setAdd(kind string, value bool) {
	p.s.setAdd(kind, value)
	delete(p.byteLevel, kind)
}

func (p *postProcessing) roberta(m map[string]any) {
	for _, kind := range []string{"bos", "eos", "sep"} {
		p.setAdd(kind, true)
	}
	p.cls = p.adopt(p.cls, "cls_token", m["cls"], p.bos)
	p.sep = p.adopt(p.sep, "sep_token", m["sep"], p.eos)
}

// adopt is a token the configuration lacks, from a RobertaProcessing's [token, id] or else another.
func (p *postProcessing) adopt(have any, key string, pair, other any) any {
	if truthy(have) || p.config.empty() {
		return have
	}
	if l, ok := pair.([]any); ok && len(l) > 0 {
		other = l[0]
	}
	p.config.set(key, other)
	return other
}

// template reads a TemplateProcessing: special tokens that begin and end "single", and what
// stands between A and B of "pair".
func (p *postProcessing) template(m map[string]any) {
	single, _ := m["single"].([]any)
	pair, _ := m["pair"].([]any)
	var first, last string
	if len(single) > 1 {
		if first = part(single[0], "SpecialToken"); first != "" {
			p.leading(first)
		}
		if last = part(single[len(single)-1], "SpecialToken"); last != "" {
			p.trailing(last)
		}
	}
	if len(pair) > 0 && first != "" && part(pair[0], "SpecialToken") == first {
		pair = pair[1:]
	}
	if len(pair) > 0 && last != "" && part(pair[len(pair)-1], "SpecialToken") == last {
		pair = pair[:len(pair)-1]
	}
	if len(pair) > 2 && part(pair[0], "Sequence") == "A" && part(pair[len(pair)-1], "Sequence") == "B" {
		p.middle(pair[1:len(pair)-1], last)
	}
}

// part is the id of a template's piece, if it is of that kind.
func part(piece any, kind string) string {
	m, _ := piece.(map[string]any)
	inner, _ := m[kind].(map[string]any)
	id, _ := inner["id"].(string)
	return id
}

func (p *postProcessing) leading(first string) {
	known := func() bool { return is(p.bos, first) || is(p.cls, first) }
	if p.config.empty() {
		p.bos = first
	} else if !known() {
		if !truthy(p.bos) {
			p.bos = first
			p.config.set("bos_token", first)
		}
		if !truthy(p.cls) {
			p.cls = first
			p.config.set("cls_token", first)
		}
	}
	p.setAdd("bos", known())
}

// trailing makes a token that ends "single" the EOS; another one that was EOS becomes EOT, then EOM.
func (p *postProcessing) trailing(last string) {
	if !p.config.empty() && !is(p.eos, last) {
		for _, kind := range []string{"eot", "eom"} {
			if !slices.Contains(p.s.kinds, kind) {
				p.s.kinds = append(p.s.kinds, kind)
				p.config.set(kind+"_token", p.eos)
				break
			}
		}
		p.config.set("eos_token", last)
	}
	p.eos = last
	p.setAdd("eos", true)
}

// middle reads the one or two separators between the sequences of "pair".
func (p *postProcessing) middle(pieces []any, last string) {
	separates := func(piece any) bool {
		id := part(piece, "SpecialToken")
		return id != "" && (is(p.sep, id) || is(p.eos, id))
	}
	add := separates(pieces[0]) && last == ""
	if len(pieces) == 2 && separates(pieces[1]) {
		add = true
	}
	p.setAdd("sep", add)
	if add && !truthy(p.sep) && !p.config.empty() {
		p.config.set("sep_token", p.eos)
	}
}

// is reports whether v is the string s.
func is(v any, s string) bool {
	text, ok := v.(string)
	return ok && text == s
}
