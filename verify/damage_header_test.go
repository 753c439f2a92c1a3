package verify

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
)

// headerDamages are kinds of damage to metadata, the check that must find them and the name it must give.
var headerDamages = []struct {
	name, check string
	do          func(d *damaged, md *gguf.Metadata) bool
}{
	{"bos", "tokenizer", func(d *damaged, md *gguf.Metadata) bool {
		id, err := md.Int(vocabPrefix + "bos_token_id")
		md.Set(vocabPrefix+"bos_token_id", uint32((id+7)%300))
		return err == nil
	}},
	{"eos", "tokenizer", func(d *damaged, md *gguf.Metadata) bool {
		id, err := md.Int(vocabPrefix + "eos_token_id")
		md.Set(vocabPrefix+"eos_token_id", uint32((id+11)%300))
		return err == nil
	}},
	{"tokens-swapped", "tokenizer", func(d *damaged, md *gguf.Metadata) bool {
		tokens, _ := gguf.Value[[]string](md, vocabPrefix+"tokens")
		tokens = slices.Clone(tokens)
		i, j := d.rng.IntN(len(tokens)/2), len(tokens)/2+d.rng.IntN(len(tokens)/2)
		tokens[i], tokens[j] = tokens[j], tokens[i]
		md.Set(vocabPrefix+"tokens", tokens)
		return true
	}},
	{"merges", "tokenizer", func(d *damaged, md *gguf.Metadata) bool {
		merges, err := gguf.Value[[]string](md, vocabPrefix+"merges")
		merges = slices.Clone(merges)
		if err == nil && len(merges) > 1 {
			merges[0], merges[1] = merges[1], merges[0]
			md.Set(vocabPrefix+"merges", merges)
		}
		return len(merges) > 1
	}},
	{"template", "template", func(d *damaged, md *gguf.Metadata) bool {
		text, err := gguf.Value[string](md, keyTemplate)
		at := strings.LastIndex(text, "{%")
		if err == nil {
			md.Set(keyTemplate, text[:at]+"{{ '!' }}"+text[at:])
		}
		return err == nil
	}},
	{"metadata-type", "metadata", func(d *damaged, md *gguf.Metadata) bool {
		md.Set(md.ArchKey("context_length"), "4096")
		return true
	}},
}

func TestDamagedHeadersHaveTheirNames(t *testing.T) {
	for i, c := range damageCases(t) {
		p, err := convert.OpenDir(c.Dir, convert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		d := &damaged{t: t, plan: p, rng: rand.New(rand.NewPCG(uint64(i), 2))}
		for _, h := range headerDamages {
			md := p.Metadata().Clone()
			if !h.do(d, md) {
				continue
			}
			r := check(t, structural[h.check], &Subject{Source: gguf.WithMetadata(p, md), Reference: p})
			if r.Status != Fail || !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Damage == h.name }) {
				t.Errorf("%s: %s: %s: %s", c.Family, h.name, r.Status, r.Detail)
			}
		}
	}
}
