package recipes

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/recipes/hub"
	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify/evidence"
)

// TestTextAddress: a calibration text at an address is downloaded once; the lock file and the recipe hold it to its bytes,
// and the bundle has a copy, so that the release can be made again without the network.
func TestTextAddress(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a model; the plain run has it")
	}
	text, asked := testdata.ValidText(), 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprint(w, text)
	}))
	defer s.Close()
	dir := t.TempDir()
	address := s.URL + "/data/calibration.txt"
	release := func(entry string, o Options) (*Report, error) {
		t.Helper()
		file := filepath.Join(dir, "x.yaml")
		err := os.WriteFile(file, []byte("moeconv: 1\nsource: {embedded: tiny-moe-go}\noutputs: {types: [Q4_0]}\nverify: {reference: none}\nimatrix: {chunks: 1, text: "+entry+"}\n"), 0o666)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if o.Hub, err = hub.New(func(string) string { return "" }); err != nil {
			t.Fatal(err)
		}
		o.Hub.Offline = asked > 0 && !o.UpdateLock && text == testdata.ValidText()
		o.Out, o.Observer, o.Memory = filepath.Join(dir, "out"), quiet{}, 64<<20
		o.Tool = evidence.Tool{Version: "1", Reference: "llama.cpp"}
		return Run(t.Context(), r, o)
	}
	plain := "{url: '" + address + "'}"
	rep, err := release(plain, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sum := sumOf([]byte(text))
	if rep.Matrix.Dataset != "calibration.txt" || rep.Matrix.Text == nil || rep.Matrix.Text.SHA256 != sum || asked != 1 {
		t.Errorf("%+v, asked %d times", rep.Matrix, asked)
	}
	lock, err := os.ReadFile(filepath.Join(dir, "x.lock.yaml"))
	if err != nil || !strings.Contains(string(lock), sum) || !strings.Contains(string(lock), address) {
		t.Errorf("%s, %v", lock, err)
	}
	bundled, err := os.ReadFile(filepath.Join(dir, "out", BundleName("tiny-moe-go"), "calibration.txt"))
	if err != nil || string(bundled) != text {
		t.Errorf("%d bytes in the bundle, %v", len(bundled), err)
	}
	if rep, err = release(plain, Options{}); err != nil || !rep.Idle() || asked != 1 { // from here on without the network
		t.Errorf("asked %d times, %v", asked, err)
	}
	if _, err := release(fmt.Sprintf("{url: '%s', sha256: %s}", address, sum), Options{}); err != nil {
		t.Errorf("its own hash: %v", err)
	}
	text = strings.Replace(text, "package", "chapter", 1)
	if err := os.RemoveAll(filepath.Join(dir, "out", textsDir)); err != nil {
		t.Fatal(err)
	}
	var changed *TextError
	if _, err := release(plain, Options{}); !errors.As(err, &changed) || changed.Says != "lock" || !strings.Contains(changed.Hint(), "--update-lock") {
		t.Errorf("another text than the lock says: %v", err)
	}
	if _, err := release(fmt.Sprintf("{url: '%s', sha256: %s}", address, sum), Options{UpdateLock: true}); !errors.As(err, &changed) || changed.Says != "recipe" {
		t.Errorf("another text than the recipe says: %v", err)
	}
	if rep, err := release(plain, Options{UpdateLock: true, Force: true}); err != nil || rep.Matrix.Text.SHA256 == sum {
		t.Errorf("--update-lock: %v", err)
	}
}

// TestTextForms: what a recipe may write for a text, and what not.
func TestTextForms(t *testing.T) {
	recipe := func(text string) (*Recipe, error) {
		return Parse([]byte("moeconv: 1\nsource: {embedded: tiny-moe-go}\noutputs: {types: [Q4_0]}\nimatrix: {text: "+text+"}\n"), "x")
	}
	for text, want := range map[string]Text{
		"a/b.txt":                              {File: "a/b.txt"},
		"{url: 'https://x.org/d/c.txt?raw=1'}": {URL: "https://x.org/d/c.txt?raw=1"},
		"{url: 'http://x', sha256: " + strings.Repeat("0a", 32) + "}": {URL: "http://x", SHA256: strings.Repeat("0a", 32)},
	} {
		r, err := recipe(text)
		if err != nil || r.Imatrix.Text != want {
			t.Errorf("%s: %v", text, err)
			continue
		}
		again, err := marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Parse([]byte(again), "x"); err != nil || back.Imatrix.Text != want {
			t.Errorf("%s came back as %+v, %v", text, back, err)
		}
	}
	for text, want := range map[string]string{
		"{url: 'ftp://x/y'}": "not an http or https address", "{sha256: " + strings.Repeat("0a", 32) + "}": "sha256 without url",
		"{url: 'http://x/y', sha256: abc}": "64 hexadecimal digits", "{url: 'http://x/y', size: 3}": "field size not found", "[a]": "a text is a file",
	} {
		if _, err := recipe(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{"https://x.org/d/c.txt?raw=1": "c.txt", "http://x": "text", "http://x/": "text"} {
		if got := (&Text{URL: text}).base(); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
