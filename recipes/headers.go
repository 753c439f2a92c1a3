package recipes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/verify/card"
)

// headersDoc is what the headers of a release's files say: the bundle's files.json.
type headersDoc struct {
	Model modelDoc  `json:"model"`
	Files []fileDoc `json:"files"`
}

// modelDoc is the model that all files hold.
type modelDoc struct {
	Architecture string `json:"architecture"`
	Parameters   int64  `json:"parameters"`
	Active       int64  `json:"active_parameters,omitempty"` // all but the routed experts that a token is not sent to
	Layers       int64  `json:"layers"`
	Context      int64  `json:"context"`
	Vocabulary   int64  `json:"vocabulary"`
	Experts      int    `json:"experts,omitempty"`
	Used         int    `json:"experts_used,omitempty"`
	Shared       int64  `json:"experts_shared,omitempty"`
	ExpertLayers int    `json:"expert_layers,omitempty"`
}

// fileDoc is one file, or one set of shards.
type fileDoc struct {
	Label      string  `json:"label"`
	Bytes      int64   `json:"total_bytes"`
	Shards     int     `json:"shards,omitempty"` // where it is a set
	Folder     string  `json:"folder,omitempty"`
	Tensors    int     `json:"tensors"`
	Types      string  `json:"types"` // f32 84, q4_K 223
	ExpertBits float64 `json:"expert_bits_per_weight,omitempty"`
	Ratio      float64 `json:"ppl_ratio,omitempty"` // to the source's
}

// seen is what a release's files say, each opened once. What is said of files that are away comes from an earlier bundle,
// which had them.
type seen struct {
	headers    headersDoc
	placements placementDoc
	facts      *factsDoc // nil where nothing names a licence
}

// look opens the release's files. extra are the files that belong into the bundle, among them measured ladders.
func (l *Release) look(ctx context.Context, extra map[string]string) (*seen, error) {
	if len(l.Report.Outputs) == 0 {
		return nil, fmt.Errorf("recipes: %s: no file was written", l.Report.Name)
	}
	s := &seen{placements: newPlacements()}
	var oldHeaders headersDoc
	var oldPlaces placementDoc
	readOld(l.Dir, l.Report, card.FilesName, &oldHeaders)
	readOld(l.Dir, l.Report, card.PlacementName, &oldPlaces)
	measured, err := ladders(extra)
	if err != nil {
		return nil, err
	}
	for i := range l.Report.Outputs {
		o := &l.Report.Outputs[i]
		if o.Away {
			s.headers.take(o.Label, &oldHeaders)
			s.placements.take(o.Label, &oldPlaces)
			continue
		}
		f, err := gguf.Open(filepath.Join(l.Dir, filepath.FromSlash(o.Name())))
		if err != nil {
			return nil, err
		}
		err = errors.Join(s.headers.add(o, f, l.Report.Baseline), s.placements.add(o, f, measured))
		if err == nil && s.facts == nil {
			s.facts, err = facts(ctx, f, l.Recipe, l.Report)
		}
		f.Close()
		if err != nil && !missingLicense(err) { // measured all the same; the card's stage says that none can be written
			return nil, fmt.Errorf("%s: %w", o.Name(), err)
		}
	}
	if s.facts == nil { // all are published: what was said of them stays
		old := &factsDoc{}
		if readOld(l.Dir, l.Report, card.FactsName, old) && old.Front.License != "" && l.Report.away() {
			s.facts = old
		}
	}
	return s, nil
}

// away reports whether no file is here any more.
func (r *Report) away() bool {
	return !slices.ContainsFunc(r.Outputs, func(o Output) bool { return !o.Away })
}

// take keeps what was said of a file.
func (d *headersDoc) take(label string, old *headersDoc) {
	for _, f := range old.Files {
		if f.Label == label {
			d.Files, d.Model = append(d.Files, f), old.Model
		}
	}
}

// add says what an open file says.
func (d *headersDoc) add(o *Output, f gguf.Source, baseline *Quality) error {
	doc, err := fileHeader(o, f)
	if err == nil && d.Model.Architecture == "" {
		d.Model, err = modelHeader(f)
	}
	if q := o.Quality; q != nil && baseline != nil && baseline.Perplexity > 0 {
		doc.Ratio = q.Perplexity / baseline.Perplexity
	}
	d.Files = append(d.Files, doc)
	return err
}

// readOld reads a document of an earlier bundle of this release and reports whether there is one. What cannot be read is
// missing, and the audit of the new bundle says so.
func readOld(dir string, rep *Report, name string, to any) bool {
	data, err := os.ReadFile(filepath.Join(dir, BundleName(rep.Name), name))
	return err == nil && json.Unmarshal(data, to) == nil
}

func fileHeader(o *Output, f gguf.Source) (fileDoc, error) {
	d := fileDoc{Label: o.Label, Bytes: o.Bytes, Tensors: len(f.Tensors())}
	if len(o.Files) > 1 {
		d.Shards, d.Folder = len(o.Files), path.Dir(o.Name())
	}
	sum, err := expert.Find(f.Metadata(), f.Tensors())
	if err != nil {
		return d, err
	}
	types := map[string]int{}
	var bytes, weights int64
	for _, t := range f.Tensors() {
		types[t.Type.GGMLName()]++
		if slices.Contains(sum.Names, t.Name) {
			bytes += t.Bytes()
			weights += t.Shape.Elements()
		}
	}
	if weights > 0 {
		d.ExpertBits = 8 * float64(bytes) / float64(weights)
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(types)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, types[name]))
	}
	d.Types = strings.Join(parts, ", ")
	return d, nil
}

func modelHeader(f gguf.Source) (modelDoc, error) {
	md := f.Metadata()
	arch, err := md.Architecture()
	if err != nil {
		return modelDoc{}, err
	}
	sum, err := expert.Find(md, f.Tensors())
	if err != nil {
		return modelDoc{}, err
	}
	n := CountParameters(f.Tensors(), sum)
	d := modelDoc{Architecture: arch, Parameters: n.Total, Layers: intKey(md, md.ArchKey("block_count")), Context: intKey(md, md.ArchKey("context_length")),
		Experts: sum.Count, Used: sum.Used, ExpertLayers: len(sum.Layers), Shared: SharedExperts(md, sum),
		Vocabulary: int64(len(listKey(md, "tokenizer.ggml.tokens")))}
	if sum.Tensors > 0 {
		d.Active = n.Active
	}
	return d, nil
}

// intKey is an integer of the metadata, 0 where there is none.
func intKey(md *gguf.Metadata, key string) int64 {
	n, err := md.Int(key)
	if err != nil {
		return 0
	}
	return n
}
