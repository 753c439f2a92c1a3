package convert

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

// A file of weights that nothing lists is not read: said where a layer is missing, and where none is.
func TestStrays(t *testing.T) {
	fsys := (&checkpoint{config: deepseekConfig(nil)}).build(t)
	fsys["mtp.safetensors"] = &fstest.MapFile{Data: []byte("x")}
	fsys["consolidated.safetensors"] = &fstest.MapFile{Data: []byte("x")}
	p, err := NewPlan(fsys, Options{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if w := strings.Join(p.Warnings(), "\n"); !strings.Contains(w, "mtp.safetensors") || strings.Contains(w, "consolidated") {
		t.Errorf("warnings: %s", w)
	}
	c := deepseekConfig(nil)
	c["num_hidden_layers"] = 9
	fsys["config.json"].Data = mustJSON(t, c)
	_, err = NewPlan(fsys, Options{Name: "s"})
	var missing *MissingLayersError
	if !errors.As(err, &missing) || missing.Layers != 9 || !strings.Contains(missing.Hint(), "mtp.safetensors") {
		t.Errorf("error %v", err)
	}
}
