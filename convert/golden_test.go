package convert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// goldenFile is a file as the reference converter wrote it (golden/gguf-*.json).
type goldenFile struct {
	FileSHA256 string       `json:"file_sha256"`
	FileBytes  int64        `json:"file_bytes"`
	DataOffset int64        `json:"data_offset"`
	KV         orderedKV    `json:"kv"`
	Tensors    []goldenInfo `json:"tensors"`
}

type goldenInfo struct {
	Name   string  `json:"name"`
	Type   string  `json:"type"`
	NE     []int64 `json:"ne"`
	Offset int64   `json:"offset"`
	Bytes  int64   `json:"bytes"`
	SHA256 string  `json:"sha256"`
}

type goldenValue struct {
	Key    string          `json:"-"`
	Type   string          `json:"type"`
	Value  json.RawMessage `json:"value"`
	Bits   *uint32         `json:"bits"`
	Elem   string          `json:"elem"`
	Len    *int            `json:"len"`
	SHA256 string          `json:"sha256"`
}

// orderedKV keeps the order of a JSON object's keys.
type orderedKV []goldenValue

func (o *orderedKV) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return err
		}
		v := goldenValue{Key: k.(string)}
		if err := d.Decode(&v); err != nil {
			return err
		}
		*o = append(*o, v)
	}
	return nil
}

func readGolden(t *testing.T, name string) goldenFile {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var g goldenFile
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(g.Tensors) == 0 || len(g.KV) == 0 {
		t.Fatalf("%s: no tensors or no metadata", name)
	}
	return g
}

// diffKV compares metadata with a golden's, key by key and in order.
func diffKV(t *testing.T, md *gguf.Metadata, want orderedKV) {
	t.Helper()
	var keys []string
	for k := range md.All() {
		keys = append(keys, k)
	}
	ordered := true
	for i, w := range want {
		if ordered && (i >= len(keys) || keys[i] != w.Key) {
			ordered = false // one report: all that follow are out of place too
			t.Errorf("key %d is not %s: %v", i, w.Key, keys[min(i, len(keys)):])
		}
		v, ok := md.Get(w.Key)
		if !ok {
			t.Errorf("key %s is missing", w.Key)
			continue
		}
		if msg := diffValue(v, w); msg != "" {
			t.Errorf("key %s: %s", w.Key, msg)
		}
	}
	if len(keys) > len(want) {
		t.Errorf("%d keys, want %d; the last is %s", len(keys), len(want), keys[len(keys)-1])
	}
}

func diffValue(v any, w goldenValue) string {
	typ, elem, _ := gguf.TypeOf(v)
	if typ.String() != w.Type {
		return fmt.Sprintf("type %v, want %s", typ, w.Type)
	}
	if typ == gguf.ArrayType && elem.String() != w.Elem {
		return fmt.Sprintf("elements of type %v, want %s", elem, w.Elem)
	}
	if f, ok := v.(float32); ok {
		if w.Bits == nil || math.Float32bits(f) != *w.Bits {
			return fmt.Sprintf("%v, want %s", f, w.Value)
		}
		return ""
	}
	if w.SHA256 != "" {
		if got := valueSHA256(v); got != w.SHA256 {
			return fmt.Sprintf("sha256 %s, want %s", got, w.SHA256)
		}
		return ""
	}
	if got := compactJSON(v); got != compactJSON(w.Value) {
		return fmt.Sprintf("%s, want %s", got, w.Value)
	}
	return ""
}

// valueSHA256 hashes a string's bytes, or an array as compact JSON with floats as their bits.
func valueSHA256(v any) string {
	switch x := v.(type) {
	case string:
		return hexSHA256([]byte(x))
	case []float32:
		bits := make([]uint32, len(x))
		for i, f := range x {
			bits[i] = math.Float32bits(f)
		}
		return hexSHA256([]byte(compactJSON(bits)))
	}
	return hexSHA256([]byte(compactJSON(v)))
}

func hexSHA256(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// compactJSON is what Python's json.dumps writes with ensure_ascii=False and no spaces.
func compactJSON(v any) string {
	var buf bytes.Buffer
	if raw, ok := v.(json.RawMessage); ok {
		var x any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&x); err != nil {
			return err.Error()
		}
		v = x
	}
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	// Go escapes these two, Python does not.
	s := bytes.ReplaceAll(bytes.TrimSuffix(buf.Bytes(), []byte("\n")), []byte(`\u2028`), []byte("\u2028"))
	return string(bytes.ReplaceAll(s, []byte(`\u2029`), []byte("\u2029")))
}

