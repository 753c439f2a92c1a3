package pretoken

import "slices"

// scheme is one way of cutting text and the names it goes by.
type scheme struct {
	names   []string   // the first is written where nothing tells them apart
	nfcName string     // written instead where the text is normalised to NFC first
	loader  []string   // regexes as llama.cpp applies them, each to the pieces the one before left
	model   [][]string // the models' own spellings; the first is the one to cut by. None: the loader's

	ignoreMerges bool // a word that is a token is not taken apart
	addBOS       bool // what a loader does when the file has no add_bos_token
	addSEP       bool
	rawUTF8      bool // merges work on UTF-8 text, not on the byte alphabet
}

// schemes is every byte-pair pre-tokenizer of llama.cpp's vocabulary loader. Where several
// schemes cut alike, the earlier is preferred.
var schemes = []scheme{
	{names: []string{"deepseek-llm"},
		loader: []string{lineEnd, deepseekLetters, deepseekSymbols, trailingSpace, deepseekCJK, digitRuns},
		model:  [][]string{{lineEnd, deepseekLetters, deepseekSymbols, trailingSpace, deepseekCJK, eachDigit}}},
	{names: []string{"deepseek-coder"},
		loader: []string{lineEnd, `\s?\p{L}+`, `\s?\p{P}+`, deepseekCJK, eachDigit}},
	{names: []string{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
		loader: []string{threeDigits, cjkWords, deepseek3Words}},
	{names: []string{"spark2_5"},
		loader: []string{threeDigits, cjkWords, spark25Words, eachDigit}},
	{names: []string{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"},
		loader: []string{llama3Loader}, model: [][]string{{llama3}}, ignoreMerges: true, addBOS: true},
	{names: []string{"glm4", "glm5"},
		loader: []string{llama3Loader}, model: [][]string{{llama3}}, ignoreMerges: true},
	{names: []string{"smaug-bpe", "dbrx", "chatglm-bpe"},
		loader: []string{llama3Loader}, model: [][]string{{llama3}}},
	{names: []string{"jais-2"},
		loader: []string{contractions + `|` + word + `|\p{N}{1,3}|` + jais2Tail},
		model:  [][]string{{contractionsI + `|` + word + `|\p{N}{1,3}|` + jais2Tail}}},
	{names: []string{"minicpm5"},
		loader:       []string{threeDigits, contractions + `|` + word + `|\p{N}+|` + lineTail},
		model:        [][]string{{threeDigits, contractionsI + `|` + word + `|\p{N}+|` + lineTail}},
		ignoreMerges: true},
	{names: []string{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"},
		loader: []string{qwen2Loader}, model: [][]string{{qwen2}}},
	{names: []string{"qwen35"},
		loader: []string{contractions + `|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|` + newlines + `|` + spaces},
		model:  [][]string{{contractionsI + `|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|` + newlines + `|` + spaces}}},
	{names: []string{"ufakzeka"},
		loader: []string{word + `|\p{N}|` + lineTail}},
	{names: []string{"laguna"},
		loader: []string{`[^\n]+|[\n]+`, qwen2Loader}, model: [][]string{{`[^\n]+|[\n]+`, qwen2}}},
	{names: []string{"seed-coder"},
		loader: []string{contractions + `|` + word + `|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|` + newlines + `|` + spaces},
		model:  [][]string{{contractionsI + `|` + word + `|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|` + newlines + `|` + spaces}}},
	{names: []string{"bailingmoe", "bailingmoe2", "llada-moe"},
		loader: []string{`'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|` + spaces},
		model: [][]string{
			{`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|` + spaces},
			{`'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|` + spaces}}},
	{names: []string{"exaone-moe"},
		loader: []string{contractions + `|` + exaoneWords}, model: [][]string{{contractionsI + `|` + exaoneWords}}},
	{names: []string{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"},
		loader: []string{o200kLoader}, model: [][]string{{o200k}}},
	{names: []string{"granite-embed-multi-97m"},
		loader:       []string{markedLower + contractions + `?|` + markedUpper + contractions + `?|\p{N}{1,3}|` + slashTail},
		model:        [][]string{{o200k}},
		ignoreMerges: true},
	{names: []string{"tekken"},
		loader:       []string{looseLower + `|` + looseUpper + `|\p{N}|` + slashTail},
		model:        [][]string{{casedLower + `|` + casedUpper + `|\p{N}|` + slashTail}},
		ignoreMerges: true, addBOS: true},
	{names: []string{"tiny_aya", "cohere2moe"},
		loader: []string{`\d{1,3}(?=(?:\d{3})*\b)`, casedLower + contractions + `?|` + casedUpper + contractions + `?|\p{N}{1,3}|` + slashTail},
		model:  [][]string{{`\d{1,3}(?=(?:\d{3})*\b)`, o200k}}},
	{names: []string{"youtu"},
		loader: []string{`[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+`,
			casedLower + contractions + `?|` + casedUpper + contractions + `?|\p{N}|` + slashTail},
		ignoreMerges: true},
	{names: []string{"kimi-k2"}, // the loader takes this regex as the name of code of its own
		loader: []string{`\p{Han}+`}, model: [][]string{{kimi}}},
	{names: []string{"afmoe"},
		loader: []string{rightGroups,
			`[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+`, afmoeWords}},
	{names: []string{"superbpe"},
		loader: []string{digitRuns, `(?=(\d{3})+(?!\d))`}},
	{names: []string{"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum",
		"modern-bert", "jais", "exaone4", "trillion", "granite-docling", "mpt", "olmo"},
		nfcName: "olmo", loader: []string{gpt2Loader}, model: [][]string{{gpt2}}},
	{names: []string{"roberta-bpe", "jina-v1-en", "jina-v2-code"},
		loader: []string{gpt2Loader}, model: [][]string{{gpt2}}, addSEP: true},
	{names: []string{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"},
		loader: []string{eachDigit, gpt2Loader}, model: [][]string{{eachDigit, gpt2}}},
	{names: []string{"falcon"},
		loader: []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2Loader, `[0-9][0-9][0-9]`}},
	{names: []string{"poro-chat", "bloom", "gpt3-finnish"},
		loader: []string{` ?[^(\s|.,!?…。，、।۔،)]+`}},
	{names: []string{"viking"},
		loader: []string{` ?[^(\s|.,!?…。，、।۔،)]+`, eachDigit}},
	{names: []string{"chameleon"},
		loader: []string{`<sentinel:[0-9]+>`, `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`, `([\t\n]|    |  )`, eachDigit,
			"[\\p{P}!-/:-@\\[-`{-~]", gpt2Loader},
		addBOS: true},
	{names: []string{"gemma4", "granite-embed-multi-311m"},
		loader: []string{`[^\n]+|[\n]+`}, rawUTF8: true},
	{names: []string{"sarvam-moe"},
		loader: []string{`[^\n]+|[\n]+`}, rawUTF8: true},
	{names: []string{"whitespace"},
		loader: []string{`\S+`}, rawUTF8: true},
	{names: []string{"default"},
		loader: []string{`[\p{P}\$\+<=>\^~\|]+`, gpt2Loader, digitRuns, `[0-9][0-9][0-9]`}},
}

const exaoneWords = `[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|` + spaces

// Info is what is known of a pre-tokenizer by its name.
type Info struct {
	Name         string
	Regexes      []string // as llama.cpp applies them, each to the pieces the one before left
	Model        []string // as the models' own tokenizers do; what Splitter follows
	IgnoreMerges bool     // a word that is a token is not taken apart
	AddBOS       bool     // what a loader does when the file has no add_bos_token
	AddSEP       bool     // likewise add_sep_token
	RawUTF8      bool     // merges work on UTF-8 text, not on the byte alphabet
}

// Lookup finds a pre-tokenizer by the name in tokenizer.ggml.pre.
func Lookup(name string) (Info, bool) {
	for i := range schemes {
		s := &schemes[i]
		if slices.Contains(s.names, name) {
			return Info{name, slices.Clone(s.loader), slices.Clone(s.steps()), s.ignoreMerges, s.addBOS, s.addSEP, s.rawUTF8}, true
		}
	}
	return Info{}, false
}

// Names lists the known pre-tokenizers in alphabetical order.
func Names() []string {
	var out []string
	for i := range schemes {
		out = append(out, schemes[i].names...)
	}
	slices.Sort(out)
	return out
}

// steps are the regexes to cut by.
func (s *scheme) steps() []string {
	if len(s.model) > 0 {
		return s.model[0]
	}
	return s.loader
}
