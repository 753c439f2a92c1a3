package convert

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// What config.json may leave to transformers' defaults, and scalings of rotary embedding: the reference's bytes for
// micro checkpoints with another config.json (testdata/micro_variants.py).
func TestMicroVariants(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "micro_variants.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Variants []struct {
			Family  string
			Changes map[string]any
			Bytes   int64
			SHA256  string
		}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Variants) == 0 {
		t.Fatal("no variants")
	}
	dirs := map[string]string{}
	for _, ck := range testdata.Checkpoints() {
		if ck.Micro {
			dirs[ck.Family] = ck.Dir
		}
	}
	for _, v := range golden.Variants {
		fsys := microFiles(t, v.Family, nil)
		fsys["config.json"].Data = changed(t, fsys["config.json"].Data, v.Changes)
		p, err := NewPlan(fsys, Options{Name: filepath.Base(dirs[v.Family]), OutType: "f16"})
		if err != nil {
			t.Errorf("%s with %v: %v", v.Family, v.Changes, err)
			continue
		}
		if checkFile(t, p, v.Bytes, v.SHA256); t.Failed() {
			t.Fatalf("%s with %v differs", v.Family, v.Changes)
		}
	}
}

// changed is a config with other fields, "-" for none; those of text_config are changed one by one.
func changed(t *testing.T, config []byte, changes map[string]any) []byte {
	t.Helper()
	fields := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	if inner, ok := changes["text_config"].(map[string]any); ok {
		maps.Copy(fields["text_config"].(map[string]any), inner)
		delete(changes, "text_config")
	}
	maps.Copy(fields, changes)
	maps.DeleteFunc(fields, func(_ string, v any) bool { return v == "-" })
	return mustJSON(t, fields)
}
