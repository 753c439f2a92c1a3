package quantize

import (
	"context"
	"fmt"
)

// Batch is several jobs over one source: rows are read, checked and decoded once for all of them.
type Batch struct{ jobs []*Job }

// NewBatch joins jobs. They must be of the same source, with options that give the same tensors in the same order.
func NewBatch(jobs ...*Job) (*Batch, error) {
	first := jobs[0]
	for _, j := range jobs[1:] {
		if len(j.items) != len(first.items) {
			return nil, fmt.Errorf("quantize: %v has %d tensors, %v has %d: they cannot be written together", first.scheme, len(first.items), j.scheme, len(j.items))
		}
		for i := range j.items {
			if a, b := first.items[i], j.items[i]; a.src != b.src || a.from != b.from {
				return nil, fmt.Errorf("quantize: %v has tensor %q where %v has %q: they cannot be written together",
					first.scheme, first.tensors[i].Name, j.scheme, j.tensors[i].Name)
			}
		}
	}
	return &Batch{jobs}, nil
}

// ReadRows is the gguf.Rows of a gguf.Job whose outputs are the batch's jobs; dst is parallel to them.
func (b *Batch) ReadRows(ctx context.Context, tensor, row, n int, dst [][]byte) error {
	return b.jobs[0].read(ctx, tensor, row, n, b.jobs, dst)
}
