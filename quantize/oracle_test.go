package quantize

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

// oracleDoc is testdata/types.json: llama-quantize's decisions for made-up models. See testdata/gen_types.py.
type oracleDoc struct {
	Models map[string]struct {
		Arch    string
		Keys    map[string]uint32
		Tensors orderedRoles // role -> shape -> blocks
	}
	Pool  []map[string]string // type -> blocks
	Cases []oracleCase
}

type oracleCase struct {
	Model, Scheme, Refused string
	Options                struct {
		Imatrix, Pure, Leave bool
		Output, Embedding    string
		Tensors              [][2]string
	}
	Fallbacks int
	Types     []int // one for each role: an index into Pool
}

type role struct {
	name   string
	shapes map[string]string
}

type orderedRoles []role

func (r *orderedRoles) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(strings.NewReader(string(b)))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return err
		}
		next := role{name: k.(string)}
		if err := d.Decode(&next.shapes); err != nil {
			return err
		}
		*r = append(*r, next)
	}
	return nil
}

// tensorNames expands a role and its blocks ("0-3,7"; empty outside of blocks).
func tensorNames(t *testing.T, role, blocks string) []string {
	t.Helper()
	if blocks == "" {
		return []string{role}
	}
	var names []string
	for part := range strings.SplitSeq(blocks, ",") {
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		a, err1 := strconv.Atoi(first)
		z, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil {
			t.Fatalf("blocks %q", blocks)
		}
		for b := a; b <= z; b++ {
			names = append(names, fmt.Sprintf("blk.%d.%s", b, role))
		}
	}
	return names
}

func (r orderedRoles) tensors(t *testing.T) []gguf.TensorInfo {
	t.Helper()
	var ts []gguf.TensorInfo
	for _, role := range r {
		for dims, blocks := range role.shapes {
			var shape gguf.Shape
			for d := range strings.FieldsSeq(dims) {
				n, err := strconv.ParseInt(d, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				shape = append(shape, n)
			}
			typ := gguf.F16
			if len(shape) == 1 {
				typ = gguf.F32
			}
			for _, name := range tensorNames(t, role.name, blocks) {
				ts = append(ts, gguf.TensorInfo{Name: name, Type: typ, Shape: shape})
			}
		}
	}
	return ts
}

// someMatrix is an importance matrix that has an entry, of a tensor that no model has.
func someMatrix(t *testing.T) *imatrix.Matrix {
	t.Helper()
	return matrixOf(t, map[string][]float32{"none": {1}}, map[string][]float32{"none": {1}})
}

// Oracle: llama-quantize --dry-run; it holds what the snapshots and the small goldens leave open.
func TestPolicyOracle(t *testing.T) {
	b, err := os.ReadFile("testdata/types.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc oracleDoc
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	decisions, unmatched := 0, 0
	for i, c := range doc.Cases {
		if testing.Short() && i%9 > 0 {
			continue
		}
		n, err := c.check(t, doc)
		decisions += n
		switch {
		case err != nil && len(c.Options.Tensors) > 0 && strings.Contains(err.Error(), "per_layer=Q5_K matches no tensor"):
			unmatched++ // the reference is silent
		case err != nil:
			t.Errorf("%s %s %+v: %v", c.Model, c.Scheme, c.Options, err)
		}
	}
	if testing.Short() {
		return
	}
	if len(doc.Cases) != 914 || decisions != 334511 || unmatched != 2 {
		t.Errorf("%d cases, %d decisions, %d unmatched rules; want 914, 334511, 2", len(doc.Cases), decisions, unmatched)
	}
}

// check compares all decisions of a case and returns their number.
func (c oracleCase) check(t *testing.T, doc oracleDoc) (int, error) {
	t.Helper()
	m := doc.Models[c.Model]
	md := &gguf.Metadata{}
	md.Set("general.architecture", m.Arch)
	for k, v := range m.Keys {
		md.Set(md.ArchKey(k), v)
	}
	ts := m.Tensors.tensors(t)
	a, err := Assign(md, ts, mustScheme(t, c.Scheme), c.options(t))
	if c.Refused != "" {
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(c.Refused)) {
			return 0, fmt.Errorf("%v, want an error naming %s", err, c.Refused)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(a.Fallbacks) != c.Fallbacks {
		return 0, fmt.Errorf("%d fallbacks, want %d", len(a.Fallbacks), c.Fallbacks)
	}
	got := map[string]gguf.Type{}
	for k, i := range a.Order {
		got[ts[i].Name] = a.Types[k]
	}
	decisions := 0
	for i, r := range m.Tensors {
		for typ, blocks := range doc.Pool[c.Types[i]] {
			for _, name := range tensorNames(t, r.name, blocks) {
				decisions++
				if !strings.EqualFold(got[name].String(), typ) {
					return decisions, fmt.Errorf("%s is %v, want %s", name, got[name], typ)
				}
			}
		}
	}
	return decisions, nil
}

func (c oracleCase) options(t *testing.T) Options {
	t.Helper()
	o := Options{Pure: c.Options.Pure, LeaveOutputTensor: c.Options.Leave, OutputTensorType: typeOrNil(t, c.Options.Output),
		TokenEmbeddingType: typeOrNil(t, c.Options.Embedding)}
	if c.Options.Imatrix {
		o.Imatrix = someMatrix(t)
	}
	for _, p := range c.Options.Tensors {
		o.TensorTypes = append(o.TensorTypes, Override{Pattern: p[0], Type: *typeOrNil(t, p[1])})
	}
	return o
}

func typeOrNil(t *testing.T, name string) *gguf.Type {
	t.Helper()
	if name == "" {
		return nil
	}
	typ, err := gguf.ParseType(name)
	if err != nil {
		t.Fatal(err)
	}
	return &typ
}
