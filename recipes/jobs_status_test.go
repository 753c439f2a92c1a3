package recipes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLookAtJobs: records of jobs that share a folder say which files there are to be, and which are there.
func TestLookAtJobs(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Look(dir); err == nil {
		t.Error("an empty folder has a release")
	}
	write := func(name, text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	write("a.gguf", "aa", 0)
	const sum = "961b6dd3ede3cb8ecbaacbd68de040cd78eb2ed5889130cceb4c49268ea4d506" // sha256 of aa
	record := func(key string, job, jobs int, shares string) string {
		return fmt.Sprintf(`{"key": %q, "job": %d, "jobs": %d, "shares": %s, "files": [{"path": "a.gguf", "bytes": 2, "sha256": %q}, {"path": "gone.gguf", "bytes": 1}]}`,
			key, job, jobs, shares, sum)
	}
	write("x.job-1-of-2.json", record("k", 1, 2, `[["a.gguf", "gone.gguf", "b.gguf"], ["c.gguf"]]`), time.Hour)
	write("x.job-1-of-3.json", record("k", 1, 3, `[["a.gguf"], [], []]`), 2*time.Hour)
	name, parts, err := Look(dir)
	if err != nil || name != "x" {
		t.Fatal(name, err)
	}
	var got []string
	for _, p := range parts {
		got = append(got, string(p.State)+" "+p.Name)
	}
	want := "stale x.job-1-of-3.json; done a.gguf; missing gone.gguf; missing b.gguf; missing c.gguf; missing x"
	if strings.Join(got, "; ") != want {
		t.Errorf("%v\nwant %s", strings.Join(got, "; "), want)
	}
	write("a.gguf", "ab", 0)
	if _, parts, err = Look(dir); err != nil || parts[1].State != Stale {
		t.Errorf("%+v, %v", parts, err)
	}
	for _, bad := range []string{`{`, record("k", 3, 2, `[[], []]`), record("k", 1, 2, `[[]]`)} {
		write("x.job-2-of-2.json", bad, 0)
		if _, _, err := Look(dir); err == nil || !strings.Contains(err.Error(), "x.job-2-of-2.json") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
