package main

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/recipes"
)

// planDoc is the document of plan: everything in it follows from headers.
type planDoc struct {
	envelope
	Source      planSource         `json:"source"`
	Arch        string             `json:"architecture"`
	Class       string             `json:"class,omitempty"` // of config.json
	Contract    string             `json:"contract"`
	Experts     planExperts        `json:"experts"`
	Parameters  recipes.Parameters `json:"parameters"`
	Tensors     planTensors        `json:"tensors"`
	Context     planContext        `json:"context"`
	ShardSize   int64              `json:"split_max_size"`
	Conversions []sizeDoc          `json:"conversions,omitempty"` // one an outtype; of checkpoints
	Schemes     []sizeDoc          `json:"schemes"`
	Disk        planDisk           `json:"disk"`
	Placement   *placeDoc          `json:"placement,omitempty"`
	Defects     []quirkDoc         `json:"reference_defects,omitempty"`
	Warnings    []string           `json:"warnings,omitempty"`
}

type planSource struct {
	Path        string `json:"path,omitempty"`
	Repo        string `json:"repo,omitempty"`
	Revision    string `json:"revision,omitempty"`
	Commit      string `json:"commit,omitempty"`
	Cached      bool   `json:"cached,omitempty"` // read from HuggingFace's cache
	Gated       bool   `json:"gated,omitempty"`
	Shards      int    `json:"shards"`
	WeightBytes int64  `json:"weight_bytes,omitempty"`
	Bytes       int64  `json:"bytes"` // of weights, configuration and vocabulary
}

type planExperts struct {
	Count  int    `json:"count"`
	Used   int    `json:"used"`
	Shared int64  `json:"shared"`
	Layers int    `json:"layers"` // that have routed experts
	Blocks int64  `json:"blocks"` // all layers
	None   string `json:"none,omitempty"`
}

type planTensors struct {
	Count   int `json:"count"`
	F32     int `json:"f32"`
	Experts int `json:"experts"`
}

type planContext struct {
	Length   int64  `json:"length"`
	Original int64  `json:"original,omitempty"` // before it was stretched
	Scaling  string `json:"rope_scaling,omitempty"`
	Window   int64  `json:"sliding_window,omitempty"`
}

// sizeDoc is the exact size of one output.
type sizeDoc struct {
	Name    string  `json:"name"`
	Bytes   int64   `json:"bytes,omitempty"` // as one file; none where the scheme does not fit the model
	GiB     float64 `json:"gib,omitempty"`
	GB      float64 `json:"gb,omitempty"`
	BPW     float64 `json:"bits_per_weight,omitempty"`
	Shards  int     `json:"shards,omitempty"`
	Sharded int64   `json:"sharded_bytes,omitempty"` // of all shards together, where there are several
	Imatrix bool    `json:"needs_imatrix,omitempty"` // whose keys add some bytes
	Refused string  `json:"refused,omitempty"`       // why quantize would not do it
	Auto    bool    `json:"auto,omitempty"`          // what --outtype auto chooses
}

type planDisk struct {
	Source  int64    `json:"source"`
	Outputs int64    `json:"outputs"`
	Types   []string `json:"types"`
	Total   int64    `json:"total"`
}

// fill states what the tensors and the metadata show.
func (d *planDoc) fill(src gguf.Source, p *convert.Plan, o *planOptions) error {
	md := src.Metadata()
	var err error
	if d.Arch, err = md.Architecture(); err != nil {
		return err
	}
	d.Contract, d.ShardSize = "ok", o.shardSize
	if p != nil {
		d.Warnings = p.Warnings()
		for _, q := range p.Quirks() {
			d.Defects = append(d.Defects, quirkDoc{q.Key, q.What})
		}
	}
	d.count(src)
	d.readContext(md)
	if err := d.sizes(src, p); err != nil {
		return err
	}
	if o.place.wanted {
		if d.Placement, err = o.place.place(d.fileName(o.place.scheme), src, p); err != nil {
			return err
		}
	}
	return d.disk(o)
}

