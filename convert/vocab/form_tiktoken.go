package vocab

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/moeconv/moeconv/gguf/pretoken"
)

func init() {
	register("hunyuan", readHunyuan)
	register("kimi", readKimi)
	register("qwen", readQwen)
}

// classTokens are special tokens that no file of the checkpoint lists: the model's own Python class makes them up,
// numbered from the first free id on.
type classTokens []string

// extras is <|extra_0|> to <|extra_n-1|>.
func extras(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("<|extra_%d|>", i)
	}
	return out
}

var (
	qwenTokens = append(classTokens{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, extras(205)...)
	// hunyuanTokens are HYTokenizer's; the second list is that of vocabularies cut short for tests, which keep
	// only the tokens of the chat template and their like.
	hunyuanTokens = []classTokens{
		append(classTokens{"<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"}, extras(205)...),
		{"<|startoftext|>", "<|extra_0|>", "<|extra_4|>", "<|extra_5|>", "<|eos|>", "<|pad|>", "<|bos|>", "<|endoftext|>"},
	}
)

// hunyuanBOS is the id the reference writes whatever the vocabulary: that of <|bos|> in Hunyuan-A13B's.
const hunyuanBOS = 127959

// readHunyuan reads hy.tiktoken, which HYTokenizer reads with ranks counted and repeated tokens passed over.
func readHunyuan(v *Vocab, f *files, opts Options) error {
	r, err := f.ranks("hy.tiktoken", true)
	if err != nil {
		return err
	}
	special, err := f.hunyuanSpecial(len(r.tokens), opts.VocabSize)
	if err != nil {
		return err
	}
	if err := v.putRanks("hy.tiktoken", r, special, opts, "hunyuan"); err != nil {
		return err
	}
	v.warn("hy.tiktoken: text is normalised to NFC, which loaders of GGUF files do not do")
	if err := v.loadSpecialTokens(f); err != nil {
		return err
	}
	const key = "tokenizer.ggml.bos_token_id"
	v.after = append(v.after, keyValue{key, uint32(hunyuanBOS)})
	if i := slices.IndexFunc(v.special.ids, func(e idEntry) bool { return e.kind == "bos" }); i >= 0 && v.special.ids[i].id != hunyuanBOS {
		id := v.special.ids[i].id
		v.quirks = append(v.quirks, Quirk{key, fmt.Sprintf("%d whatever the vocabulary, though config.json says %d", hunyuanBOS, id), id})
	}
	return nil
}

// hunyuanSpecial picks the list of special tokens with which the ids of config.json agree.
func (f *files) hunyuanSpecial(first, size int) (map[string]int, error) {
	want := map[string]any{}
	for _, kind := range []string{"eos", "pad"} { // config.json's other ids are not those of the class
		if name, ok := f.config.get(kind + "_token").(string); ok {
			want[name] = f.model.get(kind + "_token_id")
		}
	}
	for _, list := range hunyuanTokens {
		ids := list.number(first)
		agrees := size == 0 || first+len(list) <= size
		for name, id := range want {
			if n, ok := id.(json.Number); ok {
				if have, known := ids[name]; !known || n.String() != strconv.Itoa(have) {
					agrees = false
				}
			}
		}
		if agrees {
			return ids, nil
		}
	}
	return nil, unsupported("hy.tiktoken: the ids of special tokens in config.json do not agree with those HYTokenizer gives them, from %d on", first)
}

func (c classTokens) number(first int) map[string]int {
	out := make(map[string]int, len(c))
	for i, name := range c {
		out[name] = first + i
	}
	return out
}

// kimiReserved is how many special tokens follow the others in Kimi's vocabularies; those that
// tokenizer_config.json does not name are <|reserved_token_ID|>.
const kimiReserved = 256

// readKimi reads a tokenizer.json, or else a tiktoken.model with the special tokens of tokenizer_config.json.
func readKimi(v *Vocab, f *files, opts Options) error {
	if err := v.tryForms(f, opts, "gpt2"); !errors.Is(err, errNoFiles) {
		return err
	}
	r, err := f.ranks("tiktoken.model", false)
	if err != nil {
		return err
	}
	named, err := f.addedDecoder()
	if err != nil {
		return err
	}
	first, special := len(r.tokens), map[string]int{}
	for id := first; id < first+kimiReserved && (opts.VocabSize == 0 || id < opts.VocabSize); id++ {
		name := fmt.Sprintf("<|reserved_token_%d|>", id)
		if i := slices.IndexFunc(named, func(a addedToken) bool { return a.ID == int64(id) }); i >= 0 {
			name = named[i].Content
		}
		if old, ok := special[name]; ok {
			return fmt.Errorf("tokenizer_config.json: tokens %d and %d are both %q", old, id, name)
		}
		special[name] = id
	}
	for _, a := range named {
		if a.ID < int64(first) || a.ID >= int64(first+len(special)) {
			v.warn("tokenizer_config.json: token %d (%q) is none of the special tokens from %d to %d and left out", a.ID, a.Content, first, first+len(special)-1)
		}
	}
	if err := v.putRanks("tiktoken.model", r, special, opts, "kimi-k2"); err != nil {
		return err
	}
	return v.loadSpecialTokens(f)
}

// readQwen reads the qwen.tiktoken of the first Qwen models.
func readQwen(v *Vocab, f *files, opts Options) error {
	r, err := f.ranks("qwen.tiktoken", false)
	if err != nil {
		return err
	}
	special := qwenTokens.number(len(r.tokens))
	if err := v.putRanks("qwen.tiktoken", r, special, opts, "qwen2"); err != nil {
		return err
	}
	if err := v.loadSpecialTokens(f); err != nil {
		return err
	}
	kinds := []string{"unk"}
	if len(v.special.ids) == 0 {
		kinds = []string{"bos", "eos", "unk"}
	}
	for _, kind := range kinds {
		if err := v.special.setID(kind, json.Number(strconv.Itoa(special["<|endoftext|>"]))); err != nil {
			return err
		}
	}
	return nil
}

// ranks reads a tiktoken file; errNoFiles where there is none.
func (f *files) ranks(name string, number bool) (*ranks, error) {
	data, err := readFile(f.fsys, name)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errNoFiles
	}
	r, err := parseRanks(data, number)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// putRanks makes the vocabulary of ranks, special tokens and fillers. pre is the way the
// model's class cuts text.
func (v *Vocab) putRanks(file string, r *ranks, special map[string]int, opts Options, pre string) error {
	size, n := opts.VocabSize, len(r.tokens)+len(special)
	if size == 0 {
		size = n
	}
	if size < n || size > maxVocabSize {
		return fmt.Errorf("%s: %d tokens and %d special ones do not fit into vocab_size %d", file, len(r.tokens), len(special), size)
	}
	v.model, v.pre = "gpt2", pre
	if opts.Pre != "" {
		if _, err := pretoken.New(opts.Pre); err != nil {
			return preError(err)
		}
		v.pre = opts.Pre
	}
	var lone []int
	var err error
	if v.merges, lone, err = r.merges(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(lone) > 0 {
		v.warn("%s: %d tokens, the first of rank %d, are not two tokens of lower rank put together: loaders never come to them", file, len(lone), lone[0])
	}
	v.tokens, v.types = r.spelled(), make([]int32, size)
	for i := len(v.tokens); i < size; i++ {
		v.tokens = append(v.tokens, fmt.Sprintf("[PAD%d]", i))
		v.types[i] = typeUnused
	}
	for i := range r.tokens {
		v.types[i] = typeNormal
	}
	for _, name := range slices.Sorted(maps.Keys(special)) {
		v.tokens[special[name]], v.types[special[name]] = name, typeControl
	}
	v.findDoubles()
	return nil
}

// loadSpecialTokens is loadSpecial for checkpoints whose vocabulary is not in tokenizer.json.
func (v *Vocab) loadSpecialTokens(f *files) error {
	t, err := f.specialParts()
	if err != nil {
		return err
	}
	return v.loadSpecial(f, t, noLimit)
}
