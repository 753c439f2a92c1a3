package recipes

import (
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/gguf/names"
)

// Parameters counts weights. Active are those a token meets: all but the routed experts it is not sent to. Model cards
// differ in whether they count the embedding, of which a token meets one row.
type Parameters struct {
	Total     int64 `json:"total"`
	Active    int64 `json:"active"`
	Embedding int64 `json:"embedding"` // part of both
}

// CountParameters counts those of a model; sum is what is known of its experts.
func CountParameters(tensors []gguf.TensorInfo, sum expert.Summary) (p Parameters) {
	for _, t := range tensors {
		if strings.HasPrefix(t.Name, "rope_f") { // rope_freqs, rope_factors_*: made from config.json, not trained
			continue
		}
		n := t.Shape.Elements()
		p.Total += n
		if names.Parse(t.Name).Role == names.TokenEmbd {
			p.Embedding += n
		}
		if sum.Used > 0 && sum.Count > 0 && slices.Contains(sum.Names, t.Name) {
			n = n / int64(sum.Count) * int64(sum.Used)
		}
		p.Active += n
	}
	return p
}

// SharedExperts is how many there are in a layer: as the metadata say, else 1 where tensors of one are there.
func SharedExperts(md *gguf.Metadata, sum expert.Summary) int64 {
	if n, err := md.Int(md.ArchKey("expert_shared_count")); err == nil {
		return n
	}
	return int64(min(1, len(sum.Shared)))
}
