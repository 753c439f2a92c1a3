package vocab

import "fmt"

func init() { register("gpt2", readGPT2) }

// readGPT2 reads a tokenizer.json of byte-level BPE.
func readGPT2(v *Vocab, f *files, opts Options) error {
	if f.tokenizer == nil {
		return errNoFiles
	}
	t, err := parseTokenizer(f.tokenizer)
	if err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	v.model = "gpt2"
	if err := v.addTokens(f, t, opts.VocabSize); err != nil {
		return err
	}
	if v.merges, err = t.mergeList(); err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	if err := v.setPre(t, opts); err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	return v.loadSpecial(f, t, noLimit)
}
