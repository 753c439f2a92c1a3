package verify

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// vocabPrefix is the namespace of the vocabulary's keys.
const vocabPrefix = "tokenizer.ggml."

// lastTokenType is the highest type a token may have (byte).
const lastTokenType = 6

// checkVocabulary asks whether the vocabulary is whole and fits the embedding: what loaders refuse or, worse, misread.
func checkVocabulary(_ context.Context, s *Subject) Result {
	md := s.Source.Metadata()
	model, err := gguf.Value[string](md, vocabPrefix+"model")
	_, has := md.Get(vocabPrefix + "tokens")
	switch {
	case !has && (err != nil || model == "none" || model == "no_vocab"):
		return NewResult(NotApplicable, "the file has no vocabulary")
	case err != nil:
		return failure(fmt.Errorf("verify: vocabulary: %w", err))
	}
	tokens, err := gguf.Value[[]string](md, vocabPrefix+"tokens")
	if err != nil {
		return failure(fmt.Errorf("verify: vocabulary: %w", err))
	}
	v := vocabulary{md: md, tokens: tokens, r: NewResult(Pass, "")}
	if s.Reference != nil {
		v.source = s.Reference.Metadata()
	}
	embedded := v.embedding(s.Source.Tensors())
	v.parallel("scores", gguf.Float32, gguf.Int32)
	v.parallel("token_type", gguf.Int32)
	v.types()
	v.twice()
	v.ids()
	v.switches()
	if model == "gpt2" {
		v.merges()
	}
	v.r.Figure = Number(len(tokens))
	v.r.summarize(fmt.Sprintf("%s: %d tokens, %d tensors have a row for each", model, len(tokens), embedded))
	return v.r
}

// vocabulary is a vocabulary under examination.
type vocabulary struct {
	md     *gguf.Metadata
	tokens []string
	source *gguf.Metadata // the source's; nil for none
	r      Result
}

func (v *vocabulary) find(warn bool, format string, args ...any) {
	v.r.Find(Problem{Expert: -1, warn: warn, Message: fmt.Sprintf(format, args...)})
}

// embedding holds the number of tokens against the rows of the embedding and of the output, and counts which are there.
func (v *vocabulary) embedding(tensors []gguf.TensorInfo) (present int) {
	for _, name := range []string{names.TokenEmbd.Weight(), names.OutputWeight.Weight()} {
		i := gguf.Find(tensors, name)
		if i < 0 {
			continue
		}
		present++
		if rows := tensors[i].Shape.NE(1); rows != int64(len(v.tokens)) {
			v.r.Find(Problem{Tensor: name, Expert: -1, Message: fmt.Sprintf("has rows for %d tokens, the vocabulary has %d", rows, len(v.tokens))})
		}
	}
	return present
}

// parallel asks that an array, where there is one, has an element of one of the types for each token.
func (v *vocabulary) parallel(key string, types ...gguf.ValueType) {
	val, ok := v.md.Get(vocabPrefix + key)
	if !ok {
		return
	}
	t, elem, _ := gguf.TypeOf(val)
	fits := false
	for _, want := range types {
		fits = fits || t == gguf.ArrayType && elem == want
	}
	if !fits {
		v.find(false, "%s%s is no array of %v", vocabPrefix, key, types[0])
		return
	}
	if n := reflect.ValueOf(val).Len(); n != len(v.tokens) {
		v.find(false, "%s%s has %d elements for %d tokens", vocabPrefix, key, n, len(v.tokens))
	}
}

// types asks that every token has a type that exists.
func (v *vocabulary) types() {
	types, err := gguf.Value[[]int32](v.md, vocabPrefix+"token_type")
	if err != nil {
		return // absent, or reported already
	}
	for i, t := range types {
		if t < 1 || t > lastTokenType {
			v.find(true, "token %d has type %d, which does not exist", i, t)
		}
	}
}

// twice finds tokens that stand in the vocabulary twice, at which llama.cpp stops, and empty ones, which it renames.
func (v *vocabulary) twice() {
	first := make(map[string]int, len(v.tokens))
	for i, t := range v.tokens {
		if t == "" {
			v.find(true, "token %d is empty", i)
			continue
		}
		if j, ok := first[t]; ok {
			v.find(false, "tokens %d and %d are both %.40q", j, i, t)
			continue
		}
		first[t] = i
	}
}

// ids asks that special tokens are tokens.
func (v *vocabulary) ids() {
	for key, val := range v.md.All() {
		if !strings.HasPrefix(key, vocabPrefix) || !strings.HasSuffix(key, "_token_id") {
			continue
		}
		id, err := v.md.Int(key)
		switch {
		case err != nil:
			v.find(false, "%v", err)
		case id < 0 || id >= int64(len(v.tokens)) || id > math.MaxInt32:
			kind := strings.TrimSuffix(strings.TrimPrefix(key, vocabPrefix), "_token_id")
			v.r.Find(Problem{Expert: -1, warn: v.sources(key, id), Damage: kind, Message: fmt.Sprintf("%s is %v, the vocabulary has %d tokens", key, val, len(v.tokens))})
		}
	}
}

// sources reports whether the source's conversion has the same id: a defect of the reference or of the checkpoint.
func (v *vocabulary) sources(key string, id int64) bool {
	if v.source == nil {
		return false
	}
	theirs, err := v.source.Int(key)
	return err == nil && theirs == id
}

// switches asks that what must be true or false is.
func (v *vocabulary) switches() {
	for _, key := range []string{"add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix", "remove_extra_whitespaces"} {
		val, ok := v.md.Get(vocabPrefix + key)
		if _, isBool := val.(bool); ok && !isBool {
			v.find(false, "%s%s is %T, want bool", vocabPrefix, key, val)
		}
	}
	if val, ok := v.md.Get("tokenizer.chat_template"); ok {
		if _, isText := val.(string); !isText {
			v.find(false, "tokenizer.chat_template is %T, want string", val)
		}
	}
}

// merges asks what a byte-level BPE vocabulary needs besides tokens.
func (v *vocabulary) merges() {
	merges, err := gguf.Value[[]string](v.md, vocabPrefix+"merges")
	if err != nil {
		v.find(false, "%v", err)
	}
	for i, m := range merges {
		if len(m) < 3 || strings.IndexByte(m[1:len(m)-1], ' ') < 0 {
			v.find(false, "merge %d is %.40q, want two parts with a space between", i, m)
			break
		}
	}
	if pre, err := gguf.Value[string](v.md, vocabPrefix+"pre"); err != nil {
		v.find(true, "%spre names no pre-tokenizer: llama.cpp falls back to its default, which splits text differently", vocabPrefix)
	} else if pre == "default" {
		v.find(true, "%spre is default, which is no model's own pre-tokenizer", vocabPrefix)
	}
}
