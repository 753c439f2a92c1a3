package runtime

import (
	"bytes"
	"context"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/testdata"
)

// counted is a source that counts the bytes read of it.
type counted struct {
	gguf.Source
	n atomic.Int64
}

func (c *counted) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	c.n.Add(int64(len(dst)))
	return c.Source.ReadRows(ctx, tensor, row, n, dst)
}

// TestLayers: carried through the model together, block by block, texts have the logits and the importance that they have
// one by one, and each weight is read once, however many there are and wherever hidden states are kept.
func TestLayers(t *testing.T) {
	text := strings.Repeat("all that is gold does not glitter, not all those who wander are lost\n", 30)
	for _, c := range families(t) {
		for _, hidden := range []int64{0, hiddenBytes} {
			src := &counted{Source: plan(t, c.Dir, "bf16")}
			var size int64
			for _, ti := range src.Tensors() {
				size += ti.Bytes()
			}
			opts := Options{Context: 64, WeightCache: hidden - 1}
			m := load(t, src.Source, opts)
			cal, err := m.Calibration(text, CalibrationOptions{ChunkSize: 64, Chunks: 5})
			if err != nil {
				t.Fatal(err)
			}
			want, wantScore := imatrix.NewSums(64), &CalibrationScore{}
			got, score := imatrix.NewSums(64), &CalibrationScore{}
			want.Output, got.Output = true, true
			for i := range cal.Chunks {
				if err := m.Calibrate(t.Context(), cal, i, want, wantScore); err != nil {
					t.Fatal(err)
				}
			}
			opts.Layers = true
			m = load(t, src, opts)
			m.hidden = hidden
			if err := m.CalibrateLayers(t.Context(), cal, got, score, nil); err != nil {
				t.Fatal(err)
			}
			a, _ := wantScore.Perplexity()
			b, _ := score.Perplexity()
			d := compareSums(t, want, got)
			if math.Abs(a-b) > 1e-5*a || score.Scored != wantScore.Scored || d.sum > 1e-5 || d.moved > 0 {
				t.Errorf("%s: perplexity %v, want %v; sums are %g off, %d uses differ", c.Family, b, a, d.sum, d.moved)
			}
			if n := src.n.Load(); n > size+size/10 || n < size/2 {
				t.Errorf("%s: %d bytes read of a model of %d", c.Family, n, size)
			}
			if _, err := m.NewSession().Eval(t.Context(), []int32{1}, WantAll); err == nil {
				t.Errorf("%s: a session without weights", c.Family)
			}
		}
	}
}

// The trained model's matrix over many chunks is the same to the byte.
func TestLayersTiny(t *testing.T) {
	text, err := os.ReadFile(testdata.Path("tiny/golden/calib.txt"))
	if err != nil {
		t.Fatal(err)
	}
	o := CalibrationOptions{ChunkSize: 512, Chunks: 4}
	src := plan(t, tinyDir, "bf16")
	want := calibrate(t, load(t, src, Options{Context: 512}), string(text), o)
	m := load(t, src, Options{Context: 512, Layers: true})
	c, err := m.Calibration(string(text), o)
	if err != nil {
		t.Fatal(err)
	}
	got := imatrix.NewSums(512)
	if err := m.CalibrateLayers(t.Context(), c, got, nil, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written(t, got), written(t, want)) {
		t.Errorf("other bytes: %+v", compareSums(t, want, got))
	}
}

func written(t *testing.T, s *imatrix.Sums) []byte {
	t.Helper()
	src, err := s.Source()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := gguf.Write(t.Context(), &b, src, gguf.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
