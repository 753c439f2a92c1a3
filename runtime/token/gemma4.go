package token

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// buildGemma4 makes a tokenizer of SentencePiece's kind whose merges are listed instead of following from scores.
func (t *Tokenizer) buildGemma4(md *gguf.Metadata) error {
	if _, err := t.readScored(md, nil, true); err != nil {
		return err
	}
	_, t.addBOS = t.special[bos] // files that say otherwise are mistaken
	t.addEOS = false
	c := &spm{t: t, unknown: t.unknownID()}
	var err error
	if c.prefix, err = boolean(md, keySpacePrefix, false); err != nil {
		return err
	}
	t.readBytes()
	c.readSymbols()
	if err := c.readMergeList(md); err != nil {
		return err
	}
	c.encoders.New = func() any { return &spmEncoder{c: c, cache: map[string][]int32{}} }
	t.coder = c
	return nil
}

// readMergeList reads merges "left right", the earlier first.
func (c *spm) readMergeList(md *gguf.Metadata) error {
	list, err := gguf.Value[[]string](md, keyMerges)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	c.merges = make(map[pair]merge, len(list))
	for rank, m := range list {
		left, right, ok := cutMerge(m)
		if !ok {
			return fmt.Errorf("token: merge %d %q: no space between two tokens", rank, m)
		}
		id, ok := c.t.ids[left+right]
		if !ok {
			return fmt.Errorf("token: merge %d %q: %q is not a token", rank, m, left+right)
		}
		p := pair{c.part(left), c.part(right)}
		if _, ok := c.merges[p]; !ok && p.left >= 0 && p.right >= 0 && c.merged(id) {
			c.merges[p] = merge{int32(rank), id}
		}
	}
	return nil
}
