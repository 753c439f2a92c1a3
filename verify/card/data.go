package card

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/verify/evidence"
)

// The documents of a bundle that a card is made from.
const (
	ReleaseName   = "release.json"   // the report of the run that wrote the files
	FactsName     = "facts.json"     // licence, provenance, texts of the recipe
	FilesName     = "files.json"     // what the headers of the files say
	PlacementName = "placement.json" // which part of each file goes on which device
	BenchDir      = "bench"          // results of bench, one document each
)

// Data is what a template sees. Every Value leads to its evidence; a nil one was not measured.
type Data struct {
	Front string // the YAML block

	Name, Title, About, Repo, Source, Revision, License, LicenseLink *Value
	Prompt, Citation, Attribution, Measured                          *Value
	BaselinePPL, BaselineError                                       *Value
	Tool, Commit, Reference, CPU, Cores                              *Value

	Model   Model
	Outputs []Output
	Fixes   []Fix
	Notes   []Note
	Others  []Other
	Places  []Place
	Benches []Bench
	Plots   []Plot

	Laddered bool // some of Places were measured
}

// Plot is a diagram beside the card.
type Plot struct{ File, Title string }

// Model is what the headers say of the model itself.
type Model struct {
	Architecture, Parameters, Active, Layers, Context, Vocabulary, Experts, Used, Shared, ExpertLayers *Value
}

// Output is one file, or one set of shards.
type Output struct {
	Label, Scheme, File, Folder, Bytes, Bits, ExpertBits, Shards, SHA256, Types, Verdict *Value
	PPL, Error, Ratio, KLD, Same                                                         *Value
	Largest                                                                              bool
}

// Fix is a defect of the reference's conversion that was mended.
type Fix struct{ Name, Key, After *Value }

// Note is a warning of verify.
type Note struct{ Label, Check, Detail *Value }

// Other is a file made elsewhere.
type Other struct{ File, Bytes, SHA256, About *Value }

// Place is a placement of one file on one device. What was measured of it is nil where nothing was.
type Place struct {
	Label, VRAM, NCPUMoE, Device, Host, Context, Command   *Value
	Prefill, PrefillInterval, Decode, DecodeInterval, Peak *Value
}

// Bench is one measured cell: a file, a prompt, streamed or not. Intervals are half the width of 95%.
type Bench struct{ File, Mode, Prompt, TTFT, TTFTInterval, Decode, DecodeInterval, Runs *Value }

// data reads a bundle.
func (p *press) data(fsys fs.FS) (*Data, error) {
	var front FrontMatter
	facts, err := p.look.Value(FactsName, "/front_matter")
	if err != nil {
		return nil, err
	}
	if err := convert(facts, &front); err != nil {
		return nil, err
	}
	d := &Data{}
	if d.Front, err = front.block(); err != nil {
		return nil, err
	}
	for to, at := range map[**Value][2]string{
		&d.Name: {ReleaseName, "/name"}, &d.Measured: {ReleaseName, "/measured"},
		&d.BaselinePPL: {ReleaseName, "/baseline/ppl"}, &d.BaselineError: {ReleaseName, "/baseline/ppl_error"},
		&d.Title: {FactsName, "/title"}, &d.About: {FactsName, "/about"}, &d.Repo: {FactsName, "/repo"}, &d.Source: {FactsName, "/source/repo"},
		&d.Revision: {FactsName, "/source/revision"}, &d.License: {FactsName, "/front_matter/license"},
		&d.LicenseLink: {FactsName, "/front_matter/license_link"}, &d.Prompt: {FactsName, "/prompt"}, &d.Citation: {FactsName, "/citation"},
		&d.Attribution: {FactsName, "/attribution"},
		&d.Tool:        {evidence.EnvironmentName, "/tool/version"}, &d.Commit: {evidence.EnvironmentName, "/tool/commit"},
		&d.Reference: {evidence.EnvironmentName, "/tool/reference"}, &d.CPU: {evidence.EnvironmentName, "/cpu"}, &d.Cores: {evidence.EnvironmentName, "/cores"},
	} {
		p.fill(to, at[0], at[1])
	}
	p.model(&d.Model)
	p.outputs(d)
	for _, f := range p.list(ReleaseName, "/fixes") {
		if b, err := f.At("/changed"); err == nil && b != nil && b.raw == true {
			d.Fixes = append(d.Fixes, Fix{f.at("/name"), f.at("/key"), f.at("/after")})
		}
	}
	for _, v := range p.list(ReleaseName, "/files") {
		d.Others = append(d.Others, Other{v.at("/path"), v.at("/bytes"), v.at("/sha256"), v.at("/about")})
	}
	for _, v := range p.list(PlacementName, "/places") {
		place := p.place(v)
		d.Places, d.Laddered = append(d.Places, place), d.Laddered || place.Decode != nil
	}
	return d, p.benches(fsys, d)
}

