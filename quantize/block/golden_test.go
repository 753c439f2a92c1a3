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
	"strings"
	"sync"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

var goldenFile = flag.String("golden", "testdata/golden.txt", "what ggml makes of generated rows, by testdata/gen/golden.py")

// goldenLine is one line of golden.txt: what ggml encodes and decodes.
type goldenLine struct{ typ, rows, importance, encoded, decoded string }

// golden is the file and the shape of its rows.
type golden struct {
	seed, rows, cols int
	lines            []goldenLine
	made             *sync.Map // rows by name: every type encodes the same
}

func readGolden(t *testing.T) golden {
	t.Helper()
	f, err := os.Open(*goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := golden{made: new(sync.Map)}
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			fmt.Sscanf(s.Text(), "# seed %d rows %d cols %d", &g.seed, &g.rows, &g.cols)
			continue
		}
		p := strings.Fields(s.Text())
		if len(p) != 5 {
			t.Fatalf("%s: line %q", *goldenFile, s.Text())
		}
		g.lines = append(g.lines, goldenLine{p[0], p[1], p[2], p[3], p[4]})
	}
	if g.cols == 0 || len(g.lines) == 0 {
		t.Fatalf("%s: no shape or no lines", *goldenFile)
	}
	return g
}

// TestGolden encodes and decodes generated rows of many distributions, with and without importance, and compares the
// hashes of bytes and floats with ggml's.
func TestGolden(t *testing.T) {
	g := readGolden(t)
	byType := map[string][]goldenLine{}
	for _, l := range g.lines {
		byType[l.typ] = append(byType[l.typ], l)
	}
	if want := len(codecs); len(byType) != want {
		t.Errorf("goldens of %d types, %d are registered", len(byType), want)
	}
	for name, lines := range byType {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			typ, err := gguf.ParseType(name)
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range lines {
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
	if l.encoded == "refused" || refusesMore(l) && errors.As(err, &ve) {
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
	scales := map[gguf.Type][]int{
		gguf.Q2_K: {80, 82}, gguf.Q3_K: {108}, gguf.Q6_K: {208}, gguf.Q4_1: {0, 2}, gguf.Q5_1: {0, 2}, gguf.Q4_K: {0, 2}, gguf.Q5_K: {0, 2},
	}[typ]
	if scales == nil {
		scales = []int{0}
	}
	n := g.rows * g.cols
	enc := make([]byte, n/typ.BlockLen()*typ.BlockSize())
	key := fnv64(fmt.Sprintf("%d/bytes/%s", g.seed, l.typ))
	for i := range enc {
		enc[i] = byte(hashAt(key, uint64(i)))
	}
	for b := 0; b < len(enc); b += typ.BlockSize() {
		for _, o := range scales {
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
