package convert

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// modelID is a model's name taken apart: a string in each field, or nil.
type modelID struct {
	name, org, basename, finetune, version, sizeLabel any
}

// namePart is one word of a name between hyphens with what it may mean.
type namePart struct {
	text                                     string
	version, quant, size, finetune, basename bool
}

func (p *namePart) marks() int {
	n := 0
	for _, m := range []bool{p.version, p.quant, p.size, p.finetune, p.basename} {
		if m {
			n++
		}
	}
	return n
}

// Python's \d and \w are Unicode's.
var (
	versionWord  = regexp.MustCompile(`^(?i:(v|iter)?\p{Nd}+([.]\p{Nd}+)*)$`)
	quantWord    = regexp.MustCompile(`^(?i:i?q\p{Nd}(_[\p{L}\p{N}_])*|b?fp?(16|32))$`)
	sizeWord     = regexp.MustCompile(`^(?i:(([A]|\p{Nd}+[x])?\p{Nd}+([._]\p{Nd}+)?[KMBT]\p{Nd}?|small|mini|medium|large|x?xl))$`)
	finetuneWord = regexp.MustCompile(`^(?i:chat|instruct|vision|lora)$`)
)

// parseModelID takes apart owner/Name-7B-chat-v2 by the reference's heuristics.
// params, the model's weights, tells a size from a context length; 0 when unknown.
func parseModelID(id string, params int64) modelID {
	if strings.Contains(id, " ") { // a sentence, not an id
		return modelID{name: id}
	}
	var m modelID
	name := id
	if org, rest, ok := strings.Cut(id, "/"); ok {
		name = rest
		if !strings.HasPrefix(org, ".") { // as in ./ and ../
			m.org = org
		}
	}
	m.name = name
	parts := splitName(name)
	for i := range parts {
		parts[i].mark(i == 0, params)
	}
	dropSizeWords(parts)
	markBasename(parts)
	m.basename = joinParts(parts, false, func(p namePart) bool { return p.basename })
	m.sizeLabel = joinParts(parts, true, func(p namePart) bool { return p.size })
	m.finetune = joinParts(parts, false, func(p namePart) bool { return p.finetune })
	m.version = joinParts(parts, false, func(p namePart) bool { return p.version && !p.basename })
	if m.sizeLabel == nil && m.finetune == nil && m.version == nil {
		m.basename = nil // the whole name would be the basename: says nothing
	}
	return m
}

func splitName(name string) []namePart {
	var parts []namePart
	for _, s := range strings.Split(name, "-") {
		if s != "" {
			parts = append(parts, namePart{text: s})
		}
	}
	return parts
}

// mark says what a word looks like by itself. The first word is never a size or a finetune.
func (p *namePart) mark(first bool, params int64) {
	switch {
	case versionWord.MatchString(p.text):
		p.version = true
	case quantWord.MatchString(p.text):
		p.quant = true
		p.text = strings.ToUpper(p.text)
	case !first && sizeWord.MatchString(p.text):
		p.markSize(params)
	case !first && finetuneWord.MatchString(p.text):
		if params < 0 && strings.ToLower(p.text) == "lora" { // an adapter says so by its kind
			p.quant = true
		} else {
			p.finetune = true
		}
	}
}

// markSize brings a size into the form 7.1B, or takes it for a finetune's context
// length when it is far from the model's size.
func (p *namePart) markSize(params int64) {
	w := []rune(strings.ReplaceAll(p.text, "_", "."))
	if n := len(w); isDecimal(w[n-1]) { // 7b1
		w = []rune(string(w[:n-2]) + "." + string([]rune{w[n-1], w[n-2]}))
	}
	n := len(w)
	if n > 1 && isDecimal(w[n-2]) && strings.ContainsRune("kmbt", w[n-1]) {
		w[n-1] = unicode.ToUpper(w[n-1])
	}
	if count, ok := sizeValue(w); ok && params != 0 {
		total := float64(params)
		if params < 0 && count < float64(-params/8) || params > 0 && math.Abs(count-total) > float64(7*params/8) {
			p.finetune = true
			w[n-1] = unicode.ToLower(w[n-1])
		}
	}
	p.size = !p.finetune
	p.text = string(w)
}

// sizeValue is the number that a size stands for; words and 8x7B have none.
func sizeValue(w []rune) (float64, bool) {
	n := len(w)
	digits := make([]byte, 0, n)
	for _, c := range w[:n-1] {
		switch {
		case c == '.':
			digits = append(digits, '.')
		case isDecimal(c):
			digits = append(digits, '0'+decimalValue(c))
		default:
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(digits), 64)
	if err != nil {
		return 0, false
	}
	return f * math.Pow(1000, float64(strings.IndexRune(" KMBT", w[n-1]))), true
}

// dropSizeWords: "mini" is no size where "8B" is one.
func dropSizeWords(parts []namePart) {
	numbers := slices.ContainsFunc(parts, func(p namePart) bool { return p.size && strings.ContainsFunc(p.text, isDecimal) })
	for i := range parts {
		p := &parts[i]
		if numbers && p.size && !strings.ContainsFunc(p.text, func(c rune) bool { return !unicode.IsLetter(c) }) {
			p.size = false
		}
	}
}

// markBasename marks the leading words; versions among them belong to it unless
// they end it. What is left without a meaning is the finetune.
func markBasename(parts []namePart) {
	start := true
	for i := range parts {
		p := &parts[i]
		first := []rune(p.text)[0]
		if start && (p.marks() == 0 && unicode.IsLetter(first) || p.version) {
			p.basename = true
			continue
		}
		start = false
		if p.marks() == 0 {
			p.finetune = true
		}
	}
	for i := len(parts) - 1; i >= 0 && parts[i].basename && parts[i].marks() > 1; i-- {
		parts[i].basename = false
	}
}

// joinParts joins the words that keep chooses, nil when there are none.
func joinParts(parts []namePart, once bool, keep func(namePart) bool) any {
	var words []string
	for _, p := range parts {
		if keep(p) && !(once && slices.Contains(words, p.text)) {
			words = append(words, p.text)
		}
	}
	if len(words) == 0 {
		return nil
	}
	return strings.Join(words, "-")
}

// keptWord is a version or number, which a title leaves as it is.
var keptWord = regexp.MustCompile(`^(v\p{Nd}+(?:\.\p{Nd}+)*|\p{Nd}.*)$`)

// cardTitle is the name as a title: hyphens become spaces, words in lower case get a capital. nil stays nil.
func cardTitle(name any) any {
	s, ok := name.(string)
	if !ok {
		return nil
	}
	words := strings.FieldsFunc(strings.ReplaceAll(s, "-", " "), isPySpace)
	for i, w := range words {
		if isPyLower(w) && !keptWord.MatchString(w) {
			words[i] = pyTitle(w)
		}
	}
	return strings.Join(words, " ")
}
