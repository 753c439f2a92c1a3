package verify

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
)

// fingerprint is what the headers of a model's files have in common: a hash of each value by its key, the tensors' names
// and shapes under the key "tensors". Empty for a file that could not be opened.
type fingerprint struct {
	keys     map[string][sha256.Size]byte
	template string // the chat template; empty for none
}

// own are the keys, or their beginnings, whose values belong to one file.
var own = []string{
	"general.file_type", "general.quantization_version", "quantize.", "split.", expert.KeyBytes, expert.KeySharedBytes,
}

func fingerprintOf(src gguf.Source) fingerprint {
	f := fingerprint{map[string][sha256.Size]byte{}, templateOf(src.Metadata())}
	for key, v := range src.Metadata().All() {
		if !slices.ContainsFunc(own, func(o string) bool { return strings.HasPrefix(key, o) }) {
			f.keys[key] = hashValue(key, v)
		}
	}
	var tensors []string
	for _, t := range src.Tensors() {
		tensors = append(tensors, fmt.Sprintf("%s %v", t.Name, t.Shape))
	}
	slices.Sort(tensors) // the order of a converter is not that of a quantizer
	f.keys["tensors"] = sha256.Sum256([]byte(strings.Join(tensors, "\n")))
	return f
}

// templateOf is the chat template of a model; empty for none.
func templateOf(md *gguf.Metadata) string {
	t, _ := gguf.Value[string](md, "tokenizer.chat_template")
	return t
}

// template notes who has which chat template.
func (r *Release) template(who, text string) {
	if text == "" {
		text = "(none)"
	}
	for i := range r.Templates {
		if r.Templates[i].Text == text {
			r.Templates[i].Who += ", " + who
			return
		}
	}
	r.Templates = append(r.Templates, Template{who, text})
}

