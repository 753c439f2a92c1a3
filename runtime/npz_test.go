package runtime

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// array is a numpy array: its values in order of the last dimension.
type array struct {
	shape  []int
	values []float64
}

// row is row i of a matrix.
func (a array) row(i int) []float64 { return a.values[i*a.shape[1]:][:a.shape[1]] }

// readNPZ reads numpy's zip of arrays; element types f4, f8, i4 and i8.
func readNPZ(t *testing.T, path string) map[string]array {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out := map[string]array{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(f.Name, ".npy")] = readNPY(t, f.Name, data)
	}
	return out
}

var npyHeader = regexp.MustCompile(`'descr': '<([fi][48])', 'fortran_order': False, 'shape': \(([0-9, ]*)\)`)

func readNPY(t *testing.T, name string, data []byte) array {
	t.Helper()
	const fixed = 10 // magic, version 1.0, header length
	if len(data) < fixed || string(data[:8]) != "\x93NUMPY\x01\x00" {
		t.Fatalf("%s is not a numpy array of version 1.0", name)
	}
	header := int(binary.LittleEndian.Uint16(data[8:]))
	m := npyHeader.FindSubmatch(data[fixed : fixed+header])
	if m == nil {
		t.Fatalf("%s: header %q", name, data[fixed:fixed+header])
	}
	var a array
	n := 1
	for _, d := range strings.FieldsFunc(string(m[2]), func(r rune) bool { return r == ',' || r == ' ' }) {
		v, err := strconv.Atoi(d)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a.shape = append(a.shape, v)
		n *= v
	}
	r := bytes.NewReader(data[fixed+header:])
	var err error
	switch string(m[1]) {
	case "f4":
		a.values, err = readAs[float32](r, n)
	case "f8":
		a.values, err = readAs[float64](r, n)
	case "i4":
		a.values, err = readAs[int32](r, n)
	case "i8":
		a.values, err = readAs[int64](r, n)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return a
}

func readAs[T float32 | float64 | int32 | int64](r io.Reader, n int) ([]float64, error) {
	raw := make([]T, n)
	err := binary.Read(r, binary.LittleEndian, raw)
	out := make([]float64, n)
	for i, v := range raw {
		out[i] = float64(v)
	}
	return out, err
}
