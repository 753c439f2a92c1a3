package vocab

import (
	"encoding/json"
	"fmt"
	"strconv"
)

func init() {
	register("gpt2", readGPT2)
	for name, ids := range classIDs {
		register(name, func(v *Vocab, f *files, opts Options) error { return v.readBPE(f, opts, ids) })
	}
	register("nemotron-h", readNemotronH)
}

// namedID makes the added token of that text play a part.
type namedID struct{ kind, text string }

// classIDs are forms that are byte-level BPE in tokenizer.json and add ids of their own, where
// the files did not name any: those of the reference's classes for GLM 4 with experts, GLM 4 and GLM Edge, and Solar Open.
var classIDs = map[string][]namedID{
	"glm":        {{"bos", "[gMASK]"}, {"eot", "<|user|>"}, {"unk", "<|endoftext|>"}, {"eom", "<|observation|>"}},
	"glm-edge":   {{"eos", "<|endoftext|>"}, {"eot", "<|user|>"}, {"unk", "<|endoftext|>"}, {"bos", "<|endoftext|>"}},
	"solar-open": {{"eos", "<|endoftext|>"}, {"eot", "<|endoftext|>"}, {"unk", "<unk>"}, {"bos", "<|startoftext|>"}},
}

// readGPT2 reads a tokenizer.json of byte-level BPE.
func readGPT2(v *Vocab, f *files, opts Options) error { return v.readBPE(f, opts, nil) }

func (v *Vocab) readBPE(f *files, opts Options, ids []namedID) error {
	if f.tokenizer == nil {
		return errNoFiles
	}
	t, err := parseTokenizer(f.tokenizer)
	if err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	v.model = "gpt2"
	added, err := v.addTokens(f, t, opts.VocabSize)
	if err != nil {
		return err
	}
	if v.merges, err = t.mergeList(); err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	if err := v.setPre(t, opts); err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	if err := v.loadSpecial(f, t, noLimit); err != nil {
		return err
	}
	for _, n := range ids {
		at, ok := added.at[n.text]
		if !ok {
			return fmt.Errorf("tokenizer.json: there is no added token %q, which this model family uses as %s", n.text, n.kind)
		}
		if err := v.special.setID(n.kind, json.Number(strconv.FormatInt(added.list[at].ID, 10))); err != nil {
			return err
		}
	}
	return nil
}

// readNemotronH is byte-level BPE whose vocabulary is filled up to a multiple of eight.
func readNemotronH(v *Vocab, f *files, opts Options) error {
	opts.VocabSize += -opts.VocabSize & 7
	return v.readBPE(f, opts, nil)
}
