package token

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// role is a part that a special token plays.
type role string

const (
	bos    role = "bos"
	eos    role = "eos"
	eot    role = "eot"
	eom    role = "eom"
	unk    role = "unknown"
	fimPad role = "fim_pad"
	fimRep role = "fim_rep"
	fimSep role = "fim_sep"
)

// specials are the roles whose tokens end a generation, or begin a text, with the texts such
// tokens are known by where the metadata does not name one. The earlier text is preferred.
var specials = []struct {
	role  role
	texts []string
}{
	{bos, nil},
	{eos, nil},
	{eot, []string{"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>",
		"[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"}},
	{eom, []string{"<|eom_id|>"}},
	{fimPad, []string{"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
	{fimRep, []string{"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
	{fimSep, []string{"<|file_sep|>"}},
}

// fimTexts are control tokens of fill-in-the-middle that do not end a generation.
var fimTexts = []string{
	"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>",
	"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>",
	"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>",
}

// eogTexts are tokens that end a generation wherever they occur.
var eogTexts = []string{
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>",
	"</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>",
	"<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[",
}

// visibleTexts are control tokens of the harmony format that belong to the text.
var visibleTexts = []string{"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}

// roles are the parts that specials lists.
func roles() []role {
	var out []role
	for _, s := range specials {
		out = append(out, s.role)
	}
	return out
}

func (t *Tokenizer) readSpecial(md *gguf.Metadata) error {
	for _, r := range append(roles(), unk) {
		key := "tokenizer.ggml." + string(r) + "_token_id"
		if _, ok := md.Get(key); !ok {
			continue
		}
		id, err := md.Int(key)
		if err != nil {
			return fmt.Errorf("token: %w", err)
		}
		if id >= 0 && id < int64(len(t.texts)) { // files with ids beyond their vocabulary exist; loaders pass over them
			t.special[r] = int32(id)
		}
	}
	for key, dst := range map[string]*bool{keyAddBOS: &t.addBOS, keyAddEOS: &t.addEOS} {
		if _, ok := md.Get(key); !ok {
			continue
		}
		v, err := gguf.Value[bool](md, key)
		if err != nil {
			return fmt.Errorf("token: %w", err)
		}
		*dst = v
	}
	if _, ok := t.special[bos]; t.addBOS && !ok {
		if _, ok := md.Get(keyAddBOS); ok {
			return fmt.Errorf("token: %s is true but there is no tokenizer.ggml.bos_token_id", keyAddBOS)
		}
		t.addBOS = false
	}
	if _, ok := t.special[eos]; t.addEOS && !ok {
		return fmt.Errorf("token: %s is true but there is no tokenizer.ggml.eos_token_id", keyAddEOS)
	}
	return nil
}

// findEOG collects the tokens that end a generation, by the metadata and by their texts, as llama.cpp does.
func (t *Tokenizer) findEOG() {
	for _, s := range specials {
		id, ok := t.special[s.role]
		for _, text := range s.texts {
			if ok {
				break
			}
			if id, ok = t.ids[text]; ok {
				t.special[s.role] = id
				t.toControl(id)
			}
		}
		if ok && s.role != bos {
			t.eog[id] = true
		}
	}
	for _, text := range fimTexts {
		if id, ok := t.ids[text]; ok {
			t.toControl(id)
		}
	}
	for _, text := range eogTexts {
		if id, ok := t.ids[text]; ok {
			t.eog[id] = true
			t.toControl(id)
		}
	}
	for _, text := range visibleTexts {
		if id, ok := t.ids[text]; ok {
			t.kinds[id] = userDefined
		}
	}
	t.mendEOG()
}

// toControl makes a control token of an added token that is not marked as one. A token that
// is a word like any other (Qwen's vocabulary has </s>) stays one, where llama.cpp changes
// it: the model's own tokenizer does not find it in the text.
func (t *Tokenizer) toControl(id int32) {
	if t.kinds[id] == userDefined {
		t.kinds[id] = control
	}
}

// mendEOG takes out tokens that end a turn in most vocabularies but not beside certain others.
func (t *Tokenizer) mendEOG() {
	has := func(text string) bool {
		id, ok := t.ids[text]
		return ok && t.eog[id]
	}
	call := has("<|call|>") || has("<|calls|>")
	if has("<|end|>") && call && (has("<|return|>") || has("<|flush|>")) {
		t.unmark("<|end|>", userDefined)
	}
	if has("</s>") && (has("<|tool_response>") || has("<|plamo:eos|>")) {
		t.unmark("</s>", normal)
	}
}

func (t *Tokenizer) unmark(text string, k kind) {
	id := t.ids[text]
	delete(t.eog, id)
	t.kinds[id] = k
}

// setPieces works out the bytes each token stands for.
func (t *Tokenizer) setPieces() {
	t.pieces = make([]string, len(t.texts))
	for i, text := range t.texts {
		switch t.kinds[i] {
		case unused: // filler rows of the embedding; a model that samples one says nothing
		case byteToken:
			t.pieces[i] = text
			if b, ok := parseByte(text); ok {
				t.pieces[i] = string([]byte{b})
			}
		case control, unknown, userDefined:
			t.pieces[i] = text
		default:
			t.pieces[i] = t.coder.piece(text)
		}
	}
}

// parseByte reads <0x41>.
func parseByte(text string) (byte, bool) {
	hex, ok := strings.CutPrefix(text, "<0x")
	hex, closed := strings.CutSuffix(hex, ">")
	n, err := strconv.ParseUint(hex, 16, 8)
	return byte(n), ok && closed && err == nil && len(hex) == 2
}

// BOS is the id of the token that begins a text.
func (t *Tokenizer) BOS() (int32, bool) { return t.role(bos) }

// EOS is the id of the token that ends a text.
func (t *Tokenizer) EOS() (int32, bool) { return t.role(eos) }

// EOT is the id of the token that ends a turn.
func (t *Tokenizer) EOT() (int32, bool) { return t.role(eot) }

func (t *Tokenizer) role(r role) (int32, bool) {
	id, ok := t.special[r]
	return id, ok
}

// AddBOS reports whether texts begin with BOS.
func (t *Tokenizer) AddBOS() bool { return t.addBOS }

// AddEOS reports whether texts end with EOS.
func (t *Tokenizer) AddEOS() bool { return t.addEOS }

// IsEOG reports whether id ends a generation.
func (t *Tokenizer) IsEOG(id int32) bool { return t.eog[id] }
