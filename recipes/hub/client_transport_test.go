//go:build unix

package hub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/recipes/hub/hubtest"
)

// TestHF: the client is told names as they are, never the token; that it did its work is not taken on its word.
func TestHF(t *testing.T) {
	h, r := publishHub(t), newRelease(t)
	c := hubClient(t, h, "")
	star := r.file(t, "m[1]*.gguf", noise(1, 10))
	card := r.file(t, "m.card.md", []byte("x"))
	card.Path = "README.md"
	ch := Change{Message: "Add all", Add: []Addition{r.large, star, card}, Delete: []string{"old?.gguf"}}
	l := &HF{Client: c, Dir: r.dir, Command: filepath.Join(r.dir, "none")}
	var missing *NoClientError
	if _, err := l.Commit(t.Context(), target1, "", ch, nothing); !errors.As(err, &missing) || missing.Hint() == "" {
		t.Errorf("no client: %v", err)
	}
	l.Command = filepath.Join(r.dir, "hf")
	script := func(text string) {
		if err := os.WriteFile(l.Command, []byte("#!/bin/sh\n"+text), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	script(`echo "$@" >>"$0.log"; test "$HF_TOKEN" = ` + hubtest.Token + "\n")
	if _, err := l.Commit(t.Context(), target1, "", ch, nothing); err == nil || !strings.Contains(err.Error(), "not as it should be") {
		t.Errorf("a client that does nothing: %v", err)
	}
	log, err := os.ReadFile(l.Command + ".log")
	want := "upload me/m-GGUF " + r.dir + " . --repo-type model --revision main --commit-message Add all --quiet --include m-Q8_0.gguf --include m[[]1][*].gguf --delete old[?].gguf\n" +
		"upload me/m-GGUF " + filepath.Join(r.dir, "m.card.md") + " README.md --repo-type model --revision main --commit-message Add all --quiet\n"
	if err != nil || string(log) != want {
		t.Errorf("%s, want %s; %v", log, want, err)
	}
	script("echo it is " + hubtest.Token + " in $PWD " + r.dir + "/x; exit 3\n")
	if _, err := l.Commit(t.Context(), target1, "", ch, nothing); err == nil || strings.Contains(err.Error(), hubtest.Token) || !strings.Contains(err.Error(), "it is ***") || strings.Contains(err.Error(), r.dir+"/x") {
		t.Errorf("a client that fails: %v", err)
	}
	var conflict *ConflictError
	if _, err := l.Commit(t.Context(), target1, "somethingelse", ch, nothing); !errors.As(err, &conflict) {
		t.Errorf("another parent: %v", err)
	}
}
