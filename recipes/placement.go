package recipes

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/verify/bench"
	"github.com/moeconv/moeconv/verify/card"
)

// Windows are the attention windows of an architecture, for a placement's cache. A family without a graph says it in
// its files.
func Windows(md *gguf.Metadata) offload.Windows {
	arch, _ := md.Architecture()
	f, ok := family.ForArch(arch)
	if !ok || f.Graph == nil {
		_, listed := md.Get(md.ArchKey("attention.sliding_window_pattern"))
		return offload.Windows{On: listed}
	}
	w := f.Graph.Windows
	return offload.Windows{On: w.Kind != family.WindowNone, Every: w.Every, Size: w.Size}
}

// LlamaFlags are the arguments of llama.cpp's tools for a placement with n layers' routed experts on the host.
func LlamaFlags(p *offload.Planner, n int, c offload.CacheOptions) []string {
	args := []string{"-ngl", fmt.Sprint(max(99, p.Blocks()+1)), "--n-cpu-moe", fmt.Sprint(n), "-c", fmt.Sprint(c.Context),
		"-ub", fmt.Sprint(c.Batch), "-np", "1", "-fa", "on"}
	if c.Batch > 2048 {
		args = append(args, "-b", fmt.Sprint(c.Batch))
	}
	if c.Key != gguf.F16 {
		args = append(args, "-ctk", strings.ToLower(c.Key.GGMLName()))
	}
	if c.Value != gguf.F16 {
		args = append(args, "-ctv", strings.ToLower(c.Value.GGMLName()))
	}
	return args
}

// placementDoc is the bundle's placement.json.
type placementDoc struct {
	Method   string     `json:"method"`
	Scope    string     `json:"scope"`
	Places   []placeRow `json:"places"`
	Extremes []extremes `json:"extremes"`
}

// extremes are what a file needs with all of it on the device, and with all routed experts on the host.
type extremes struct {
	Label  string `json:"label"`
	Whole  int64  `json:"device_bytes"`
	Device int64  `json:"cpu_moe_device_bytes"`
	Host   int64  `json:"cpu_moe_host_bytes"`
}

// placeRow is the placement of one file on one device. It is one of those that a ladder has measured, where one of them
// fits the device; else it is the ledger's.
type placeRow struct {
	From    string `json:"from"`             // measured or ledger; what is on the device and the host is the ledger's in both
	Ladder  string `json:"ladder,omitempty"` // the bundle's document with the measurement
	Step    int    `json:"step,omitempty"`   // in it, from 0
	Label   string `json:"label"`
	VRAM    int64  `json:"vram_bytes"`
	NCPUMoE int    `json:"n_cpu_moe"`
	Device  int64  `json:"device_bytes"`
	Host    int64  `json:"host_bytes"`
	Weights int64  `json:"device_weight_bytes"`
	KV      int64  `json:"kv_bytes"`
	Compute int64  `json:"compute_bytes"`
	Context int    `json:"context"`
	Command string `json:"command"`
}

// cardSizes are the devices that a card has placements for, in decimal gigabytes: less than what cards of these names
// hold, since the driver and other programs need some.
var cardSizes = []int64{8e9, 12e9, 16e9, 24e9, 48e9}

// Where placeRows come from.
const (
	fromMeasured = "measured"
	fromLedger   = "ledger"
)

// measuredLadder is a ladder and its place in the bundle.
type measuredLadder struct {
	document string
	*bench.Ladder
}

// ladders are those among the files that belong into the bundle, by the SHA-256 of what they measured.
func ladders(extra map[string]string) (map[string]measuredLadder, error) {
	out := map[string]measuredLadder{}
	for _, name := range sortedKeys(extra) {
		if path.Dir(name) != card.BenchDir || path.Ext(name) != ".json" {
			continue
		}
		data, err := os.ReadFile(extra[name])
		if err != nil {
			return nil, err
		}
		var doc benchResult
		if err := json.Unmarshal(data, &doc); err != nil {
			return nil, fmt.Errorf("recipes: %s: %w", filepath.Base(extra[name]), err)
		}
		if doc.Ladder != nil && doc.SHA256 != "" {
			out[doc.SHA256] = measuredLadder{name, doc.Ladder}
		}
	}
	return out, nil
}

