package quantize

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/moeconv/moeconv/gguf"
)

// Pruned is a source without some of its blocks; those after them move up. Its metadata are still the whole model's, which
// decide its types, as in llama-quantize. New writes the number of blocks that are left.
type Pruned struct {
	src     gguf.Source
	tensors []gguf.TensorInfo
	from    []int             // of the tensors in src
	names   map[string]string // what the tensors were called
	blocks  int
	missing []int
}

// Prune takes blocks off src, by number. Arrays of metadata with a value for each block stay as they are, as in
// llama-quantize. It fails where no block would be left.
func Prune(src gguf.Source, blocks []int) (*Pruned, error) {
	p := &Pruned{src: src, names: map[string]string{}}
	gone := slices.Clone(blocks)
	slices.Sort(gone)
	gone = slices.Compact(gone)
	if len(gone) == 0 || gone[0] < 0 {
		return nil, fmt.Errorf("quantize: cannot prune the blocks %d", gone)
	}
	ts := src.Tensors()
	moved := map[int]int{} // -1: gone
	for _, i := range Order(ts) {
		t := ts[i]
		at := blockPart.FindStringSubmatchIndex(t.Name)
		if at == nil {
			p.add(i, t, t.Name)
			continue
		}
		block, err := strconv.Atoi(t.Name[at[2]:at[3]])
		if err != nil {
			return nil, fmt.Errorf("quantize: tensor %q: %w", t.Name, err)
		}
		to, known := moved[block]
		if !known {
			to = p.place(block, gone)
			moved[block] = to
		}
		if to >= 0 {
			p.add(i, t, t.Name[:at[2]]+strconv.Itoa(to)+t.Name[at[3]:])
		}
	}
	for _, b := range gone {
		if _, ok := moved[b]; !ok {
			p.missing = append(p.missing, b)
		}
	}
	if p.blocks == 0 {
		return nil, fmt.Errorf("quantize: no block would be left")
	}
	return p, nil
}

var blockPart = regexp.MustCompile(`blk\.([0-9]+)\.`)

// place is the new number of a block that is met for the first time, -1 if it goes.
func (p *Pruned) place(block int, gone []int) int {
	switch {
	case slices.Contains(gone, block):
		return -1
	case block < gone[0]:
		p.blocks = block + 1
	default:
		p.blocks++
	}
	return p.blocks - 1
}

func (p *Pruned) add(from int, t gguf.TensorInfo, name string) {
	p.names[name] = t.Name
	t.Name = name
	p.tensors, p.from = append(p.tensors, t), append(p.from, from)
}

// Missing lists the blocks that were to go and are not there.
func (p *Pruned) Missing() []int { return p.missing }

// Origin is the index that a tensor has in the whole model.
func (p *Pruned) Origin(tensor int) int { return p.from[tensor] }

// Metadata is that of the whole model.
func (p *Pruned) Metadata() *gguf.Metadata { return p.src.Metadata() }

// Tensors lists those that are left, in llama-quantize's order.
func (p *Pruned) Tensors() []gguf.TensorInfo { return p.tensors }

// ReadRows reads rows of a tensor that is left.
func (p *Pruned) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(p.tensors, tensor, row, n, dst); err != nil {
		return err
	}
	return p.src.ReadRows(ctx, p.from[tensor], row, n, dst)
}

// Units is the granularity of the source.
func (p *Pruned) Units(tensor int) int {
	if tensor < 0 || tensor >= len(p.from) {
		return 1
	}
	return gguf.Units(p.src, p.from[tensor])
}

// originalName is the name that an importance matrix of the whole model has for a tensor of src.
func originalName(src gguf.Source, name string) string {
	if p, ok := src.(*Pruned); ok {
		return p.names[name]
	}
	return name
}
