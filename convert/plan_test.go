package convert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

func planTiny(t *testing.T, opts Options) *Plan {
	t.Helper()
	if opts.Name == "" {
		opts.Name = testdata.TinyName
	}
	p, err := NewPlan(testdata.Tiny(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Rows read in odd pieces are the rows read at once.
func TestReadRowsInPieces(t *testing.T) {
	for _, ot := range []string{"bf16", "q8_0", "f32"} {
		if testing.Short() && ot != "q8_0" {
			continue
		}
		p := planTiny(t, Options{OutType: ot})
		for i, info := range p.Tensors() {
			rows, rowBytes := int(info.Shape.Rows()), int(info.RowBytes())
			whole := make([]byte, info.Bytes())
			if err := p.ReadRows(context.Background(), i, 0, rows, whole); err != nil {
				t.Fatal(err)
			}
			for _, step := range []int{1, 37, 129} {
				if step == 1 && rows > 300 {
					continue
				}
				for row := 0; row < rows; row += step {
					n := min(step, rows-row)
					part := make([]byte, n*rowBytes)
					if err := p.ReadRows(context.Background(), i, row, n, part); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(part, whole[row*rowBytes:(row+n)*rowBytes]) {
						t.Fatalf("%s %s: rows %d to %d differ", ot, info.Name, row, row+n)
					}
				}
			}
		}
	}
}

func TestReadRowsRefusesWrongCalls(t *testing.T) {
	p := planTiny(t, Options{})
	row := int(p.Tensors()[0].RowBytes())
	rows := int(p.Tensors()[0].Shape.Rows())
	for _, c := range []struct{ tensor, row, n, buf int }{{-1, 0, 1, row}, {len(p.Tensors()), 0, 1, row}, {0, -1, 1, row}, {0, rows, 1, row}, {0, 0, 2, row}, {0, 0, 1, row - 1}} {
		if err := p.ReadRows(context.Background(), c.tensor, c.row, c.n, make([]byte, c.buf)); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.ReadRows(ctx, 0, 0, 1, make([]byte, row)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestUnits(t *testing.T) {
	p := planTiny(t, Options{})
	for name, want := range map[string]int{"token_embd.weight": 1, "blk.0.attn_q.weight": 64, "blk.1.attn_k.weight": 64, "blk.2.ffn_gate_exps.weight": 256, "output_norm.weight": 1} {
		if got := gguf.Units(p, gguf.Find(p.Tensors(), name)); got != want {
			t.Errorf("%s: %d rows, want %d", name, got, want)
		}
	}
}

func TestBytesDoNotDependOnWorkers(t *testing.T) {
	p := planTiny(t, Options{OutType: "q8_0"})
	var sums []string
	for _, workers := range []int{1, 2, 7} {
		h := sha256.New()
		if err := gguf.Write(context.Background(), h, p, gguf.WriteOptions{Workers: workers, Memory: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%x", h.Sum(nil)))
	}
	if len(slices.Compact(sums)) != 1 {
		t.Errorf("%v", sums)
	}
}

// The name comes from where the checkpoint really lies.
func TestOpenDirResolvesLinks(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "deepseek-moe-16b-chat")
	if err := os.CopyFS(real, os.DirFS(testdata.Path("families", "deepseek-moe", "deepseek-moe-16b-chat"))); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "current")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	g := readGolden(t, testdata.Path("families", "deepseek-moe", "golden", "gguf-bf16.json"))
	t.Chdir(link)
	for _, name := range []string{link, link + "/", "."} {
		p, err := OpenDir(name, Options{OutType: "bf16"})
		if err != nil {
			t.Fatal(err)
		}
		checkFile(t, p, g.FileBytes, g.FileSHA256)
		p.Close()
	}
	if _, err := OpenDir(filepath.Join(dir, "nowhere"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	if _, err := OpenDir(dir, Options{}); err == nil || !strings.Contains(err.Error(), "no config.json") {
		t.Errorf("a directory without a checkpoint: %v", err)
	}
}

func TestOutTypes(t *testing.T) {
	_, err := NewPlan(testdata.Tiny(), Options{Name: "x", OutType: "q4_k_m"})
	checkMessage(t, err, []string{`unknown outtype "q4_k_m"`, "q8_0"})
	for _, tt := range []struct {
		name  string
		shape gguf.Shape
		base  gguf.Type
		want  gguf.Type
	}{
		{"token_embd.weight", gguf.Shape{64, 10}, gguf.Q8_0, gguf.Q8_0},
		{"token_embd.weight", gguf.Shape{72, 10}, gguf.Q8_0, gguf.F16},
		{"token_embd.weight", gguf.Shape{72, 10}, gguf.BF16, gguf.BF16},
		{"blk.1.ffn_down_exps.weight", gguf.Shape{40, 64, 4}, gguf.Q8_0, gguf.F16},
		{"blk.0.ffn_gate_inp.weight", gguf.Shape{64, 4}, gguf.F16, gguf.F32},
		{"blk.0.attn_norm.weight", gguf.Shape{64}, gguf.F16, gguf.F32},
		{"blk.0.attn_norm.weight", gguf.Shape{64, 1}, gguf.F16, gguf.F32},
		{"blk.0.ffn_down_exps.bias", gguf.Shape{64, 4}, gguf.F16, gguf.F32},
	} {
		if got := tensorType(tt.name, tt.shape, tt.base, false); got != tt.want {
			t.Errorf("%s %v with %v: %v, want %v", tt.name, tt.shape, tt.base, got, tt.want)
		}
	}
}

func TestWarningsAndQuirks(t *testing.T) {
	p := planTiny(t, Options{})
	if len(p.Quirks()) != 0 || len(p.Warnings()) != 0 {
		t.Errorf("tiny: quirks %v, warnings %v", p.Quirks(), p.Warnings())
	}
	d, err := OpenDir(testdata.Path("families", "deepseek-moe", "deepseek-moe-16b-chat"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !slices.ContainsFunc(d.Quirks(), func(q Quirk) bool { return q.Key == "tokenizer.ggml.add_bos_token" }) {
		t.Errorf("deepseek-moe: quirks %v", d.Quirks())
	}
	c := &checkpoint{config: deepseekConfig(map[string]any{"novel_routing": 3})}
	c.config["tie_word_embeddings"] = false
	fsys := c.build(t)
	c.config["tie_word_embeddings"] = true // with an lm_head all the same
	fsys["config.json"].Data = mustJSON(t, c.config)
	w, err := NewPlan(fsys, Options{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"novel_routing", "lm_head"} {
		if !slices.ContainsFunc(w.Warnings(), func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("no warning of %s: %v", want, w.Warnings())
		}
	}
}