// newPlacements is a document without rows.
func newPlacements() placementDoc {
	return placementDoc{Method: "sums over the files' headers; compute buffers are an estimate fitted to llama.cpp's logs",
		Scope: "weights, KV cache of one sequence (f16) and compute buffers; the driver's own memory comes on top", Places: []placeRow{}}
}

// take keeps what was said of a file.
func (d *placementDoc) take(label string, old *placementDoc) {
	d.Places = append(d.Places, of(label, old.Places, func(p placeRow) string { return p.Label })...)
	d.Extremes = append(d.Extremes, of(label, old.Extremes, func(e extremes) string { return e.Label })...)
}

// add finds, for a file and every device, the smallest number of layers whose experts stay on the host. Devices that
// hold everything are listed once, the smallest; a file that fits none is not listed.
func (d *placementDoc) add(o *Output, f gguf.Source, measured map[string]measuredLadder) error {
	rows, ends, err := place(o.Label, f, measured[o.Files[0].SHA256])
	if err != nil {
		return fmt.Errorf("placement: %w", err)
	}
	d.Places, d.Extremes = append(d.Places, rows...), append(d.Extremes, ends)
	return nil
}

// of are the rows about one output.
func of[T any](label string, rows []T, name func(T) string) []T {
	var out []T
	for _, r := range rows {
		if name(r) == label {
			out = append(out, r)
		}
	}
	return out
}

// usualCache is the cache that a card's placements have: 4096 positions, or as many as the model knows.
func usualCache(md *gguf.Metadata) offload.CacheOptions {
	const usual = 4096
	return offload.CacheOptions{Context: int(min(usual, max(256, intKey(md, md.ArchKey("context_length"))))), Batch: 512, Key: gguf.F16, Value: gguf.F16, Windows: Windows(md)}
}

func place(label string, f gguf.Source, l measuredLadder) ([]placeRow, extremes, error) {
	opts := usualCache(f.Metadata())
	p, err := offload.NewPlanner(f.Metadata(), f.Tensors(), opts)
	if err != nil {
		return nil, extremes{}, err
	}
	all, err := p.All()
	if err != nil {
		return nil, extremes{}, err
	}
	var rows []placeRow
	for _, size := range cardSizes {
		fp, err := offload.Smallest(all, size, math.MaxInt64)
		var small *offload.TooSmallError
		if errors.As(err, &small) {
			continue
		}
		if err != nil {
			return nil, extremes{}, err
		}
		row := placeRow{From: fromLedger}
		if i := l.smallest(all, size, fp.NCPUMoE); i >= 0 {
			row, fp = placeRow{From: fromMeasured, Ladder: l.document, Step: i}, all[l.Steps[i].NCPUMoE]
		}
		row.Label, row.VRAM, row.NCPUMoE, row.Device, row.Host, row.Context = label, size, fp.NCPUMoE, fp.Device(), fp.Host, opts.Context
		row.Weights, row.KV, row.Compute, row.Command = fp.Weights, fp.KV, fp.Compute, strings.Join(LlamaFlags(p, fp.NCPUMoE, opts), " ")
		rows = append(rows, row)
		if fp.NCPUMoE == 0 {
			break
		}
	}
	last := all[len(all)-1]
	return rows, extremes{label, all[0].Device(), last.Device(), last.Host}, nil
}

// smallest is the first of the measured steps whose device needs at most vram bytes, -1 for none. least is the smallest
// number that fits, measured or not: where that is 0, a step that keeps experts on the host is no advice.
func (l measuredLadder) smallest(all []*offload.Footprint, vram int64, least int) int {
	if l.Ladder == nil {
		return -1
	}
	return slices.IndexFunc(l.Steps, func(s bench.Step) bool {
		return s.NCPUMoE < len(all) && all[s.NCPUMoE].Device() <= vram && (least > 0 || s.NCPUMoE == 0)
	})
}
