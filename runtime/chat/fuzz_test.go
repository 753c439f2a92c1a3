package chat

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRender: no template makes the renderer panic or run on.
func FuzzRender(f *testing.F) {
	var seeds []struct{ Source string }
	data, err := os.ReadFile(filepath.Join("testdata", "snippets.json"))
	if err != nil {
		f.Fatal(err)
	}
	if err := json.Unmarshal(data, &seeds); err != nil {
		f.Fatal(err)
	}
	for _, s := range seeds {
		f.Add(s.Source)
	}
	vars, err := os.ReadFile(filepath.Join("testdata", "variables.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := Parse(source)
		if err != nil {
			return
		}
		out, _ := tmpl.Render(context.Background(), Input{Extra: vars, Now: clock, Limits: Limits{Steps: 10_000, Output: 1 << 16}})
		if len(out) > 1<<16 {
			t.Errorf("%d bytes", len(out))
		}
	})
}
