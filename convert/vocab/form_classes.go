package vocab

func init() {
	register("llama", readLlama)
	register("ernie", readErnie)
	register("jamba", readJamba)
}

// readLlama reads what the reference's class for Llama and its kin accepts (Mixtral, Mistral, Granite, AFMoE, Llama 4 not).
func readLlama(v *Vocab, f *files, opts Options) error {
	if f.tokenizer == nil && forms["tekken"] != nil {
		if err := v.tryForms(f, opts, "tekken"); !isNoFiles(err) {
			return err
		}
	}
	if prefix := f.config.get("add_prefix_space"); prefix != nil {
		v.before = append(v.before, keyValue{keySpacePrefix, truthy(prefix)})
	}
	if err := v.tryForms(f, opts, "sentencepiece", "llama-hf", "gpt2"); err != nil {
		return err
	}
	switch opts.VocabSize {
	case 32016: // CodeLlama: the last token of its infill form
		v.after = append(v.after, keyValue{"tokenizer.ggml.eot_token_id", uint32(32010)})
	case 49152: // Granite's small models
		v.after = append(v.after, keyValue{"tokenizer.ggml.add_bos_token", false})
	}
	return nil
}

// readErnie is SentencePiece with a word on the space in front of texts.
func readErnie(v *Vocab, f *files, opts Options) error {
	if err := v.tryForms(f, opts, "sentencepiece"); err != nil {
		return err
	}
	if f.config.has("add_prefix_space") {
		v.after = append(v.after, keyValue{keySpacePrefix, truthy(f.config.get("add_prefix_space"))})
	}
	return nil
}

// readJamba is SentencePiece, or without tokenizer.model the same kind in tokenizer.json, which then adds no space.
func readJamba(v *Vocab, f *files, opts Options) error {
	err := v.tryForms(f, opts, "sentencepiece")
	if !isNoFiles(err) {
		return err
	}
	if err := v.tryForms(f, opts, "llama-hf"); err != nil {
		return err
	}
	v.after = append(v.after, keyValue{keySpacePrefix, false})
	return nil
}
