package quantize

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/testdata"
)

// Renamed forms of metadata: what a file looks like whose architecture nobody knows.
var renamings = map[string]func(arch, key string) (renamed string, keep bool){
	"architecture alone": func(_, key string) (string, bool) { return key, true },
	"every key": func(arch, key string) (string, bool) {
		if rest, ok := strings.CutPrefix(key, arch+"."); ok {
			return "xyz." + rest, true
		}
		return key, true
	},
	"no keys left": func(arch, key string) (string, bool) { return key, !strings.HasPrefix(key, arch+".") },
}

func renamed(t *testing.T, md *gguf.Metadata, rename func(arch, key string) (string, bool)) *gguf.Metadata {
	t.Helper()
	arch, err := md.Architecture()
	if err != nil {
		t.Fatal(err)
	}
	out := &gguf.Metadata{}
	for k, v := range md.All() {
		if k == "general.architecture" {
			v = "xyz"
		}
		if k, keep := rename(arch, k); keep {
			out.Set(k, v)
		}
	}
	return out
}

// A model whose architecture nobody knows gets the types that llama-quantize gave it under its own name: from keys in
// any namespace, and, where there are none, from what the tensors show.
func TestUnknownArchitecture(t *testing.T) {
	goldens, err := filepath.Glob(testdata.Path("families", "*", "golden", "quant-*.json"))
	if err != nil || len(goldens) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, name := range goldens {
		dir := filepath.Dir(name)
		label := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "quant-"), ".json")
		want := readGolden(t, name)
		if want.Error != nil {
			continue
		}
		scheme, withMatrix := strings.CutSuffix(label, "-imatrix")
		s := mustScheme(t, scheme)
		o := Options{CountTensors: true}
		if withMatrix {
			if o.Imatrix, err = imatrix.Open(filepath.Join(dir, "imatrix.gguf")); err != nil {
				t.Fatal(err)
			}
			o.ImatrixName = "imatrix.gguf"
		}
		in := readGolden(t, filepath.Join(dir, "gguf-bf16.json"))
		md, ts := in.metadata(t), in.infos(t)
		for form, rename := range renamings {
			what := filepath.Base(filepath.Dir(dir)) + " " + label + ", " + form
			a, err := Assign(renamed(t, md, rename), ts, s, o)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			for k, i := range a.Order {
				if w := want.Tensors[k]; ts[i].Name != w.Name || a.Types[k].String() != w.Type {
					t.Errorf("%s: tensor %d: %s %v, want %s %s", what, k, ts[i].Name, a.Types[k], w.Name, w.Type)
				}
			}
		}
	}
}

// Files that are no language models at all have neither blocks nor experts; rules that go by blocks take what comes.
func TestUnknownNames(t *testing.T) {
	ts := []gguf.TensorInfo{
		{Name: "double_blocks.0.img_attn.qkv.weight", Type: gguf.F16, Shape: gguf.Shape{256, 768}},
		{Name: "v.blk.0.ffn_down.weight", Type: gguf.F16, Shape: gguf.Shape{256, 256}},
		{Name: "blk.7.ffn_down_exps.weight", Type: gguf.F16, Shape: gguf.Shape{256, 256, 4}},
		{Name: "scale.weight", Type: gguf.F16, Shape: gguf.Shape{256}},
	}
	for n := 1; n <= len(ts); n++ {
		for _, s := range Schemes() {
			if _, err := Assign(keys("flux", nil), ts[:n], s, Options{CountTensors: true}); err != nil {
				t.Errorf("%d tensors, %v: %v", n, s, err)
			}
		}
	}
	if _, err := Assign(keys("flux", nil), ts, mustScheme(t, "Q4_K_M"), Options{}); err == nil {
		t.Error("a known architecture without block_count is quantized")
	}
}
