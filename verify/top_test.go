package verify

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/moeconv/moeconv/runtime"
)

// pairedBase is a base's answers in two forms: figures are those of the first, and mean divergences are of the second.
type pairedBase struct {
	wide, top *Baseline
	mu        sync.Mutex
	kld       moments // by the second
}

func (p *pairedBase) Close() error { return nil }

func (p *pairedBase) chunk(i int) (answers, error) {
	wide, err := p.wide.chunk(context.Background(), i)
	if err != nil {
		return nil, err
	}
	top, err := p.top.chunk(context.Background(), i)
	return &pairedAnswers{wide, top, p}, err
}

type pairedAnswers struct {
	answers
	top  answers
	pair *pairedBase
}

func (a *pairedAnswers) compare(j int, logits []float32, next int32) position {
	p := a.top.compare(j, logits, next)
	a.pair.mu.Lock()
	a.pair.kld.add(p.kld)
	a.pair.mu.Unlock()
	return a.answers.compare(j, logits, next)
}

// recordTop records a base in the compact form, which must take less than a fiftieth of the other.
func recordTop(t *testing.T, base *runtime.Model, o PerplexityOptions) *Baseline {
	t.Helper()
	name := filepath.Join(t.TempDir(), "top")
	b, err := RecordBaseline(context.Background(), name, base, [32]byte{}, validText(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	wide := int64(20+4*b.text.chunks*b.text.context) + int64(b.text.chunks)*b.chunkBytes()
	if n := size(t, name); 50*n >= wide {
		t.Errorf("%d bytes recorded, %.2f%% of %d", n, 100*float64(n)/float64(wide), wide)
	}
	return b
}