// place reads a placement, and its measurement where there is one.
func (p *press) place(v Value) Place {
	out := Place{Label: v.at("/label"), VRAM: v.at("/vram_bytes"), NCPUMoE: v.at("/n_cpu_moe"), Device: v.at("/device_bytes"), Host: v.at("/host_bytes"),
		Context: v.at("/context"), Command: v.at("/command")}
	document := v.at("/ladder")
	if document == nil {
		return out
	}
	step := "0"
	if n := v.at("/step"); n != nil {
		step = n.Text()
	}
	at := "/ladder/steps/" + step
	for to, pointer := range map[**Value]string{&out.Prefill: "/prefill_tok_s/mean", &out.PrefillInterval: "/prefill_tok_s/ci95",
		&out.Decode: "/decode_tok_s/mean", &out.DecodeInterval: "/decode_tok_s/ci95"} {
		p.fill(to, document.Text(), at+pointer)
	}
	for _, f := range p.list(document.Text(), at+"/memory") {
		if name := f.at("/name").Text(); name == "rss_peak" || name == "max_rss" {
			out.Peak = f.at("/bytes")
		}
	}
	return out
}

// fill sets a field to the value at a place, "" counts as nothing.
func (p *press) fill(to **Value, document, pointer string) {
	v, _ := p.find(document, pointer)
	if v != nil && v.raw != "" {
		*to = v
	}
}

// at is At for a pointer that may lead nowhere.
func (v Value) at(pointer string) *Value {
	var out *Value
	v.press.fill(&out, v.document, v.pointer+pointer)
	return out
}

func (p *press) model(m *Model) {
	for to, key := range map[**Value]string{&m.Architecture: "architecture", &m.Parameters: "parameters", &m.Active: "active_parameters",
		&m.Layers: "layers", &m.Context: "context", &m.Vocabulary: "vocabulary", &m.Experts: "experts", &m.Used: "experts_used",
		&m.Shared: "experts_shared", &m.ExpertLayers: "expert_layers"} {
		p.fill(to, FilesName, "/model/"+key)
	}
}

func (p *press) outputs(d *Data) {
	var largest float64
	about := p.list(FilesName, "/files")
	for _, v := range p.list(ReleaseName, "/outputs") {
		if verdict := v.at("/verdict"); verdict != nil && verdict.Text() == "fail" {
			continue // held back
		}
		o := Output{Label: v.at("/label"), Scheme: v.at("/type"), File: v.at("/files/0/path"), Bytes: v.at("/total_bytes"), Bits: v.at("/bits_per_weight"),
			Verdict: v.at("/verdict"), PPL: v.at("/quality/ppl"), Error: v.at("/quality/ppl_error"), KLD: v.at("/quality/mean_kld"), Same: v.at("/quality/same_top"),
			SHA256: v.at("/files/0/sha256")}
		for _, a := range about {
			if l := a.at("/label"); l != nil && o.Label != nil && l.Text() == o.Label.Text() {
				o.ExpertBits, o.Types, o.Shards, o.Folder, o.Ratio = a.at("/expert_bits_per_weight"), a.at("/types"), a.at("/shards"), a.at("/folder"), a.at("/ppl_ratio")
			}
		}
		if o.Bytes != nil {
			largest = max(largest, o.Bytes.Float())
		}
		d.Outputs = append(d.Outputs, o)
		for _, c := range p.list(v.document, v.pointer+"/verify/checks") {
			if s := c.at("/status"); s != nil && s.Text() == "warn" {
				d.Notes = append(d.Notes, Note{o.Label, c.at("/name"), c.at("/detail")})
			}
		}
	}
	for i := range d.Outputs {
		o := &d.Outputs[i]
		o.Largest = o.Bytes != nil && o.Bytes.Float() == largest
	}
}

// benches reads the cells of every result of bench.
func (p *press) benches(fsys fs.FS, d *Data) error {
	entries, err := fs.ReadDir(fsys, BenchDir)
	if err != nil {
		return nil //nolint:nilerr // nothing was measured
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".json") {
			names = append(names, path.Join(BenchDir, e.Name()))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, m := range p.list(name, "/models") {
			for _, c := range p.list(name, m.pointer+"/cells") {
				d.Benches = append(d.Benches, Bench{m.at("/name"), c.at("/mode"), c.at("/prompt"), c.at("/ttft_s/mean"), c.at("/ttft_s/ci95"),
					c.at("/decode_tok_s/mean"), c.at("/decode_tok_s/ci95"), c.at("/total_s/n")})
			}
		}
	}
	return nil
}
