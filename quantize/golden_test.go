package quantize

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/testdata"
)

// golden is what the reference made: a converted or quantized file, or an error.
type golden struct {
	KV       orderedKV
	Tensors  []goldenTensor
	Changes  map[string]struct{ To *goldenValue } `json:"kv_changes_from_bf16_input"`
	FileSHA  string                               `json:"file_sha256"`
	Fallback int                                  `json:"fallback_warnings"` // lines that warn, not tensors
	Error    []string
}

type goldenTensor struct {
	Name, Type, SHA256 string
	NE                 gguf.Shape
	Bytes              int64
}

func (t goldenTensor) info(tb testing.TB) gguf.TensorInfo {
	typ, err := gguf.ParseType(t.Type)
	if err != nil {
		tb.Fatal(err)
	}
	return gguf.TensorInfo{Name: t.Name, Type: typ, Shape: t.NE}
}

type goldenValue struct {
	Type, Elem string
	Value      json.RawMessage
}

// orderedKV keeps the order of a JSON object's keys.
type orderedKV []struct {
	key   string
	value goldenValue
}

func (kv *orderedKV) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return err
		}
		var v goldenValue
		if err := d.Decode(&v); err != nil {
			return err
		}
		*kv = append(*kv, struct {
			key   string
			value goldenValue
		}{k.(string), v})
	}
	return nil
}

func readGolden(tb testing.TB, name string) golden {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return g
}

// metadata holds the scalars and the short integer arrays, which is all that rules look at.
func (g golden) metadata(tb testing.TB) *gguf.Metadata {
	tb.Helper()
	md := &gguf.Metadata{}
	for _, kv := range g.KV {
		if v := kv.value.decode(tb); v != nil {
			md.Set(kv.key, v)
		}
	}
	return md
}

func (v goldenValue) decode(tb testing.TB) any {
	tb.Helper()
	if v.Value == nil {
		return nil // given by its hash
	}
	into := func(p any) {
		if err := json.Unmarshal(v.Value, p); err != nil {
			tb.Fatal(err)
		}
	}
	switch v.Type + " " + v.Elem {
	case "UINT32 ":
		var n uint32
		into(&n)
		return n
	case "STRING ":
		var s string
		into(&s)
		return s
	case "ARRAY INT32":
		var a []int32
		into(&a)
		return a
	}
	return nil
}

func (g golden) infos(tb testing.TB) []gguf.TensorInfo {
	var ts []gguf.TensorInfo
	for _, t := range g.Tensors {
		ts = append(ts, t.info(tb))
	}
	return ts
}

// Oracle: llama-quantize's files; names, order, types and sizes. Mixtral-8 holds the rules for eight experts, every
// -imatrix golden those with an importance matrix, lfm2-moe (in the full set) a block without KV heads.
func TestPolicyGoldens(t *testing.T) {
	names, err := filepath.Glob(testdata.Path("families", "*", "golden", "quant-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	checked, refused := 0, 0
	for _, name := range names {
		dir := filepath.Dir(name)
		label := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "quant-"), ".json")
		family := filepath.Base(filepath.Dir(dir))
		want := readGolden(t, name)
		scheme, withMatrix := strings.CutSuffix(label, "-imatrix")
		s, err := ParseScheme(scheme)
		if err != nil {
			t.Fatal(err)
		}
		var o Options
		if withMatrix {
			if o.Imatrix, err = imatrix.Open(filepath.Join(dir, "imatrix.gguf")); err != nil {
				t.Fatal(err)
			}
			o.ImatrixName = "imatrix.gguf"
		}
		in := readGolden(t, filepath.Join(dir, "gguf-bf16.json"))
		if want.Error != nil {
			refused++
			checkRefused(t, family+" "+label, in, s, o, want.Error[0])
			continue
		}
		checked++
		checkAssignment(t, family+" "+label, in, s, o, want)
	}
	wantChecked, wantRefused := 32, 0
	if testdata.Full() {
		wantChecked, wantRefused = 349, 3
	}
	if checked != wantChecked || refused != wantRefused {
		t.Errorf("%d files checked and %d refusals, want %d and %d", checked, refused, wantChecked, wantRefused)
	}
}

func checkAssignment(t *testing.T, label string, in golden, s Scheme, o Options, want golden) {
	t.Helper()
	md, ts := in.metadata(t), in.infos(t)
	a, err := Assign(md, ts, s, o)
	if err != nil {
		t.Errorf("%s: %v", label, err)
		return
	}
	if len(a.Order) != len(want.Tensors) {
		t.Fatalf("%s: %d tensors, want %d", label, len(a.Order), len(want.Tensors))
	}
	for k, i := range a.Order {
		got, w := ts[i], want.Tensors[k]
		got.Type = a.Types[k]
		if got.Name != w.Name || got.Type.String() != w.Type || got.Bytes() != w.Bytes {
			t.Errorf("%s: tensor %d: %s %v of %d bytes, want %s %s of %d", label, k, got.Name, got.Type, got.Bytes(), w.Name, w.Type, w.Bytes)
		}
	}
	if (len(a.Fallbacks) > 0) != (want.Fallback > 0) {
		t.Errorf("%s: fallbacks %v, the reference warned in %d lines", label, a.Fallbacks, want.Fallback)
	}
	out := metadata(md, ts, a.Order, s, o)
	for key, change := range want.Changes {
		got, ok := out.Get(key)
		if w := change.To.decode(t); !ok || got != w {
			t.Errorf("%s: key %s: %v (%T), want %v (%T)", label, key, got, got, w, w)
		}
	}
	if got, wantLen := out.Len(), md.Len()+len(want.Changes)-countPresent(md, want); got != wantLen {
		t.Errorf("%s: %d keys, want %d", label, got, wantLen)
	}
}

func countPresent(md *gguf.Metadata, g golden) int {
	n := 0
	for key := range g.Changes {
		if _, ok := md.Get(key); ok {
			n++
		}
	}
	return n
}

// checkRefused expects New to name the tensor that the reference stopped at.
func checkRefused(t *testing.T, label string, in golden, s Scheme, o Options, reason string) {
	t.Helper()
	_, err := New(fakeSource{md: in.metadata(t), ts: in.infos(t)}, s, o)
	_, tensor, ok := strings.Cut(reason, "Missing importance matrix for tensor ")
	tensor, _, _ = strings.Cut(tensor, " ")
	if !ok || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", tensor)) {
		t.Errorf("%s: %v, want an error naming %s", label, err, tensor)
	}
}