// diffTensors compares names, types, shapes, offsets and bytes, tensor by tensor and in order.
func diffTensors(t *testing.T, p *Plan, want []goldenInfo) {
	t.Helper()
	layout, err := gguf.Layout(&gguf.Metadata{}, p.infos)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.infos) != len(want) {
		t.Errorf("%d tensors, want %d", len(p.infos), len(want))
	}
	for i, w := range want {
		if i >= len(p.infos) {
			return
		}
		got := p.infos[i]
		if got.Name != w.Name {
			t.Errorf("tensor %d is %s, want %s", i, got.Name, w.Name)
			continue
		}
		if got.Type.String() != w.Type || fmt.Sprint([]int64(got.Shape)) != fmt.Sprint(w.NE) || layout.Offsets[i] != w.Offset || got.Bytes() != w.Bytes {
			t.Errorf("%s: %v %v, %d bytes at %d; want %s %v, %d bytes at %d", w.Name, got.Type, got.Shape, got.Bytes(), layout.Offsets[i], w.Type, w.NE, w.Bytes, w.Offset)
			continue
		}
		sum, err := gguf.TensorSHA256(context.Background(), p, i)
		if err != nil {
			t.Fatal(err)
		}
		if sum != w.SHA256 {
			t.Errorf("%s: sha256 %s, want %s", w.Name, sum, w.SHA256)
		}
	}
}

// checkFile writes the plan and compares the whole file.
func checkFile(t *testing.T, p *Plan, bytes int64, sum string) {
	t.Helper()
	if p.Size() != bytes {
		t.Errorf("the plan predicts %d bytes, want %d", p.Size(), bytes)
	}
	h := sha256.New()
	if err := gguf.Write(context.Background(), h, p, gguf.WriteOptions{Workers: 2}); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		t.Errorf("file: sha256 %s, want %s", got, sum)
	}
}

var allOutTypes = []string{"f32", "f16", "bf16", "auto", "q8_0"}

// sampleOutTypes are all, or with -short two that go different ways.
func sampleOutTypes() []string {
	if testing.Short() {
		return []string{"auto", "q8_0"}
	}
	return allOutTypes
}

// Every checkpoint of a family becomes the reference converter's file, byte for byte.
func TestFamilyGoldens(t *testing.T) {
	for _, ck := range testdata.Checkpoints() {
		class := classOf(t, ck.Dir)
		if _, ok := family.Lookup(class); !ok || ownTests[ck.Family] != "" {
			continue
		}
		types := allOutTypes
		if testing.Short() {
			types = []string{"auto"}
		}
		for _, ot := range types {
			t.Run(ck.Family+"/"+ot, func(t *testing.T) { checkGolden(t, ck, ot) })
		}
	}
}

func classOf(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := family.ParseConfig(text)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	class, err := c.Class()
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	return class
}

// ownTests are checkpoints of which the reference makes nothing, or nothing right, with the test that holds them.
var ownTests = map[string]string{"gpt-oss-splitpair": "TestSplitPair", "grin-moe": "TestGRIN"}

func checkGolden(t *testing.T, ck testdata.Checkpoint, outType string) {
	p, err := OpenDir(ck.Dir, Options{OutType: outType})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !ck.Micro {
		g := readGolden(t, filepath.Join(ck.Golden, "gguf-"+outType+".json"))
		diffKV(t, p.Metadata(), g.KV)
		diffTensors(t, p, g.Tensors)
		checkFile(t, p, g.FileBytes, g.FileSHA256)
		return
	}
	if outType == "bf16" {
		g := readGolden(t, filepath.Join(ck.Golden, "gguf-bf16.json"))
		diffKV(t, p.Metadata(), g.KV)
		diffTensors(t, p, g.Tensors)
	}
	b, err := os.ReadFile(filepath.Join(ck.Golden, "files.json"))
	if err != nil {
		t.Fatal(err)
	}
	var files map[string]json.RawMessage
	var want struct {
		Bytes  int64
		SHA256 string
	}
	if err := json.Unmarshal(b, &files); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(files[outType], &want); err != nil || want.SHA256 == "" {
		t.Fatalf("files.json has no %s: %v", outType, err)
	}
	checkFile(t, p, want.Bytes, want.SHA256)
}

func TestTinyGolden(t *testing.T) {
	var files struct {
		Convert map[string]struct {
			Bytes  int64
			SHA256 string
		}
	}
	b, err := os.ReadFile(testdata.Path("tiny", "golden", "files.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &files); err != nil {
		t.Fatal(err)
	}
	for _, ot := range sampleOutTypes() {
		t.Run(ot, func(t *testing.T) {
			want, ok := files.Convert[ot]
			if !ok {
				t.Fatal("files.json has no such conversion")
			}
			p, err := NewPlan(testdata.Tiny(), Options{Name: testdata.TinyName, OutType: ot})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			checkFile(t, p, want.Bytes, want.SHA256)
		})
	}
}
