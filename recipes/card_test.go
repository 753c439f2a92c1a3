package recipes

import (
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify/card"
	"github.com/moeconv/moeconv/verify/evidence"
)

type silent struct{}

func (silent) Note(string) {}
func (silent) Track(string, bool) (func(done, total int64), func()) {
	return func(int64, int64) {}, func() {}
}

// leaves are the numbers of a bundle, those inside of its texts too.
func leaves(t *testing.T, fsys fs.FS) []float64 {
	t.Helper()
	var out []float64
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case float64:
			out = append(out, v)
		case string:
			for _, w := range evidence.Words(v) {
				if w.Number {
					out = append(out, w.Value)
				}
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	names, err := fs.Glob(fsys, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == evidence.CardName {
			continue // tells what is on the card, and so proves nothing here
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		walk(v)
	}
	return out
}

// found reports whether a number of a card is one of the bundle's, rounded to the digits it is written with, in a unit
// that cards use.
func found(w evidence.Word, list []float64) bool {
	digits := 0
	if _, after, ok := strings.Cut(w.Text, "."); ok {
		digits = len(strings.TrimRight(after, "%xGMBkKTs"))
	}
	half := 0.5000001 * math.Pow(10, -float64(digits))
	for _, v := range list {
		for _, scale := range []float64{1, 1e-6, 1e-9, 100, 1000} {
			if math.Abs(math.Abs(v)*scale-math.Abs(w.Value)) <= half {
				return true
			}
		}
	}
	return false
}

// TestCards makes the cards of the three models that the project began with: the YAML is read strictly, every number is
// found in the bundle, the audit passes.
func TestCards(t *testing.T) {
	if testing.Short() {
		t.Skip("runs models; the plain run has it")
	}
	for recipe, dirs := range map[string][]string{"deepseek": {"families/deepseek-moe"}, "gpt-oss": {"families/gpt-oss", "micro/gpt-oss"}, "phi-moe": {"families/phi-3.5-moe", "micro/phi-3.5-moe"}} {
		t.Run(recipe, func(t *testing.T) {
			var models []string
			for _, dir := range dirs {
				found, err := filepath.Glob(testdata.Path(dir, "*", "config.json"))
				if err != nil {
					t.Fatal(err)
				}
				models = append(models, found...)
			}
			if len(models) == 0 {
				t.Fatalf("no checkpoint in %v", dirs)
			}
			r, err := Load(recipe)
			if err != nil {
				t.Fatal(err)
			}
			r.Verify.Probes.Own = nil // a model of random weights has no answers, and no figure within the bands
			r.Verify.Bands = map[string]Band{}
			for _, w := range r.Wanted() {
				r.Verify.Bands[w.Type] = Band{KLDWarn: 1e3, KLDFail: 1e3, PPLRatio: 1e3, Top1: 1e-9}
			}
			out := t.TempDir()
			o := Options{Model: filepath.Dir(models[0]), Out: out, Memory: 1 << 26, Observer: silent{}, Tool: evidence.Tool{Version: "1", Reference: "llama.cpp"}}
			micro := strings.Contains(models[0], "micro") // a vocabulary of a hundred pieces cannot write a text
			if micro {
				o.Until = "quantize"
			}
			rep, err := Run(t.Context(), r, o)
			if err != nil {
				t.Fatal(err)
			}
			if micro {
				l := &Release{Dir: out, Recipe: r, Report: rep, Source: os.DirFS(o.Model), Tool: o.Tool}
				if _, err := l.Gather(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := l.WriteCard(); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(filepath.Join(out, CardFile(rep.Name)))
			if err != nil {
				t.Fatal(err)
			}
			front, _, problems := card.Parse(string(text))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if front.BaseModel[0] != r.Source.Repo {
				t.Errorf("base_model %v", front.BaseModel)
			}
			list := leaves(t, os.DirFS(filepath.Join(out, BundleName(rep.Name))))
			for _, w := range evidence.Words(string(text)) {
				if w.Number && !found(w, list) {
					t.Errorf("line %d: %s is not in the bundle", w.Line, w.Text)
				}
			}
			l, err := OpenRelease(out)
			if err != nil {
				t.Fatal(err)
			}
			audit, err := l.Audit(evidence.AuditOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !audit.Pass {
				t.Errorf("%s", strings.Join(audit.Lines(), "\n"))
			}
		})
	}
}
