package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// Every malformed file fails its check with one document, or is said to be of a kind that is not supported.
func TestCheckBadFiles(t *testing.T) {
	files, err := filepath.Glob(testdata.Path("bad", "gguf-*.gguf"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range files {
		base := filepath.Base(name)
		want := exitCheck
		if strings.Contains(base, "version") {
			want = exitUnsupported
		}
		var out, diag bytes.Buffer
		if got := run([]string{"inspect", "--check", "--json", name}, &out, &diag); got != want {
			t.Errorf("%s: exit status %d, want %d: %s", base, got, want, diag.String())
		}
		d := json.NewDecoder(&out)
		var doc struct {
			Status string
			Error  *struct{ Message string }
			Checks []struct{ Name, Status, Detail string }
		}
		if err := d.Decode(&doc); err != nil || d.More() {
			t.Errorf("%s: not one document: %v", base, err)
		}
		if want == exitCheck && (doc.Status != "fail" || len(doc.Checks) == 0 || doc.Checks[0].Detail == "") {
			t.Errorf("%s: %+v", base, doc)
		}
		if want == exitUnsupported && doc.Error == nil {
			t.Errorf("%s: no error in the document", base)
		}
	}
}
