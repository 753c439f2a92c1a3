package evidence

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// mixedUnits finds sizes in decimal and in binary units within one document, where a reader cannot tell which GB is
// meant. Code, which quotes what programs print, does not count.
func mixedUnits(text string) []string {
	var decimal, binary *Word
	both := map[float64]string{}
	var out []string
	for _, w := range Words(prose(text)) {
		if !w.Number || byteUnits[w.Unit] <= 1 { // bytes are bytes in both
			continue
		}
		kind := &decimal
		if strings.Contains(w.Unit, "i") {
			kind = &binary
		}
		if *kind == nil {
			first := w
			*kind = &first
		}
		other, ok := both[w.Value]
		if ok && strings.ReplaceAll(other, "i", "") == strings.ReplaceAll(w.Unit, "i", "") && other != w.Unit {
			out = append(out, fmt.Sprintf("line %d: %v is %s here and %s before", w.Line, w.Value, w.Unit, other))
		}
		both[w.Value] = w.Unit
	}
	if decimal != nil && binary != nil {
		out = append(out, fmt.Sprintf("line %d has %s, line %d has %s", decimal.Line, decimal.written(), binary.Line, binary.written()))
	}
	return out
}

// statement is a figure that a document states of something.
type statement struct {
	line  int
	value float64 // in the base unit
	text  string
}

// metrics are what two values of one document must not differ in. Words that change what is measured are part of the
// key (scopes below).
var metrics = []struct {
	name, dim string
	re        *regexp.Regexp
}{
	{"memory saving", "%", regexp.MustCompile(`(?i)\b(v?ram|gpu|memory)\b.{0,20}\b(savings?|reduction|saved|reduced)\b|\b(savings?|reduction)\b.{0,20}\b(v?ram|gpu memory)\b`)},
	{"device memory", "bytes", regexp.MustCompile(`(?i)\b(vram|gpu (memory|usage|peak|process usage)|device memory|nvidia-smi)\b`)},
	{"model size", "bytes", regexp.MustCompile(`(?i)\b(model|file|gguf|download) size\b|^\W*file\b`)},
	{"speed", "speed", regexp.MustCompile(`(?i)\b(tps|tok(ens)?/s(ec)?|tokens per second|generation speed|throughput)\b`)},
	{"time to first token", "time", regexp.MustCompile(`(?i)\b(ttft|first[- ]token)\b`)},
	{"load time", "time", regexp.MustCompile(`(?i)\bload(ing)? time\b`)},
	{"perplexity", "", regexp.MustCompile(`(?i)\b(perplexity|ppl)\b`)},
	{"vocabulary", "", regexp.MustCompile(`(?i)\bvocab(ulary)?( size)?\b`)},
}

var (
	modelWord = regexp.MustCompile(`(?i)\b(gpt-oss|phi-[\d.]+-moe|phi|deepseek|mixtral|qwen[\d.]*|olmoe|grin|granite|llama|glm|kimi|ernie|hunyuan)[\w.-]*`)
	scopeWord = regexp.MustCompile(`(?i)\b(baseline|without|offload(ed|ing)?|cpu-moe|n-cpu-moe|streaming|non-streaming|batch|prefill|prompt|q\d\w*|iq\d\w*|f16|bf16|f32|fp16|mean|average|peak|min(imum)?|max(imum)?|run \d+)\b`)
)

// twoValues finds metrics that one document gives two values for, of the same model in the same circumstances. A line
// counts that states one value of the metric's dimension.
func twoValues(text string) []string {
	found := map[string][]statement{}
	var order []string
	subject, n := "", 0
	for line := range strings.Lines(prose(text)) {
		n++
		if strings.HasPrefix(line, "#") {
			subject = strings.ToLower(modelWord.FindString(line))
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(line), "|") {
			continue // a table gives one value a row and column; what a cell is about stands elsewhere
		}
		key, st, ok := state(line, subject)
		if !ok {
			continue
		}
		st.line = n
		if found[key] == nil {
			order = append(order, key)
		}
		found[key] = append(found[key], st)
	}
	var out []string
	for _, key := range order {
		list := found[key]
		for _, s := range list[1:] {
			if a := list[0]; math.Abs(a.value-s.value) > 0.02*math.Max(math.Abs(a.value), math.Abs(s.value)) {
				metric, _, _ := strings.Cut(key, "|")
				out = append(out, fmt.Sprintf("%s is %s in line %d and %s in line %d", metric, a.text, a.line, s.text, s.line))
				break
			}
		}
	}
	return out
}

// state is the one statement a line makes, if it makes one.
func state(line, subject string) (string, statement, bool) {
	for _, m := range metrics {
		if !m.re.MatchString(line) {
			continue
		}
		var list []Word
		for _, w := range Words(line) {
			if w.Number && dimension(w.Unit) == m.dim {
				list = append(list, w)
			}
		}
		if len(list) != 1 {
			continue
		}
		if s := modelWord.FindString(line); s != "" {
			subject = strings.ToLower(s)
		}
		scopes := scopeWord.FindAllString(strings.ToLower(line), -1)
		slices.Sort(scopes)
		f, _ := base(list[0].Unit)
		key := m.name + "|" + subject + "|" + strings.Join(slices.Compact(scopes), " ")
		return key, statement{value: list[0].Value * f, text: list[0].written()}, true
	}
	return "", statement{}, false
}

func dimension(unit string) string {
	_, dim := base(unit)
	return dim
}
