package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/moeconv/moeconv/runtime/offload"
)

// placeDoc is where a model's tensors would lie, and what else a device holds.
type placeDoc struct {
	Scheme     string               `json:"type"` // of the file; empty: as it is
	Context    int                  `json:"ctx"`
	Batch      int                  `json:"ubatch_size"`
	KeyType    string               `json:"cache_type_k"`
	ValueType  string               `json:"cache_type_v"`
	Layers     int                  `json:"layers"`
	VRAM       int64                `json:"vram_bytes,omitempty"`
	Margin     int64                `json:"margin_bytes,omitempty"`
	MaxDevice  int64                `json:"max_device_bytes,omitempty"`
	RAM        int64                `json:"ram_bytes,omitempty"`
	Fits       bool                 `json:"fits"`
	Refused    string               `json:"refused,omitempty"`
	NCPUMoE    int                  `json:"n_cpu_moe"` // the chosen placement's; where none fits, that which needs least
	Flags      []string             `json:"flags,omitempty"`
	Command    string               `json:"command,omitempty"`
	Chosen     footprintDoc         `json:"chosen"`
	Cache      []offload.CacheLayer `json:"kv_layers"`
	Cards      []cardDoc            `json:"table,omitempty"`
	Placements []footprintDoc       `json:"placements"` // by --n-cpu-moe, 0 to all layers
	Notes      []noteDoc            `json:"notes"`      // scope and method of each figure

	name string
}

// noteDoc says what a figure counts and where it comes from.
type noteDoc struct {
	Figure string `json:"figure"`
	Scope  string `json:"scope"`
	Method string `json:"method"`
}

// footprintDoc is the memory of one placement.
type footprintDoc struct {
	NCPUMoE   int     `json:"n_cpu_moe"`
	AllOnHost bool    `json:"cpu_moe"` // the same as --cpu-moe
	Weights   int64   `json:"device_weight_bytes"`
	KV        int64   `json:"kv_bytes"`
	Compute   int64   `json:"compute_bytes_estimate"`
	Device    int64   `json:"device_bytes"`
	Host      int64   `json:"host_weight_bytes"`
	Experts   int64   `json:"host_expert_bytes"`
	Tensors   int     `json:"host_expert_tensors"`
	WeightMiB float64 `json:"device_weight_mib"`
	KVMiB     float64 `json:"kv_mib"`
	CompMiB   float64 `json:"compute_mib_estimate"`
	DeviceMiB float64 `json:"device_mib"`
	HostMiB   float64 `json:"host_weight_mib"`
	ExpertMiB float64 `json:"host_expert_mib"`
	WeightGiB float64 `json:"device_weight_gib"`
	DeviceGiB float64 `json:"device_gib"`
}

// cardDoc is the placement for one size of device.
type cardDoc struct {
	VRAM    int64         `json:"vram_bytes"`
	Fits    bool          `json:"fits"`
	Refused string        `json:"refused,omitempty"`
	Place   *footprintDoc `json:"placement,omitempty"`
	Flags   []string      `json:"flags,omitempty"`
}

func mebi(n int64) float64 { return math.Round(float64(n)/(1<<20)*100) / 100 }
func gibi(n int64) float64 { return math.Round(float64(n)/(1<<30)*1000) / 1000 }

func newFootprintDoc(f *offload.Footprint, experts int) footprintDoc {
	return footprintDoc{f.NCPUMoE, experts > 0 && f.Tensors == experts, f.Weights, f.KV, f.Compute, f.Device(), f.Host, f.Moved, f.Tensors,
		mebi(f.Weights), mebi(f.KV), mebi(f.Compute), mebi(f.Device()), mebi(f.Host), mebi(f.Moved), gibi(f.Weights), gibi(f.Device())}
}

var placeNotes = []noteDoc{
	{"device_weight_bytes", "tensors on the device with all layers there, padded as the CUDA backend pads them; no KV, no compute", "the ledger's sum over the header's tensors"},
	{"kv_bytes", "the cache of one sequence, all of it on the device", "llama.cpp's allocation from metadata: the context rounded up to 256, windows hold a window and a batch"},
	{"compute_bytes_estimate", "the device's compute buffer for a prompt batch, flash attention on, one sequence", "an estimate: what is alive in the largest step, and a copy of the largest expert matrix that lies on the host; fitted to what llama.cpp b6686 logged for DeepSeek-MoE-16B and Phi-3.5-MoE at 4096 positions, which it meets to 0.01 MiB; with no expert on the host -2% to +8% of what 0c1e57098 reserves for these and GPT-OSS at 4096 to 131072; not checked for others"},
	{"device_bytes", "the sum of these three; the driver's context and other programs come on top (--margin)", "sum"},
	{"host_weight_bytes", "tensors on the host: token embeddings and what was moved; llama.cpp's host buffers for inputs and logits are not predicted", "the ledger's sum over the header's tensors"},
}

