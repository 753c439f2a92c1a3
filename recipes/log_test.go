package recipes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLog: what a run says goes into the log once, without names of the machine; a log that grows too long loses its
// beginning.
func TestLog(t *testing.T) {
	l := &runLog{Observer: quiet{}, started: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)}
	l.Note("/data/out/x.gguf.part: going on")
	l.Note("read by /home/someone/.cache")
	l.Note("token hf_abcdefghijklmnopqrstuvwxyz")
	got := string(l.take("moeconv hf2gguf", []string{"/data/out"}))
	if !strings.HasPrefix(got, "2025-01-02T03:04:05Z  moeconv hf2gguf\n") || !strings.Contains(got, "s  note     x.gguf.part: going on\n") ||
		strings.Count(got, "left out") != 2 || strings.Contains(got, "someone") || strings.Contains(got, "hf_") {
		t.Error(got)
	}
	l.line("one more")
	if got := string(l.take("moeconv hf2gguf", nil)); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "s  one more\n") {
		t.Error(got)
	}
	file := filepath.Join(t.TempDir(), logName)
	if all, err := appendLog(file, []byte("a\n")); err != nil || string(all) != "a\n" {
		t.Errorf("%q, %v", all, err)
	}
	if err := os.WriteFile(file, []byte(strings.Repeat("0123456\n", maxLog/8)), 0o666); err != nil {
		t.Fatal(err)
	}
	all, err := appendLog(file, []byte("the end\n"))
	if err != nil || len(all) > maxLog || len(all) < maxLog-8 || !strings.HasPrefix(string(all), "0123456\n") || !strings.HasSuffix(string(all), "\nthe end\n") {
		t.Errorf("%d bytes, %v", len(all), err)
	}
}
