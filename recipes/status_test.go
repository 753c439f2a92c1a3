package recipes

import (
	"os"
	"path/filepath"
	"testing"
)

// TestStatusUnfinished: a run that was interrupted before it wrote a report has a status, where nothing is done.
func TestStatusUnfinished(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "release [1]") // a name that is a pattern, too
	r, err := Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenUnfinished(dir); err == nil {
		t.Error("a folder that is not there has a release")
	}
	if err := (&Release{Dir: dir, Recipe: r, Report: &Report{Name: "x"}}).keepRecipe(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x-Q8_0.gguf.part"), []byte("GGUF"), 0o666); err != nil {
		t.Fatal(err)
	}
	l, err := OpenUnfinished(dir)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := l.Status()
	if err != nil || len(parts) != 2*len(r.Wanted())+2 {
		t.Fatalf("%+v, %v", parts, err)
	}
	for _, p := range parts {
		if p.State != Missing {
			t.Errorf("%+v", p)
		}
	}
	if _, err := OpenRelease(dir); err == nil {
		t.Error("it counts as finished")
	}
}
