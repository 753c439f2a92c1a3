package chat

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moeconv/moeconv/testdata"
)

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// clock is the time at which the goldens were rendered.
func clock() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

type rendered struct {
	OK       bool
	Out, Err string
}

// conversation is one of the cases, as an input.
func conversation(t *testing.T, raw map[string]json.RawMessage) Input {
	t.Helper()
	in := Input{Messages: raw["messages"], Tools: raw["tools"], BOS: "<s>", EOS: "</s>", Now: clock}
	in.AddGenerationPrompt = string(raw["add_generation_prompt"]) == "true"
	extra := map[string]json.RawMessage{}
	for k, v := range raw {
		if k != "messages" && k != "tools" && k != "add_generation_prompt" {
			extra[k] = v
		}
	}
	var err error
	if in.Extra, err = json.Marshal(extra); err != nil {
		t.Fatal(err)
	}
	return in
}

// TestTemplates renders the templates of real models; jinja2 as transformers sets it up made the goldens, and raised
// where they say so.
func TestTemplates(t *testing.T) {
	dir := testdata.Path("templates")
	var cases map[string]map[string]json.RawMessage
	var want map[string]map[string]rendered
	readJSON(t, filepath.Join(dir, "cases.json"), &cases)
	readJSON(t, filepath.Join(dir, "rendered.json"), &want)
	ok, raised := 0, 0
	for name, results := range want {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		tmpl, err := Parse(string(src))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for c, w := range results {
			got, err := tmpl.Render(context.Background(), conversation(t, cases[c]))
			switch {
			case w.OK && err != nil:
				t.Errorf("%s, %s: %v", name, c, err)
			case w.OK && got != w.Out:
				t.Errorf("%s, %s:\n%q, want\n%q", name, c, got, w.Out)
			case !w.OK && err == nil:
				t.Errorf("%s, %s: rendered, jinja2 raises %s", name, c, w.Err)
			case w.OK:
				ok++
			default:
				raised++
			}
		}
	}
	t.Logf("%d equal, %d refused as by jinja2", ok, raised)
	if ok == 0 || raised == 0 || testdata.Full() && ok != 370 {
		t.Errorf("%d renderings, %d refusals compared", ok, raised)
	}
}