// hashValue tells values apart, also lists whose words differ in where they end. Marks of experts may come in any order.
func hashValue(key string, v any) [sha256.Size]byte {
	h := sha256.New()
	list, ok := v.([]string)
	if !ok {
		fmt.Fprintf(h, "%T %v", v, v)
		return [sha256.Size]byte(h.Sum(nil))
	}
	if key == expert.KeyNames || key == expert.KeyShared {
		list = slices.Sorted(slices.Values(list))
	}
	for _, s := range list {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// grave reports whether files that differ in a key cannot all be right.
func grave(key string) bool {
	return key == "tensors" || strings.HasPrefix(key, "tokenizer.")
}

// compare adds to each report what can only be seen beside the others.
func (s *Set) compare(files []*Report, prints []fingerprint) {
	if len(files) < 2 {
		return
	}
	var source fingerprint
	if s.Subject.Reference != nil {
		source = fingerprintOf(s.Subject.Reference)
	}
	for i, r := range files {
		if len(prints[i].keys) > 0 {
			r.add("siblings", alike(i, files, prints, source))
		} else {
			r.add("siblings", NewResult(NotApplicable, "not run: open failed"))
		}
	}
	sound := slices.DeleteFunc(slices.Clone(files), func(r *Report) bool { return r.failing() != "" })
	for _, r := range files {
		r.add("dominance", dominance(r, sound))
	}
}

// vote is what most files hold under a key; the source counts where files are divided equally.
func vote(key string, prints []fingerprint, source fingerprint) (most [sha256.Size]byte, who int) {
	count := map[[sha256.Size]byte]int{}
	first := map[[sha256.Size]byte]int{}
	for i, p := range slices.Backward(prints) {
		if len(p.keys) > 0 {
			count[p.keys[key]] += 2
			first[p.keys[key]] = i
		}
	}
	if v, ok := source.keys[key]; ok && count[v] > 0 {
		count[v]++
	}
	best := slices.MaxFunc(slices.Collect(maps.Keys(count)), func(a, b [sha256.Size]byte) int {
		return cmp.Or(cmp.Compare(count[a], count[b]), cmp.Compare(first[b], first[a]))
	})
	return best, first[best]
}

// alike holds the header of file i against those of its siblings: tokenizer, template, tags, tensors, other metadata.
func alike(i int, files []*Report, prints []fingerprint, source fingerprint) Result {
	keys := map[string]bool{}
	for _, p := range prints {
		for k := range p.keys {
			keys[k] = true
		}
	}
	r := NewResult(Pass, "")
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		want, who := vote(key, prints, source)
		if prints[i].keys[key] == want {
			continue
		}
		what := "differs from that of"
		var none [sha256.Size]byte
		switch {
		case prints[i].keys[key] == none:
			what = "is missing; it is in"
		case want == none:
			what = "is not in"
		}
		name := "key " + key
		if key == "tensors" {
			name = "the list of tensors"
		}
		r.Find(Problem{Expert: -1, warn: !grave(key), Message: fmt.Sprintf("%s %s %s", name, what, files[who].Label)})
	}
	r.summarize(fmt.Sprintf("tokenizer, template, tags, tensors and %d keys as in the other %d files", len(keys), len(files)-1))
	return r
}

// dominance asks whether a smaller file of the set, one of those that are sound, is closer to the source, by more than the
// error of the difference. Such a file is marked and warned of. It fails where it is beyond the band of its scheme while
// one of those that beat it is within its own: where none is, bands say nothing about the model.
func dominance(r *Report, sound []*Report) Result {
	r.DominatedBy = nil
	if r.Quality == nil || !r.Quality.MeanKLD.Valid() {
		return NewResult(NotApplicable, "no KL divergence to compare")
	}
	var by, perhaps []*Report
	most := math.Inf(-1)
	for _, f := range sound {
		if f == r || f.Bytes >= r.Bytes || f.Quality == nil || !(f.Quality.MeanKLD < r.Quality.MeanKLD) {
			continue
		}
		d, e, certain := apart(r.Quality, f.Quality)
		if d > certain*e {
			by = append(by, f)
		} else {
			perhaps = append(perhaps, f)
		}
		most = max(most, min(d/max(certain*e, 1e-300), 1e6))
	}
	slices.SortFunc(by, func(a, b *Report) int {
		return cmp.Or(cmp.Compare(a.Quality.MeanKLD, b.Quality.MeanKLD), cmp.Compare(a.Bytes, b.Bytes))
	})
	c := NewResult(Pass, "no smaller file of the release is closer to the source")
	c.Figure, c.Threshold = Number(most), 1
	switch {
	case len(by) == 0 && len(perhaps) > 0:
		c.Detail = fmt.Sprintf("%s is smaller and by its mean closer to the source, within the error", perhaps[0].Label)
	case len(by) == 0:
	case r.beyondBand() && slices.ContainsFunc(by, func(f *Report) bool { return !f.beyondBand() }):
		c.Status = Fail
		c.Detail = dominators(r, by) + "; and the file is beyond the band of its scheme"
	default:
		c.Status = Warn
		c.Detail = dominators(r, by)
	}
	return c
}

// beyondBand reports whether the file's divergence was warned of.
func (r *Report) beyondBand() bool {
	kld, ok := r.Check("kld")
	return ok && (kld.Status == Warn || kld.Status == Fail)
}

// dominators marks the file, and says by what it is dominated.
func dominators(r *Report, by []*Report) string {
	for _, f := range by {
		r.DominatedBy = append(r.DominatedBy, f.Label)
	}
	d, e, _ := apart(r.Quality, by[0].Quality)
	s := fmt.Sprintf("%s is %d bytes smaller and %.2g ± %.1g nats closer to the source", by[0].Label, r.Bytes-by[0].Bytes, d, e)
	switch rest := r.DominatedBy[1:]; len(rest) {
	case 0:
		return s
	case 1:
		return s + "; so is " + rest[0]
	default:
		return s + "; so are " + strings.Join(rest, ", ")
	}
}

// apart is the difference of two mean KL divergences, its standard error, and the multiple of that error which one of two
// hundred differences by chance exceeds: a set has dozens of pairs. The error is by pairs of chunks where both files were
// measured on the same, else as if they were independent.
func apart(a, b *Quality) (d, err, certain float64) {
	d = float64(a.MeanKLD - b.MeanKLD)
	if n := len(a.ChunkMeans); n > 3 && n == len(b.ChunkMeans) {
		var m moments
		for i := range n {
			m.add(float64(a.ChunkMeans[i] - b.ChunkMeans[i]))
		}
		_, err = m.mean()
		return d, err, student(n - 1)
	}
	return d, math.Hypot(float64(a.KLDError), float64(b.KLDError)), student(manyTokens)
}

// manyTokens stands for the degrees of freedom of an error over all tokens.
const manyTokens = 1000