func newPlaceDoc(name string, o *placeOptions, p *offload.Planner, all []*offload.Footprint) *placeDoc {
	d := &placeDoc{Scheme: o.scheme, Context: o.context, Batch: o.batch, KeyType: o.keyType.GGMLName(), ValueType: o.valueType.GGMLName(),
		Layers: p.Blocks(), Margin: o.spared, MaxDevice: o.maxDevice << 20, Cache: p.Cache.Layers, Notes: placeNotes, name: name}
	if o.device != math.MaxInt64 {
		d.VRAM = o.device
	}
	if o.host != math.MaxInt64 {
		d.RAM = o.host
	}
	for _, f := range all {
		d.Placements = append(d.Placements, newFootprintDoc(f, all[len(all)-1].Tensors))
	}
	return d
}

// choose takes a placement, or the reason why there is none.
func (d *placeDoc) choose(o *placeOptions, p *offload.Planner, f *offload.Footprint, err error) {
	var small *offload.TooSmallError
	if errors.As(err, &small) {
		d.Refused = strings.TrimPrefix(err.Error(), "offload: ")
		f = small.Needs
	} else {
		d.Fits, d.Flags = true, o.flags(p, f.NCPUMoE)
		d.Command = "llama-server -m " + d.name + " " + strings.Join(d.Flags, " ")
	}
	d.NCPUMoE, d.Chosen = f.NCPUMoE, d.Placements[f.NCPUMoE]
}

func (d *placeDoc) addCard(o *placeOptions, p *offload.Planner, all []*offload.Footprint, size int64) {
	card := cardDoc{VRAM: size}
	if f, err := offload.Smallest(all, o.limit(size), o.host); err != nil {
		card.Refused = strings.TrimPrefix(err.Error(), "offload: ")
	} else {
		card.Fits, card.Place, card.Flags = true, &d.Placements[f.NCPUMoE], o.flags(p, f.NCPUMoE)
	}
	d.Cards = append(d.Cards, card)
}

func (d *placeDoc) print(w io.Writer) error {
	var b strings.Builder
	scheme := d.Scheme
	if scheme == "" {
		scheme = "the types it has (of a checkpoint: the auto conversion)"
	}
	fmt.Fprintf(&b, "placement of %s, %d positions, batches of %d tokens, KV cache %s/%s; MiB of 2^20 bytes\n", scheme, d.Context, d.Batch, d.KeyType, d.ValueType)
	b.WriteString(d.table() + "\n")
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "  %s: %s (%s)\n", noteNames[n.Figure], n.Scope, n.Method)
	}
	if d.Placements[len(d.Placements)-1].Tensors == 0 {
		b.WriteString("  MoE: 0 expert tensors matched: --n-cpu-moe moves nothing\n")
	}
	if d.Fits {
		fmt.Fprintf(&b, "%s\n", d.Command)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// noteNames are the figures' names in the table.
var noteNames = map[string]string{"device_weight_bytes": "weights", "kv_bytes": "KV", "compute_bytes_estimate": "compute", "device_bytes": "device", "host_weight_bytes": "host"}

func (d *placeDoc) table() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault // flags keep their case
	t.AppendHeader(table.Row{"", "--n-cpu-moe", "weights", "KV", "compute (est.)", "device", "host", "of it experts"})
	alignRight(t, 2, 8)
	row := func(label string, f footprintDoc) {
		mib := func(n int64) string { return fmt.Sprintf("%.2f", float64(n)/(1<<20)) }
		t.AppendRow(table.Row{label, f.NCPUMoE, mib(f.Weights), mib(f.KV), mib(f.Compute), mib(f.Device), mib(f.Host), mib(f.Experts)})
	}
	row("all on the device", d.Placements[0])
	row("--cpu-moe", d.Placements[len(d.Placements)-1])
	if d.Fits {
		row("chosen", d.Chosen)
	}
	for _, c := range d.Cards {
		label := fmt.Sprintf("%.4g GiB", float64(c.VRAM)/(1<<30))
		if c.Fits {
			row(label, *c.Place)
		} else {
			t.AppendRow(table.Row{label, "-", "-", "-", "-", "does not fit", "-", "-"})
		}
	}
	return t.Render()
}
