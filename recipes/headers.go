package recipes

import (
	"encoding/json"
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

// headers opens every file of the report. What is said of files that are away comes from the bundle, which had them.
func headers(dir string, rep *Report) (*headersDoc, error) {
	d, old := &headersDoc{}, &headersDoc{}
	readOld(dir, rep, card.FilesName, old)
	for i := range rep.Outputs {
		o := &rep.Outputs[i]
		if o.Away {
			for _, f := range old.Files {
				if f.Label == o.Label {
					d.Files, d.Model = append(d.Files, f), old.Model
				}
			}
			continue
		}
		f, err := gguf.Open(filepath.Join(dir, filepath.FromSlash(o.Name())))
		if err != nil {
			return nil, err
		}
		doc, err := fileHeader(o, f)
		if err == nil && d.Model.Architecture == "" {
			d.Model, err = modelHeader(f)
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.Name(), err)
		}
		if q := o.Quality; q != nil && rep.Baseline != nil && rep.Baseline.Perplexity > 0 {
			doc.Ratio = q.Perplexity / rep.Baseline.Perplexity
		}
		d.Files = append(d.Files, doc)
	}
	return d, nil
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
	d := modelDoc{Architecture: arch, Layers: intKey(md, md.ArchKey("block_count")), Context: intKey(md, md.ArchKey("context_length")),
		Experts: sum.Count, Used: sum.Used, ExpertLayers: len(sum.Layers), Shared: intKey(md, md.ArchKey("expert_shared_count")),
		Vocabulary: int64(len(listKey(md, "tokenizer.ggml.tokens")))}
	for _, t := range f.Tensors() {
		n := t.Shape.Elements()
		if strings.HasPrefix(t.Name, "rope_f") { // made from config.json, not trained
			continue
		}
		d.Parameters += n
		if slices.Contains(sum.Names, t.Name) && sum.Used > 0 && sum.Count > 0 {
			n = n / int64(sum.Count) * int64(sum.Used)
		}
		d.Active += n
	}
	if sum.Tensors == 0 {
		d.Active = 0
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
