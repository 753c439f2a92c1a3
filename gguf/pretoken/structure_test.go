package pretoken

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// parts are the two parts of a tokenizer.json that say how text is cut.
type parts struct {
	Normalizer   json.RawMessage `json:"normalizer"`
	PreTokenizer json.RawMessage `json:"pre_tokenizer"`
}

func readParts(t testing.TB, name string) parts {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var p parts
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func classify(p parts, ignoreMerges bool, prefer ...string) (Match, error) {
	st, err := ParseStructure(p.PreTokenizer, p.Normalizer)
	if err != nil {
		return Match{}, err
	}
	return Classify(st, ignoreMerges, prefer...)
}

func TestClassifyFixtures(t *testing.T) {
	for _, name := range []string{testdata.Path("tiny", "tiny-moe-go", "tokenizer.json"),
		testdata.Path("families", "deepseek-moe", "deepseek-moe-16b-chat", "tokenizer.json")} {
		m, err := classify(readParts(t, name), false)
		if err != nil || m.Name != "deepseek-llm" || m.NFC || m.MergesDiffer || len(m.Others) > 0 {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
}

func split(re string) string {
	q, _ := json.Marshal(re)
	return `{"type":"Split","pattern":{"Regex":` + string(q) + `},"behavior":"Isolated","invert":false}`
}

const (
	byteLevel      = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}`
	byteLevelRegex = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`
)

func sequence(nodes ...string) json.RawMessage {
	return json.RawMessage(`{"type":"Sequence","pretokenizers":[` + strings.Join(nodes, ",") + `]}`)
}

func TestClassify(t *testing.T) {
	nfc := json.RawMessage(`{"type":"NFC"}`)
	removed := strings.Replace(split(o200k), `"Isolated","invert":false`, `"Removed","invert":true`, 1)
	for _, c := range []struct {
		what   string
		p      parts
		ignore bool
		prefer []string
		want   Match
	}{
		{"llama 3", parts{nil, sequence(split(llama3), byteLevel)}, true, nil,
			Match{Name: "llama-bpe", Others: []string{"llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
				"jina-v5-nano", "glm4", "glm5", "smaug-bpe", "dbrx", "chatglm-bpe"}}},
		{"glm by family", parts{nil, sequence(split(llama3), byteLevel)}, true, []string{"glm4"}, Match{Name: "glm4"}},
		{"another family's names do not matter", parts{nil, sequence(split(qwen2), byteLevel)}, false, []string{"glm4", "grok-2"}, Match{Name: "grok-2"}},
		{"no ignore_merges", parts{nil, sequence(split(llama3), byteLevel)}, false, []string{"lfm2"}, Match{Name: "lfm2", MergesDiffer: true}},
		{"loader's spelling", parts{nil, sequence(split(qwen35()), byteLevel)}, false, nil, Match{Name: "qwen35"}},
		{"o200k, matches kept", parts{nil, sequence(removed, byteLevel)}, false, []string{"gpt-4o"}, Match{Name: "gpt-4o"}},
		{"nested sequences", parts{nil, sequence(string(sequence(split(threeDigits), split(cjkWords))), split(deepseek3Words), byteLevel)}, false,
			[]string{"deepseek-v3"}, Match{Name: "deepseek-v3"}},
		{"escaped line ends", parts{nil, sequence(split(threeDigits), split(cjkWords), split(canonical(deepseek3Words)), byteLevel)}, false,
			[]string{"deepseek-v3"}, Match{Name: "deepseek-v3"}},
		{"NFC", parts{nfc, sequence(byteLevelRegex)}, false, []string{"olmo"}, Match{Name: "olmo", NFC: true}},
		{"starcoder", parts{nil, sequence(`{"type":"Digits","individual_digits":true}`, byteLevelRegex)}, false, []string{"refact"}, Match{Name: "refact"}},
	} {
		m, err := classify(c.p, c.ignore, c.prefer...)
		if err != nil || m.Name != c.want.Name || m.NFC != c.want.NFC || m.MergesDiffer != c.want.MergesDiffer || !slices.Equal(m.Others, c.want.Others) {
			t.Errorf("%s: %+v %v, want %+v", c.what, m, err, c.want)
		}
	}
	if m, err := classify(parts{nfc, sequence(byteLevelRegex)}, false); err != nil || m.Name != "olmo" || !slices.Contains(m.Others, "mpt") {
		t.Errorf("NFC without a family: %+v %v", m, err)
	}
}

func qwen35() string {
	info, _ := Lookup("qwen35")
	return info.Regexes[0]
}

func TestClassifyRefuses(t *testing.T) {
	deepseek := func(change func([]string) []string) json.RawMessage {
		var nodes []string
		for _, re := range []string{lineEnd, deepseekLetters, deepseekSymbols, trailingSpace, deepseekCJK, eachDigit} {
			nodes = append(nodes, split(re))
		}
		return sequence(append(change(nodes), byteLevel)...)
	}
	same := func(n []string) []string { return n }
	for _, c := range []struct{ what, pre, norm, want string }{
		{"other order", string(deepseek(func(n []string) []string { n[0], n[1] = n[1], n[0]; return n })), "", "candidates that cut alike: deepseek-llm (compared with"},
		{"other spelling", string(sequence(split(strings.Replace(llama3, contractionsI, `'(?i:[sdmt]|ll|ve|re)`, 1)), byteLevel)), "", "candidates that cut alike: llama-bpe, llama3,"},
		{"four digits", string(sequence(split(strings.Replace(llama3, "1,3", "1,4", 1)), byteLevel)), "", `but cuts "1 12 123 1234 12345`},
		{"a regex that is none", string(sequence(split(`(`), byteLevel)), "", "could not be compared"},
		{"a step missing", string(deepseek(func(n []string) []string { return n[1:] })), "", "similar: deepseek-llm"},
		{"a step more", string(deepseek(func(n []string) []string { return append(n, split("x")) })), "", "similar: deepseek-llm"},
		{"one character differs", string(sequence(split(strings.Replace(llama3, "1,3", "1,4", 1)), byteLevel)), "", "not known"},
		{"no ByteLevel", string(sequence(split(llama3))), "", "no ByteLevel"},
		{"nothing", "null", "", "no ByteLevel"},
		{"not the last", string(sequence(byteLevel, split(llama3))), "", "Split after ByteLevel"},
		{"prefix space", string(sequence(strings.Replace(byteLevel, "false", "true", 1))), "", "add_prefix_space"},
		{"merged", strings.Replace(string(sequence(split(llama3), byteLevel)), "Isolated", "MergedWithPrevious", 1), "", "MergedWithPrevious"},
		{"a string pattern", strings.Replace(string(sequence(split(llama3), byteLevel)), "Regex", "String", 1), "", "without a regex"},
		{"Metaspace", string(sequence(`{"type":"Metaspace"}`, byteLevel)), "", "Metaspace"},
		{"Lowercase", string(deepseek(same)), `{"type":"Lowercase"}`, "normalizer Lowercase"},
		{"Lowercase in a sequence", string(deepseek(same)), `{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"StripAccents"}]}`, "StripAccents"},
	} {
		m, err := classify(parts{json.RawMessage(c.norm), json.RawMessage(c.pre)}, false)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want an UnknownError with %q", c.what, m, err, c.want)
		}
	}
	if _, err := classify(parts{nil, json.RawMessage(`{"type":3}`)}, false); err == nil || errors.As(err, new(*UnknownError)) {
		t.Errorf("a number for a type: %v", err)
	}
}

// Every name's own regexes lead back to a name that does the same.
func TestClassifyAllNames(t *testing.T) {
	for _, name := range Names() {
		info, _ := Lookup(name)
		if info.RawUTF8 {
			continue
		}
		for _, regexes := range [][]string{info.Regexes, info.Model} {
			nodes := []string{}
			for _, re := range regexes {
				nodes = append(nodes, split(re))
			}
			m, err := classify(parts{nil, sequence(append(nodes, byteLevel)...)}, info.IgnoreMerges, name)
			if err != nil || m.Name != name || m.MergesDiffer {
				t.Errorf("%s: %+v %v", name, m, err)
			}
		}
	}
}

// The probing texts tell apart all pre-tokenizers that do not cut by the same regexes.
func TestProbesTellApart(t *testing.T) {
	cuts := map[string]*scheme{}
	for i := range schemes {
		s := &schemes[i]
		if s.rawUTF8 {
			continue
		}
		splitter, err := New(s.names[0])
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, text := range probes {
			words, err := splitter.Words(text)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(strings.Join(words, "\x00") + "\x01")
		}
		same := []string{"qwen2", "bailingmoe"} // their regexes differ in nothing that shows
		if other := cuts[all.String()]; other != nil && !slices.Equal(other.steps(), s.steps()) && !slices.Equal(same, []string{other.names[0], s.names[0]}) {
			t.Errorf("%s and %s cut the probing texts alike", other.names[0], s.names[0])
		}
		cuts[all.String()] = s
	}
	if len(cuts) < 25 {
		t.Errorf("%d ways to cut", len(cuts))
	}
}
