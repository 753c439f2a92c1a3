package convert

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// Where blocks and scales of one tensor lie in different shards, the reference pairs the wrong ones; the right
// tensors are those it makes of the same weights in other shards.
func TestSplitPair(t *testing.T) {
	n := 0
	for _, ck := range testdata.Checkpoints() {
		twin, ok := strings.CutSuffix(ck.Family, "-splitpair")
		if !ok {
			continue
		}
		n++
		for _, ot := range sampleOutTypes() {
			if ck.Micro && ot != "bf16" {
				continue // the only one whose golden lists tensors
			}
			t.Run(ot, func(t *testing.T) {
				p, err := OpenDir(ck.Dir, Options{OutType: ot})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				g := readGolden(t, filepath.Join(filepath.Dir(ck.Golden), "..", twin, "golden", "gguf-"+ot+".json"))
				diffKV(t, p.Metadata(), g.KV)
				diffByName(t, p, g.Tensors)
			})
		}
	}
	if n == 0 {
		t.Fatal("no fixture")
	}
}

// diffByName compares tensors in whatever order.
func diffByName(t *testing.T, p *Plan, want []goldenInfo) {
	t.Helper()
	if len(p.infos) != len(want) {
		t.Errorf("%d tensors, want %d", len(p.infos), len(want))
	}
	for _, w := range want {
		i := gguf.Find(p.infos, w.Name)
		if i < 0 {
			t.Errorf("%s is missing", w.Name)
			continue
		}
		got := p.infos[i]
		if got.Type.String() != w.Type || !got.Shape.Equal(gguf.Shape(w.NE)) {
			t.Errorf("%s: %v %v, want %s %v", w.Name, got.Type, got.Shape, w.Type, w.NE)
			continue
		}
		sum, err := gguf.TensorSHA256(t.Context(), p, i)
		if err != nil {
			t.Fatal(err)
		}
		if sum != w.SHA256 {
			t.Errorf("%s: sha256 %s, want %s", w.Name, sum, w.SHA256)
		}
	}
}
