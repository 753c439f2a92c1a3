package chat

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestSnippets renders small templates; testdata/gen/snippets.py had jinja2 render them, or raise.
func TestSnippets(t *testing.T) {
	var want []struct {
		rendered
		Source string
	}
	readJSON(t, filepath.Join("testdata", "snippets.json"), &want)
	vars, err := os.ReadFile(filepath.Join("testdata", "variables.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 200 {
		t.Errorf("%d snippets", len(want))
	}
	for _, w := range want {
		got := ""
		tmpl, err := Parse(w.Source)
		if err == nil {
			got, err = tmpl.Render(context.Background(), Input{Extra: vars, Now: clock})
		}
		switch {
		case w.OK && err != nil:
			t.Errorf("%q: %v, want %q", w.Source, err, w.Out)
		case w.OK && got != w.Out:
			t.Errorf("%q:\n%q, want\n%q", w.Source, got, w.Out)
		case !w.OK && err == nil:
			t.Errorf("%q: rendered %q, jinja2 raises %s", w.Source, got, w.Err)
		}
	}
}
