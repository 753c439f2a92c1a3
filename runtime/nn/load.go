package nn

import (
	"context"
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
	"github.com/moeconv/moeconv/runtime/offload"
)

// Options of Load.
type Options struct {
	Workers     int             // 1 or more
	Context     int             // positions a State holds
	Rounded     bool            // inputs are rounded to the reference's dot-product types
	Integers    bool            // and multiplied in integers where kernels can
	KV          gguf.Type       // of the KV cache: F32, F16 or Q8_0
	WeightCache int64           // bytes of decoded weights
	FullWindows bool            // blocks with a window keep all positions, too: texts can be cut anywhere without being evaluated again
	Compat      Compat          // whose formulas
	Layers      bool            // matrices are read by RunLayers, a block's at a time
	Ledger      *offload.Ledger // how tensors are kept; nil: all in memory
	ExpertRAM   int64           // bytes of the cache of streamed experts
}

// Compat says whose formulas are computed where llama.cpp's differ from the published model's.
type Compat uint8

// The choices; a family's Graph.Original has the differences.
const (
	CompatLlamaCpp Compat = iota
	CompatHF
)

// Decoder is a loaded model. It does not change after Load.
type Decoder struct {
	Params    Params
	opts      Options
	workers   workers
	w         *weights
	recurrent bool // a block keeps more than keys and values
	forgets   bool // or not those of all positions
	matrices  []*matrix
	src       gguf.Source      // with Options.Layers
	experts   *offload.Experts // nil: all are in memory
	mapping   *offload.Mapping // nil: nothing is mapped
	freqs     []*frequencies   // of blocks that see everything, of those with a window, and of long texts
}

// Vocabulary is the number of logits of a position.
func (d *Decoder) Vocabulary() int { return d.w.output.rows }

// Load binds src's tensors to the decoder and reads them. src is not used afterwards, unless NeedsSource.
func Load(ctx context.Context, src gguf.Source, opts Options) (*Decoder, error) {
	p, err := ReadParams(src.Metadata())
	if err != nil {
		return nil, err
	}
	if err := family.CheckContract(src.Metadata(), src.Tensors()); err != nil {
		return nil, fmt.Errorf("nn: %w", err)
	}
	if opts.Compat == CompatHF {
		p.Original = original(src, p)
	}
	b := &binder{tensors: src.Tensors(), byName: map[string]int{}, rounded: opts.Rounded, integers: opts.Integers}
	for _, t := range b.tensors {
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("nn: %w", err)
		}
	}
	w, err := b.bind(p)
	if err != nil {
		return nil, err
	}
	d := &Decoder{Params: p, opts: opts, workers: workers{max(1, opts.Workers)}, w: w}
	for _, l := range w.layers {
		if block := max(1, opts.KV.BlockLen()); l.keyDim%block != 0 || l.valueDim%block != 0 {
			return nil, fmt.Errorf("nn: heads of %d and %d elements in a KV cache of type %v", l.keyDim, l.valueDim, opts.KV)
		}
	}
	d.matrices = b.matrices
	resident, err := d.place(src)
	if err == nil && opts.Layers {
		d.src, resident = src, nil
	}
	if err == nil {
		err = d.read(ctx, src, resident, b.vectors)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	d.setFrequencies()
	d.recurrent = slices.ContainsFunc(w.layers, func(l layer) bool { return l.conv != nil || l.delta != nil || l.mamba != nil })
	d.forgets = d.recurrent || slices.ContainsFunc(w.layers, func(l layer) bool { return l.windowed && !opts.FullWindows })
	return d, nil
}

// original is what the published model computes otherwise: the source's own figures where it has them.
func original(src gguf.Source, p Params) family.Original {
	if c, ok := src.(interface {
		Original() (family.Original, bool)
	}); ok {
		if o, ok := c.Original(); ok {
			return o
		}
	}
	if p.Graph.Original != nil {
		return *p.Graph.Original
	}
	return family.Original{}
}

// slabBytes is how much of a tensor is read at a time.
const slabBytes = 4 << 20

// slab is a run of a tensor's rows on its way into memory.
type slab struct {
	tensor, row, n int
	rowBytes       int
	encoded        []byte    // where the rows go, or
	decoded        []float32 // where their values go
	decode         func(dst []float32, src []byte)
}

// read fills weights. Tensors of F32 are kept as float32, and so are all others that are not multiplied as they are,
// if they fit in the weight cache.
func (d *Decoder) read(ctx context.Context, src gguf.Source, matrices []*matrix, vectors []pending) error {
	var total int64
	for _, m := range matrices {
		if m.info.Type != gguf.F32 && !m.integer() && !m.halves() {
			total += 4 * m.elements()
		}
	}
	keep := total <= d.opts.WeightCache
	var slabs []slab
	for _, m := range matrices {
		s := slab{tensor: m.tensor, decode: m.decode}
		if m.info.Type == gguf.F32 || keep && !m.integer() && !m.halves() {
			m.decoded = make([]float32, m.elements())
			s.decoded = m.decoded
		} else {
			m.encoded = make([]byte, m.info.Bytes())
			inHugePages(m.encoded)
			s.encoded = m.encoded
		}
		slabs = s.cut(slabs, src)
	}
	for _, v := range vectors {
		decode, _ := kernel.DecoderOf(src.Tensors()[v.tensor].Type)
		slabs = slab{tensor: v.tensor, decoded: v.dst, decode: decode}.cut(slabs, src)
	}
	bufs := make([][]byte, d.workers.n)
	return d.workers.runErr(len(slabs), func(worker, i int) error {
		return slabs[i].read(ctx, src, &bufs[worker])
	})
}

// cut appends s's tensor in runs of about slabBytes, of whole units where src has them.
func (s slab) cut(to []slab, src gguf.Source) []slab {
	t := src.Tensors()[s.tensor]
	rows, unit := int(t.Shape.Rows()), gguf.Units(src, s.tensor)
	s.rowBytes = int(t.RowBytes())
	step := max(1, slabBytes/max(1, s.rowBytes)/unit) * unit
	for r := 0; r < rows; r += step {
		c := s
		c.row, c.n = r, min(step, rows-r)
		if s.encoded != nil {
			c.encoded = s.encoded[r*s.rowBytes:][:c.n*s.rowBytes]
		} else {
			cols := int(t.Shape.NE(0))
			c.decoded = s.decoded[r*cols:][:c.n*cols]
		}
		to = append(to, c)
	}
	return to
}

func (s slab) read(ctx context.Context, src gguf.Source, buf *[]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dst := s.encoded
	if dst == nil {
		if n := s.n * s.rowBytes; cap(*buf) < n {
			*buf = make([]byte, n)
		}
		dst = (*buf)[:s.n*s.rowBytes]
	}
	if err := src.ReadRows(ctx, s.tensor, s.row, s.n, dst); err != nil {
		return fmt.Errorf("nn: reading tensor %q: %w", src.Tensors()[s.tensor].Name, err)
	}
	if s.encoded == nil {
		s.decode(s.decoded, dst)
	}
	return nil
}
