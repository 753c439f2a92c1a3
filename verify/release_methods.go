package verify

import (
	"cmp"
	"fmt"
	"strings"
)

// onText, onSample and onHeader are what checks look at.
const (
	onHeader  = "the whole header"
	onWeights = "weights; how much of them is in the check's line"
	onText    = "the text"
	onSample  = "a short sample of tokens"
)

// methods say how the figure of each check is found.
var methods = map[string]Method{
	"open":        {"tensors", "header read, every tensor proven to lie in its file", onHeader},
	"structure":   {"problems", "bytes stored, overlaps, alignment, names, shards", onHeader},
	"metadata":    {"standard keys", "value types of standard keys against those that loaders read, keys of shards against the first one's", onHeader},
	"contract":    {"problems", "metadata, names and shapes that a loader insists on", onHeader},
	"vocabulary":  {"problems", "tokens, types, scores, merges and special ids against each other", onHeader},
	"marks":       {"problems", "marks of experts in the metadata against the tensors", onHeader},
	"source":      {"problems", "weight files against index and known hashes; values finite, experts neither zero nor twice", "the checkpoint; how much of it is in the check's line"},
	"scan":        {"values that are NaN or infinite", "values decoded, scales validated by the type's rules, experts compared by hash; of files above 256 MiB one value in 16 is decoded, every scale validated", "all bytes"},
	"fidelity":    {"largest relative error (NMSE) of a tensor or expert", "sum (file - source)^2 / sum source^2 after decoding both, against a bound of the type", onWeights},
	"mixture":     {"tensors of another type than the scheme's", "types against those that the scheme's mixture gives the source's tensors", onHeader},
	"encoding":    {"share of quantization blocks that are equal", "rows of the source encoded again, without and with the importance matrix that is given; bytes compared", "two rows of up to 64 experts of each tensor (six of IQ1 to IQ3), twelve of others"},
	"tokenizer":   {"bytes a token", "token by token and special ids against the source's; ids of fixed texts; text encoded and decoded again", onText + ", or a line of code without one"},
	"template":    {"renderings", "chat templates of file and source render the same", "14 conversations: plain, system, turns, tools, reasoning"},
	"stop":        {"", "an answer and what the template ends it with are fed to a generation, which must end there", "one conversation"},
	"decode":      {"largest difference of logits", "tokens fed one by one against tokens fed together", onSample},
	"determinism": {"largest difference of logits", "the same tokens twice, to the bit", onSample},
	"ablation":    {"smallest change of logits", "routed experts, then shared experts, set to zero", onSample},
	"logits":      {"squared error of logits over their variance", "file with activations rounded as llama.cpp does, source with activations in f32, both in this runtime", onSample},
	"kld":         {"mean KL divergence from the source, nats", "llama-perplexity's definition: the second half of each chunk is scored; 95% interval: mean +- 1.96 standard errors", onText},
	"perplexity":  {"perplexity over the source's", "llama-perplexity's definition; never passes a file by itself", onText},
	"coverage":    {"share of routed experts used", "experts chosen by the router for any token, layer by layer", onText},
	"ends":        {"probability of ends over the source's", "p(eos), p(end of turn), p(end of thinking) where the source ends its own greedy answers, or is nearest to ending", "three prompts, parts of the text"},
	"probes":      {"", "all probes together: one that fails or warns leaves no PASS", "the set of probes"},
	"hidden":      {"least cosine", "mean of the final hidden states over each prompt against the source's", "the probes' prompts"},

	"stress basic":      {"tokens a second", "one answer after the other, sampled; total time of the requests", "the first prompts of each category"},
	"stress long":       {"tokens a second", "long answers; rate of the last quarter over the first's", "the long prompts"},
	"stress concurrent": {"likeness", "answers given several at a time against those given alone: 1 - edit distance / length", "rounds over all categories"},
	"stress turns":      {"likeness", "the last answer of a conversation against the same without what the server kept of the turns before", "one conversation"},
	"stress burst":      {"share answered at the first try", "requests of mixed lengths at once, of which some clients go away", "one burst"},
	"stress context":    {"R squared", "memory in use at six lengths of text against a straight line; one token beyond must be refused", "half to all of the context"},
	"stress soak":       {"tokens a second", "requests one after the other for the protocol's time; memory at the end over the beginning", "the soak's time"},
	"stress recovery":   {"", "an answer after each of several errors against the one before", "broken requests, a client that goes away"},
	"stress baseline":   {"least change", "speeds, delays, memory a token and consistency over those of an earlier run", "all phases"},

	"hash":      {"files", "SHA-256 of every byte against SHA256SUMS", "the whole files"},
	"siblings":  {"keys that differ", "hash of each key's value against what most files of the release have", onHeader},
	"dominance": {"difference over the most that chance makes", "a smaller file with a lower mean KL divergence; differences by pairs of chunks, 99% of Student's t", onText},
}

// scope lists the methods of the checks that were made, and what they looked at.
func (r *Release) scope(s *Subject) {
	r.Methods = []Method{}
	seen := map[string]bool{}
	for _, f := range r.Files {
		for _, c := range f.Checks {
			if seen[c.Name] {
				continue
			}
			seen[c.Name] = true
			m, ok := methods[c.Name]
			switch {
			case ok:
				m.Figure = c.Name + ": " + m.Figure
			case strings.HasPrefix(c.Name, "probe "):
				m = Method{c.Name + ": repetition", "share of repeated 3-grams of the greedy answer; criteria missed by greedy and drawn answers against the source's (Fisher's exact test)", "one prompt"}
			default:
				m = Method{c.Name, "in the check's line", "in the check's line"}
			}
			if m.Scope == onText {
				m.Scope = r.textScope(s)
			}
			r.Methods = append(r.Methods, m)
		}
	}
}

// textScope is how much of the text figures were measured on.
func (r *Release) textScope(s *Subject) string {
	for _, f := range r.Files {
		if q := f.Quality; q != nil {
			n := s.Context
			if n == 0 {
				n = DefaultContext
			}
			return strings.TrimSpace(fmt.Sprintf("%d tokens scored in %d chunks of %d: %s", q.Scored, q.Chunks, n, cmp.Or(r.Source.Text, "the text")))
		}
	}
	return onText
}
