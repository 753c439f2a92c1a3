package imatrix

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// FuzzOpen: whatever a file holds, there is an error or a matrix whose entries are finite.
func FuzzOpen(f *testing.F) {
	b, err := os.ReadFile(testdata.Path("families", "deepseek-moe", "golden", "imatrix.gguf"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:4000])
	f.Add([]byte("\x01\x00\x00\x00\x04\x00\x00\x00name"))
	f.Add([]byte("\x01\x00\x00\x00\x01\x00\x00\x00x\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x80\x3f\x07\x00\x00\x00\x01\x00\x00\x00t"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "x.gguf")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Open(name)
		if err != nil {
			return
		}
		for _, n := range m.Names() {
			v, _ := m.Entry(n)
			for i, x := range v {
				if !(x >= 0) || math.IsInf(float64(x), 0) {
					t.Fatalf("entry %q, value %d: %v", n, i, x)
				}
			}
		}
	})
}
