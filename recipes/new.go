package recipes

import (
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/convert"
)

// usualTypes are the outputs of a recipe that names none: what most publishers offer.
var usualTypes = []string{"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"}

// New writes a recipe for a checkpoint whose conversion is planned, as YAML with comments. repo and revision are those
// of the Hub, or dir is where the checkpoint lies.
func New(p *convert.Plan, repo, revision, dir string) (string, error) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# moeconv hf2gguf FILE makes this release; moeconv recipes check FILE checks it.")
	line("moeconv: 1")
	line("source:")
	if repo != "" {
		line("  repo: %s", repo)
		if revision != "" {
			line("  revision: %s", revision)
		}
	}
	if dir != "" {
		line("  path: %q", dir)
	}
	line("family: %s", p.Family.Arch)
	quirks := p.Quirks()
	if len(quirks) > 0 {
		line("fixes:                          # what the reference's conversion writes wrongly for this model")
		for _, q := range quirks {
			line("  # %s: %s", q.Key, strings.ReplaceAll(q.What, "\n", " "))
		}
		line("  - reference_defects: true")
	}
	line("tag: true                       # moeconv.expert.* keys; false: files equal to llama-quantize's")
	line("outputs:")
	line("  split: {max_size: 50G}")
	line("  types: [%s]", strings.Join(usualTypes, ", "))
	line("verify:")
	line("  reference: source")
	line("  text: embedded:valid.txt      # better: a text of the kind the model is used for")
	line("  chunks: 8")
	if textKey(p.Metadata(), "tokenizer.chat_template") != "" {
		line("  probes: {set: default, thinking: off, max_tokens: 400}")
	}
	line("card:")
	if l := textKey(p.Metadata(), "general.license"); l != "" {
		line("  license: %s", l)
	} else {
		line("  # license: the source names none; without one no card is written")
	}
	text := b.String()
	_, err := Parse([]byte(text), "the new recipe")
	return text, err
}
