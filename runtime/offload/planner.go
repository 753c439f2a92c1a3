package offload

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Planner finds placements of a model before it is loaded, from its header alone.
type Planner struct {
	Cache   Cache
	md      *gguf.Metadata
	tensors []gguf.TensorInfo
	batch   int
	blocks  int
}

// Footprint is the memory of one placement, in bytes.
type Footprint struct {
	NCPUMoE int // layers, dense ones counted, whose routed experts are on the host
	Ledger  *Ledger
	Weights int64 // device: buffer of the tensors
	KV      int64 // device: the cache, to the byte
	Compute int64 // device: an estimate
	Host    int64 // host: tensors
	Moved   int64 // of them, routed experts
	Tensors int   // routed expert tensors on the host
}

// Device is the sum of the device's buffers. A driver's own memory (the CUDA context) comes on top.
func (f *Footprint) Device() int64 { return f.Weights + f.KV + f.Compute }

// NewPlanner sizes the cache. It fails where NewCache does.
func NewPlanner(md *gguf.Metadata, tensors []gguf.TensorInfo, o CacheOptions) (*Planner, error) {
	cache, err := NewCache(md, tensors, o)
	if err != nil {
		return nil, err
	}
	s := &sizes{md: md}
	p := &Planner{Cache: cache, md: md, batch: o.Batch, blocks: int(s.get("block_count", 0))}
	run := p.blocks - int(s.get("nextn_predict_layers", 0))
	for _, t := range tensors {
		if names.Parse(t.Name).Block < run { // llama.cpp does not load those behind, of multi-token prediction
			p.tensors = append(p.tensors, t)
		}
	}
	return p, s.err
}

// Blocks is the number of layers: with so many, --n-cpu-moe is --cpu-moe.
func (p *Planner) Blocks() int { return p.blocks }

// At is the placement of --n-cpu-moe n, 0 or more.
func (p *Planner) At(n int) (*Footprint, error) { return p.Place(Options{NCPUMoE: n}) }

// Place is the placement by any options. It fails where NewLedger does.
func (p *Planner) Place(o Options) (*Footprint, error) {
	l, err := NewLedger(p.md, p.tensors, o)
	if err != nil {
		return nil, err
	}
	n := max(0, o.NCPUMoE)
	if o.CPUMoE {
		n = p.blocks
	}
	f := &Footprint{NCPUMoE: n, Ledger: l, KV: p.Cache.Bytes(), Compute: newGraph(p.md, p.tensors, l).computeBytes(p.Cache, p.batch)}
	for _, s := range l.Sums() {
		if s.Place == Device {
			f.Weights = s.Buffer
		} else {
			f.Host += s.Buffer
		}
	}
	f.Tensors, f.Moved = l.Moved(names.RoutedExpert)
	return f, nil
}

// All is the placements of 0 layers to all. Device never grows on the way, Host never shrinks: a matrix
// that begins to be copied takes at most its own size in the compute buffer.
func (p *Planner) All() ([]*Footprint, error) {
	var out []*Footprint
	for n := range p.blocks + 1 {
		f, err := p.At(n)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// Smallest is the first of placements in the order of All whose device needs at most vram bytes; its tensors on the host
// must need at most ram, and those of later ones need more. Where there is none, the error is a *TooSmallError.
func Smallest(all []*Footprint, vram, ram int64) (*Footprint, error) {
	for _, f := range all {
		if f.Device() > vram {
			continue
		}
		if f.Host > ram {
			return nil, &TooSmallError{Place: Host, Needs: f, Limit: ram}
		}
		return f, nil
	}
	return nil, &TooSmallError{Place: Device, Needs: all[len(all)-1], Limit: vram}
}

// TooSmallError says that no placement fits.
type TooSmallError struct {
	Place Place      // that is too small
	Needs *Footprint // the placement that needs least of it
	Limit int64
}

func (e *TooSmallError) Error() string {
	f := e.Needs
	if e.Place == Host {
		return fmt.Sprintf("offload: %.2f MiB of tensors on the host with --n-cpu-moe %d, the smallest that fits the device; at most %.2f are allowed; largest:%s",
			mib(f.Host), f.NCPUMoE, mib(e.Limit), f.Ledger.largest(Host))
	}
	return fmt.Sprintf("offload: %.2f MiB on the device (weights %.2f, KV %.2f, compute %.2f) with --n-cpu-moe %d, at most %.2f are allowed; largest:%s",
		mib(f.Device()), mib(f.Weights), mib(f.KV), mib(f.Compute), f.NCPUMoE, mib(e.Limit), f.Ledger.largest(Device))
}