// fileName is the file to be run: SRC itself where it is one, else as hf2gguf names it.
func (d *planDoc) fileName(scheme string) string {
	if d.Class == "" && scheme == "" && d.Source.Path != "" {
		return d.Source.Path
	}
	name := d.Source.name()
	if abs, err := filepath.Abs(name); err == nil { // of "." too
		name = abs
	}
	name = strings.TrimSuffix(filepath.Base(name), ".gguf")
	return name + "-" + cmp.Or(strings.ToUpper(scheme), "auto") + ".gguf"
}

func (d *planDoc) count(src gguf.Source) {
	md, ts := src.Metadata(), src.Tensors()
	sum, err := expert.Find(md, ts)
	if err != nil {
		d.Experts.None = err.Error()
	} else if sum.Tensors == 0 {
		d.Experts.None = "dense: the model has no routed experts"
	}
	d.Experts.Count, d.Experts.Used, d.Experts.Layers = sum.Count, sum.Used, len(sum.Layers)
	d.Experts.Blocks = keyOr(md, "block_count", 0)
	d.Experts.Shared = recipes.SharedExperts(md, sum)
	d.Tensors.Count, d.Tensors.Experts = len(ts), sum.Tensors
	d.Parameters = recipes.CountParameters(ts, sum)
	for _, t := range ts {
		if t.Type == gguf.F32 {
			d.Tensors.F32++
		}
	}
}

// keyOr is an integer of the architecture, def where there is none.
func keyOr(md *gguf.Metadata, key string, def int64) int64 {
	if n, err := md.Int(md.ArchKey(key)); err == nil {
		return n
	}
	return def
}

func (d *planDoc) readContext(md *gguf.Metadata) {
	d.Context = planContext{Length: keyOr(md, "context_length", 0), Original: keyOr(md, "rope.scaling.original_context_length", 0), Window: keyOr(md, "attention.sliding_window", 0)}
	if s, err := gguf.Value[string](md, md.ArchKey("rope.scaling.type")); err == nil && s != "none" {
		d.Context.Scaling = s
	}
}

// sizes predicts every output. Schemes start from the auto conversion, as quantize does.
func (d *planDoc) sizes(src gguf.Source, p *convert.Plan) error {
	if p != nil {
		auto, err := p.Preview("auto")
		if err != nil {
			return err
		}
		src = auto
		want, err := gguf.Layout(auto.Metadata(), auto.Tensors())
		if err != nil {
			return err
		}
		for _, name := range convert.OutTypes {
			v, err := p.Preview(name)
			if err != nil {
				return err
			}
			doc, err := sizeOf(name, v, d.ShardSize)
			if err != nil {
				return err
			}
			doc.Auto = doc.Bytes == want.Size && sameTypes(auto.Tensors(), v.Tensors())
			d.Conversions = append(d.Conversions, doc)
		}
	}
	var err error
	d.Schemes, err = schemeSizes(src, d.ShardSize)
	return err
}

func sameTypes(a, b []gguf.TensorInfo) bool {
	return slices.EqualFunc(a, b, func(x, y gguf.TensorInfo) bool { return x.Type == y.Type })
}

// disk adds up the source and the chosen outputs; nothing else is written on the way.
func (d *planDoc) disk(o *planOptions) error {
	d.Disk = planDisk{Source: d.Source.Bytes, Types: o.chosen}
	for _, name := range o.chosen {
		i := slices.IndexFunc(d.Schemes, func(s sizeDoc) bool { return s.Name == name })
		from := d.Schemes
		if i < 0 {
			from = d.Conversions
			i = slices.IndexFunc(from, func(s sizeDoc) bool { return strings.EqualFold(s.Name, name) })
		}
		if i < 0 || from[i].Bytes == 0 {
			return usageError{errors.New("--types: " + name + " does not fit this model")}
		}
		d.Disk.Outputs += max(from[i].Bytes, from[i].Sharded)
	}
	d.Disk.Total = d.Disk.Source + d.Disk.Outputs
	return nil
}
