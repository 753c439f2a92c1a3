package verify

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// bytesRead is how much this process has read from files, as the kernel counts it.
func bytesRead(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscanf(string(text[bytes.Index(text, []byte("rchar:")):]), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Structure, scan and a sampled audit read a file once and little more, its SHA-256 included.
func TestFilesAreReadOnce(t *testing.T) {
	source := hold(t, tinyPlan(t))
	for _, scheme := range []string{"Q8_0", "Q4_K_M"} {
		m := tinyAs(t, scheme)
		for hash, name := range map[Hashing]string{HashNone: "plain", HashAll: "hashed"} {
			f := saved(t, m, gguf.FileOptions{})
			s := &Set{Hash: hash, Checks: AtRest(Standard()), Members: f.Members, Subject: Subject{Reference: source, Sample: 100_000}}
			before := bytesRead(t)
			r := runSet(t, s)
			got := float64(bytesRead(t)-before) / float64(f.Members[0].Parts[0].Bytes)
			if r.Files[0].Status == Fail || got < 1 || got > 1.2 {
				t.Errorf("%s, %s: %s, %.3f times the file were read", scheme, name, r.Verdict, got)
			}
			if c, ok := r.Files[0].Check("hash"); hash == HashAll && (!ok || c.Status != Pass) {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
}

// The weights of the source are read once for all files of a set, whole or a sample of them.
func TestTheSourceIsReadOnce(t *testing.T) {
	schemes := []string{"Q8_0", "Q6_K", "Q4_K_M", "IQ4_XS"}
	for _, full := range []bool{false, true} {
		var cost [2]int64
		for i, n := range []int{1, len(schemes)} {
			dir := filepath.Join(t.TempDir(), testdata.TinyName)
			if err := os.CopyFS(dir, testdata.Tiny()); err != nil {
				t.Fatal(err)
			}
			p, err := convert.OpenDir(dir, convert.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s := &Set{Checks: AtRest(Standard()), Subject: Subject{Reference: p, Checkpoint: &Checkpoint{Files: os.DirFS(dir)}, Full: full, Sample: 500_000}}
			for _, scheme := range schemes[:n] {
				s.Members = append(s.Members, member(scheme, tinyAs(t, scheme)))
			}
			before := bytesRead(t)
			r := runSet(t, s)
			cost[i] = bytesRead(t) - before
			for _, f := range r.Files {
				if c, _ := f.Check("fidelity"); c.Status != Pass || c.Figures["compared_share"] < 0.1 || full != (c.Figures["compared_share"] == 1) {
					t.Errorf("%s: %s: %+v", f.Label, c.Detail, c.Figures)
				}
			}
			p.Close()
		}
		t.Logf("full %v: %d bytes for one file, %d for four", full, cost[0], cost[1])
		if share := float64(cost[1]) / float64(cost[0]); share > 1.05 {
			t.Errorf("full %v: four files read %.3f times the source's bytes that one does", full, share)
		}
	}
}
