package block

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"os"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// quantRows is the data sheet of families/extras/quant_rows: 24 rows encoded and decoded by ggml 0.25.3.
type quantRows struct {
	Rows    int `json:"rows"`
	PerRow  int `json:"n_per_row"`
	ByTypes map[string]struct {
		ID     uint32 `json:"id"`
		Block  int    `json:"block"`
		Bytes  int    `json:"bytes"`
		Plain  quantRowsCase
		Weight quantRowsCase `json:"imatrix"`
	} `json:"types"`
	src, importance []float32
	encoded         map[string][]byte // by TYPE.plain or TYPE.imatrix
}

type quantRowsCase struct {
	SHA256, Dequant string
	RMSE            float64
}

// UnmarshalJSON takes the text "aborts", with which the sheet marks types that ggml could not encode, for an empty case.
func (c *quantRowsCase) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return nil
	}
	var v struct {
		SHA256  string  `json:"sha256"`
		Dequant string  `json:"dequant_sha256"`
		RMSE    float64 `json:"rmse_gauss"`
	}
	err := json.Unmarshal(b, &v)
	*c = quantRowsCase(v)
	return err
}

func readQuantRows(t *testing.T) quantRows {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(testdata.Path("families/extras/quant_rows", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var q quantRows
	if err := json.Unmarshal(read("quant_rows.json"), &q); err != nil {
		t.Fatal(err)
	}
	q.src, q.importance = floats(read("rows.f32")), floats(read("imatrix.f32"))
	if len(q.src) != q.Rows*q.PerRow || len(q.importance) != q.PerRow {
		t.Fatalf("%d values, %d weights for %d rows of %d", len(q.src), len(q.importance), q.Rows, q.PerRow)
	}
	q.encoded = readNPZ(t, read("quant_rows.npz"))
	return q
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// readNPZ reads the byte arrays of a numpy archive: an .npy member is magic, version, header length, header, data.
func readNPZ(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		a, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name[:len(f.Name)-len(".npy")]] = a[10+binary.LittleEndian.Uint16(a[8:]):]
	}
	return out
}

// TestQuantRows compares bytes, decoded floats and errors of every registered type with ggml's.
func TestQuantRows(t *testing.T) {
	q := readQuantRows(t)
	checked := 0
	for name, e := range q.ByTypes {
		typ := gguf.Type(e.ID)
		if _, ok := For(typ); !ok {
			continue
		}
		if typ.String() != name || typ.BlockLen() != e.Block || typ.BlockSize() != e.Bytes {
			t.Errorf("%s is type %v, blocks of %d in %d bytes, in gguf's table", name, typ, typ.BlockLen(), typ.BlockSize())
		}
		for kind, c := range map[string]quantRowsCase{"plain": e.Plain, "imatrix": e.Weight} {
			if c.SHA256 == "" {
				continue
			}
			var importance []float32
			if kind == "imatrix" {
				importance = q.importance
			}
			t.Run(name+"/"+kind, func(t *testing.T) { q.check(t, typ, name+"."+kind, c, importance) })
			checked++
		}
	}
	if checked < 40 {
		t.Errorf("%d cases checked", checked)
	}
}

func (q *quantRows) check(t *testing.T, typ gguf.Type, key string, c quantRowsCase, importance []float32) {
	size, err := typ.RowBytes(int64(q.PerRow))
	if err != nil {
		t.Fatal(err)
	}
	got, want := make([]byte, q.Rows*int(size)), q.encoded[key]
	if err := EncodeRows(typ, got, q.src, q.PerRow, importance); err != nil {
		t.Fatal(err)
	}
	if len(want) != len(got) || hexSHA256(want) != c.SHA256 {
		t.Fatalf("golden %s: %d bytes, want %d with SHA-256 %s", key, len(want), len(got), c.SHA256)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("row %d, block %d, byte %d: %#02x, ggml has %#02x", i/int(size), i%int(size)/typ.BlockSize(), i%typ.BlockSize(), got[i], want[i])
		}
	}
	dec := make([]float32, len(q.src))
	if err := DecodeRows(typ, dec, want, q.PerRow); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 4*len(dec))
	for i, v := range dec {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	if got := hexSHA256(raw); got != c.Dequant {
		t.Errorf("decoded floats have SHA-256 %s, ggml's %s", got, c.Dequant)
	}
	var sum float64 // the sheet's first six rows are gaussian
	for i := range 6 * q.PerRow {
		d := float64(dec[i]) - float64(q.src[i])
		sum += d * d
	}
	if rmse := math.Sqrt(sum / float64(6*q.PerRow)); rmse > c.RMSE*1.0001 {
		t.Errorf("RMSE of gaussian rows %v, ggml's is %v", rmse, c.RMSE)
	}
}

func hexSHA256(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
