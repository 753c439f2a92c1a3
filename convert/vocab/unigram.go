package vocab

import "fmt"

func init() { register("unigram", readUnigram) }

// readUnigram reads the unigram model of a tokenizer.model or spiece.model, as T5 has it. One of BPE is read as SentencePiece BPE.
func readUnigram(v *Vocab, f *files, opts Options) error {
	name := "tokenizer.model"
	data, err := readFile(f.fsys, name)
	if data == nil && err == nil {
		name = "spiece.model"
		data, err = readFile(f.fsys, name)
	}
	if err != nil {
		return err
	}
	if data == nil {
		return errNoFiles
	}
	m, err := parseSPModel(data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case m.kind == spBPE && name == "tokenizer.model":
		return v.tryForms(f, opts, "sentencepiece")
	case m.kind != spUnigram:
		return unsupported("%s: model type %d is not supported, 1 (unigram) is", name, m.kind)
	}
	if err := v.putPieces(m, opts.VocabSize, false); err != nil {
		return err
	}
	if err := v.putAddedJSON(f); err != nil {
		return err
	}
	v.model = "t5"
	v.middle = append(v.middle, keyValue{keySpacePrefix, m.dummyPrefix}, keyValue{"tokenizer.ggml.remove_extra_whitespaces", m.removeWhitespace})
	if len(m.charsMap) > 0 {
		v.middle = append(v.middle, keyValue{"tokenizer.ggml.precompiled_charsmap", m.charsMap})
	}
	return v.finishSentencePiece(f)
}
