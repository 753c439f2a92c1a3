package block

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

var goldenFolder = flag.String("golden", "testdata/golden", "what ggml makes of generated rows, by testdata/gen/golden.py")

// goldenLine is one line of a golden: what ggml encodes and decodes.
type goldenLine struct{ rows, importance, encoded, decoded string }

// golden is the file of a type and the shape of its rows.
type golden struct {
	seed, rows, cols int
	lines            []goldenLine
}

func readGolden(t *testing.T, name string) golden {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var g golden
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			fmt.Sscanf(s.Text(), "# seed %d rows %d cols %d", &g.seed, &g.rows, &g.cols)
			continue
		}
		p := strings.Fields(s.Text())
		if len(p) != 4 {
			t.Fatalf("%s: line %q", name, s.Text())
		}
		g.lines = append(g.lines, goldenLine{p[0], p[1], p[2], p[3]})
	}
	if g.cols == 0 || len(g.lines) == 0 {
		t.Fatalf("%s: no shape or no lines", name)
	}
	return g
}

// TestGolden encodes and decodes generated rows of many distributions, with and without importance, and compares the
// hashes of bytes and floats with ggml's. Every type has a golden, and every golden a codec.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(*goldenFolder, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if want := len(codecs); len(names) != want {
		t.Errorf("goldens of %d types, %d are registered", len(names), want)
	}
	for _, name := range names {
		label := strings.TrimSuffix(filepath.Base(name), ".txt")
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			typ, err := gguf.ParseType(label)
			if err != nil {
				t.Fatal(err)
			}
			g := readGolden(t, name)
			for i, l := range g.lines {
				if testing.Short() && i%8 != 0 {
					continue
				}
				if l.rows == "bytes" {
					checkGoldenBytes(t, g, typ, l)
				} else {
					checkGoldenRows(t, g, typ, l)
				}
			}
		})
	}
}

// refusesMore reports rows whose sums overflow float32 in the reference, which then compares with NaN and may write
// zeros for weights near 1e30. Here they are refused.
func refusesMore(l goldenLine) bool {
	return l.rows == "vast" || l.importance == "huge" && (l.rows == "big" || l.rows == "huge")
}

func checkGoldenRows(t *testing.T, g golden, typ gguf.Type, l goldenLine) {
	src := g.source(t, l.rows)
	var importance []float32
	if l.importance != "-" {
		importance = g.importance(l.importance)
	}
	size, err := typ.RowBytes(int64(g.cols))
	if err != nil {
		t.Fatal(err)
	}
	enc := make([]byte, size*int64(g.rows))
	err = EncodeRows(typ, enc, src, g.cols, importance)
	var ve *ValueError
	if l.encoded == "refused" || l.encoded == "aborted" || refusesMore(l) && errors.As(err, &ve) {
		if !errors.As(err, &ve) {
			t.Errorf("%s %s: error %v, want a refusal", l.rows, l.importance, err)
		} else if v := src[ve.Row*g.cols+ve.Column]; v != ve.Value {
			t.Errorf("%s %s: %v, but the value there is %v", l.rows, l.importance, err, v)
		}
		return
	}
	if err != nil {
		t.Errorf("%s %s: %v", l.rows, l.importance, err)
		return
	}
	if got := digest(enc); got != l.encoded {
		t.Errorf("%s %s: encoded %s, ggml's is %s", l.rows, l.importance, got, l.encoded)
		return
	}
	if err := Validate(typ, enc); err != nil {
		t.Errorf("%s %s: %v", l.rows, l.importance, err)
	}
	if typ == gguf.Q8_1 {
		return // ggml does not decode it
	}
	dec := make([]float32, len(src))
	if err := DecodeRows(typ, dec, enc, g.cols); err != nil {
		t.Fatal(err)
	}
	if got := digestFloats(dec); got != l.decoded {
		t.Errorf("%s %s: decoded %s, ggml's is %s", l.rows, l.importance, got, l.decoded)
	}
}

// checkGoldenBytes decodes random bytes, whose scales are kept finite.
func checkGoldenBytes(t *testing.T, g golden, typ gguf.Type, l goldenLine) {
	n := g.rows * g.cols
	enc := make([]byte, n/typ.BlockLen()*typ.BlockSize())
	key := fnv64(fmt.Sprintf("%d/bytes/%v", g.seed, typ))
	for i := range enc {
		enc[i] = byte(hashAt(key, uint64(i)))
	}
	for b := 0; b < len(enc); b += typ.BlockSize() {
		for _, o := range facts[typ].scales {
			enc[b+o+1] &= 0xbf
		}
	}
	dec := make([]float32, n)
	if err := DecodeRows(typ, dec, enc, g.cols); err != nil {
		t.Fatal(err)
	}
	if got := digestFloats(dec); got != l.decoded {
		t.Errorf("random bytes: decoded %s, ggml's is %s", got, l.decoded)
	}
}

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:8])
}

func digestFloats(f []float32) string {
	var buf bytes.Buffer
	for _, v := range f {
		buf.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
	}
	return digest(buf.Bytes())
}
