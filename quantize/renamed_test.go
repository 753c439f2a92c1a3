package quantize_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/testdata"
)

// rename makes md's architecture xyz, and with keys its keys too.
func rename(md *gguf.Metadata, keys bool) *gguf.Metadata {
	arch, _ := md.Architecture()
	out := &gguf.Metadata{}
	for k, v := range md.All() {
		if k == "general.architecture" {
			v = "xyz"
		}
		if rest, ok := strings.CutPrefix(k, arch+"."); ok && keys {
			k = "xyz." + rest
		}
		out.Set(k, v)
	}
	return out
}

// Oracle: llama-quantize's tensors, of every family that converts, under a name that nobody knows.
func TestRenamedBytes(t *testing.T) {
	schemes := []string{"Q8_0", "Q4_K_M", "Q6_K", "Q5_K_M", "Q3_K_M", "Q4_0"}
	if testing.Short() {
		schemes = schemes[:2]
	}
	configs, err := filepath.Glob(testdata.Path("families", "*", "*", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	families, files := 0, 0
	for _, config := range configs {
		dir := filepath.Dir(config)
		if strings.Contains(dir, "gpt-oss-splitpair") {
			continue // its goldens are of a file that the reference made wrongly
		}
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "golden", "quant-Q8_0.json")); len(found) == 0 {
			continue // the reference does not convert it
		}
		p, err := convert.OpenDir(dir, convert.Options{OutType: "bf16"})
		if unsupported := (*gguf.UnsupportedError)(nil); errors.As(err, &unsupported) {
			continue // a family that convert does not know yet; its types are in TestUnknownArchitecture
		}
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		families++
		for i, scheme := range schemes {
			golden := filepath.Join(filepath.Dir(dir), "golden", "quant-"+scheme+".json")
			if found, _ := filepath.Glob(golden); len(found) == 0 {
				continue
			}
			files++
			checkRenamed(t, gguf.WithMetadata(p, rename(p.Metadata(), i%2 == 0)), scheme, golden)
		}
	}
	if families < 1 || files < 2*families {
		t.Errorf("only %d families and %d files", families, files)
	}
}

func checkRenamed(t *testing.T, src gguf.Source, scheme, golden string) {
	t.Helper()
	var want struct {
		Tensors []struct{ Name, SHA256 string }
	}
	readJSON(t, golden, &want)
	if len(want.Tensors) == 0 {
		return // the reference refused
	}
	j := job(t, src, scheme, quantize.Options{CountTensors: true, AllowRequantize: true})
	for i, w := range want.Tensors {
		got, err := gguf.TensorSHA256(context.Background(), j, i)
		if err != nil {
			t.Fatalf("%s: %s: %v", golden, w.Name, err)
		}
		if got != w.SHA256 || j.Tensors()[i].Name != w.Name {
			t.Errorf("%s: tensor %s: %s, want %s", golden, w.Name, got, w.SHA256)
		}
	}
}
