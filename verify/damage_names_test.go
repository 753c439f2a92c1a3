package verify

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/block"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/testdata"
)

// damaged is a file of a family, of which a test damages the values before they are encoded, as a wrong converter would.
type damaged struct {
	t      *testing.T
	plan   *convert.Plan
	scheme string
	golden string
	sound  *memory
	values *memory // the source's values, F32
	rng    *rand.Rand
}

func newDamaged(t *testing.T, c testdata.Checkpoint, scheme string, seed uint64) *damaged {
	t.Helper()
	p, err := convert.OpenDir(c.Dir, convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	d := &damaged{t: t, plan: p, scheme: scheme, golden: c.Golden, rng: rand.New(rand.NewPCG(seed, 1))}
	d.values = hold(t, p)
	for i, ti := range d.values.tensors {
		if ti.Type == gguf.F32 {
			continue
		}
		vals := make([]float32, ti.Shape.Elements())
		if err := block.DecodeRows(ti.Type, vals, d.values.data[i], int(ti.Shape.NE(0))); err != nil {
			t.Fatal(err)
		}
		d.values.tensors[i].Type = gguf.F32
		d.values.data[i] = make([]byte, 4*len(vals))
		if err := block.EncodeRows(gguf.F32, d.values.data[i], vals, len(vals), nil); err != nil {
			t.Fatal(err)
		}
	}
	d.sound = d.encode(d.values, nil)
	return d
}

// encode quantizes values by the scheme.
func (d *damaged) encode(values gguf.Source, im *imatrix.Matrix) *memory {
	d.t.Helper()
	s, err := quantize.ParseScheme(d.scheme)
	if err != nil {
		d.t.Fatal(err)
	}
	job, err := quantize.New(values, s, quantize.Options{Imatrix: im, ImatrixName: "imatrix.gguf", AllowRequantize: true})
	if err != nil {
		d.t.Fatal(err)
	}
	return hold(d.t, job)
}

// pick is a tensor of a role, in a block chosen by chance; empty where there is none.
func (d *damaged) pick(roles ...names.Role) string {
	var all []string
	for _, t := range d.sound.tensors {
		if n := names.Parse(t.Name); n.Suffix == "weight" && slices.Contains(roles, n.Role) && readable(t.Type) {
			all = append(all, t.Name)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[d.rng.IntN(len(all))]
}

// change is the file with one tensor's F32 values changed before they are encoded.
func (d *damaged) change(name string, f func(rows, cols int, at func(row int) []byte)) *memory {
	v := d.values.clone()
	i := v.find(d.t, name)
	t := v.tensors[i]
	n := int(t.RowBytes())
	f(int(t.Shape.Rows())/max(1, expertsIn(t)), int(t.Shape.NE(0)), func(row int) []byte { return v.data[i][row*n : (row+1)*n] })
	return d.encode(v, nil)
}

// rename is the file in which tensors hold the data of others.
func (d *damaged) swapNames(a, b string) *memory {
	m := d.sound.clone()
	i, j := m.find(d.t, a), m.find(d.t, b)
	if m.tensors[i].Type != m.tensors[j].Type {
		v := d.values.clone()
		i, j = v.find(d.t, a), v.find(d.t, b)
		v.data[i], v.data[j] = v.data[j], v.data[i]
		return d.encode(v, nil)
	}
	m.data[i], m.data[j] = m.data[j], m.data[i]
	return m
}

// pairs is the file with the rotary pairs of a tensor put together, or taken apart, once more.
func (d *damaged) pairs(name string, part func(rows int) (head int, rotated span)) *memory {
	paired := d.rng.IntN(2) == 0
	return d.change(name, func(rows, cols int, at func(int) []byte) {
		head, rot := part(rows)
		old := make([][]byte, rows)
		for r := range rows {
			old[r] = bytes.Clone(at(r))
		}
		for r := range rows {
			in, to := r%head-rot.row, 0
			switch {
			case in < 0 || in >= rot.n:
				continue
			case paired:
				to = in/2 + in%2*(rot.n/2)
			default:
				to = in%(rot.n/2)*2 + in/(rot.n/2)
			}
			copy(at(r), old[r-in+to])
		}
	})
}

// weightDamages are kinds of damage to weights, and the name that fidelity or scan must give them. They return nil where a
// family has nothing to damage so.
var weightDamages = []struct {
	name, check string
	do          func(d *damaged) (*memory, string)
}{
	{"gate-up-swapped", "fidelity", func(d *damaged) (*memory, string) {
		gate := d.pick(names.FFNGateExps)
		if gate == "" {
			return nil, ""
		}
		return d.swapNames(gate, strings.Replace(gate, "gate", "up", 1)), gate
	}},
	{"gate-up-swapped", "fidelity", func(d *damaged) (*memory, string) {
		gate := d.pick(names.FFNGateShexp)
		if gate == "" {
			return nil, ""
		}
		return d.swapNames(gate, strings.Replace(gate, "gate", "up", 1)), gate
	}},
	{"transposed", "fidelity", func(d *damaged) (*memory, string) {
		name := d.pick(names.FFNGateExps, names.FFNUpExps, names.FFNDownExps)
		e := d.rng.IntN(expertsIn(d.sound.tensors[d.sound.find(d.t, name)]))
		return d.change(name, func(rows, cols int, at func(int) []byte) {
			var flat []byte
			for r := range rows {
				flat = append(flat, at(e*rows+r)...)
			}
			for f := range rows * cols {
				i, j := f/rows, f%rows
				copy(at(e*rows + f/cols)[f%cols*4:][:4], flat[(j*cols+i)*4:][:4])
			}
		}), name
	}},
	{"experts-shifted", "fidelity", func(d *damaged) (*memory, string) {
		name := d.pick(names.FFNGateExps, names.FFNUpExps, names.FFNDownExps)
		m := d.sound.clone()
		i := m.find(d.t, name)
		size := len(m.data[i]) / expertsIn(m.tensors[i])
		m.data[i] = append(bytes.Clone(m.data[i][size:]), m.data[i][:size]...)
		return m, name
	}},
	{"experts-permuted", "fidelity", func(d *damaged) (*memory, string) {
		name := d.pick(names.FFNGateExps, names.FFNUpExps, names.FFNDownExps)
		m := d.sound.clone()
		n := expertsIn(m.tensors[m.find(d.t, name)])
		if n < 4 {
			return nil, ""
		}
		three := d.rng.Perm(n)[:3]
		first := bytes.Clone(m.expert(d.t, name, three[0]))
		copy(m.expert(d.t, name, three[0]), m.expert(d.t, name, three[1]))
		copy(m.expert(d.t, name, three[1]), m.expert(d.t, name, three[2]))
		copy(m.expert(d.t, name, three[2]), first)
		return m, name
	}},
	{"zero", "scan", func(d *damaged) (*memory, string) {
		name := d.pick(names.FFNGateExps, names.FFNUpExps, names.FFNDownExps)
		m := d.sound.clone()
		clear(m.expert(d.t, name, d.rng.IntN(expertsIn(m.tensors[m.find(d.t, name)]))))
		return m, name
	}},
	{"zeroed", "fidelity", func(d *damaged) (*memory, string) {
		name := d.pick(names.FFNGateExps, names.FFNUpExps, names.FFNDownExps)
		e := d.rng.IntN(expertsIn(d.sound.tensors[d.sound.find(d.t, name)]))
		return d.change(name, func(rows, cols int, at func(int) []byte) {
			for r := range rows {
				clear(at(e*rows + r))
			}
		}), name
	}},
	{"rope-permutation", "fidelity", func(d *damaged) (*memory, string) {
		name := d.pick(names.AttnQ, names.AttnK)
		if name == "" {
			return nil, ""
		}
		md := d.plan.Metadata()
		heads, _ := md.Int(md.ArchKey("attention.head_count"))
		if strings.Contains(name, "attn_k") {
			heads, _ = md.Int(md.ArchKey("attention.head_count_kv"))
		}
		if heads == 0 { // of each layer another
			return nil, ""
		}
		return d.pairs(name, func(rows int) (int, span) { return rows / int(heads), span{0, rows / int(heads)} }), name
	}},
	{"rope-permutation", "fidelity", func(d *damaged) (*memory, string) { // MLA rotates the last part of a head
		name := d.pick("attn_q_b", "attn_kv_a_mqa")
		if name == "" {
			return nil, ""
		}
		md := d.plan.Metadata()
		rot, _ := md.Int(md.ArchKey("rope.dimension_count"))
		heads, _ := md.Int(md.ArchKey("attention.head_count"))
		if strings.Contains(name, "kv_a") {
			heads = 1
		}
		return d.pairs(name, func(rows int) (int, span) {
			head := rows / int(heads)
			return head, span{head - int(rot), int(rot)}
		}), name
	}},
	{"scale", "fidelity", func(d *damaged) (*memory, string) {
		name := d.pick(names.FFNGateExps, names.FFNDownExps, names.AttnOutput)
		return d.change(name, func(rows, cols int, at func(int) []byte) {
			for r := range rows {
				b := at(r)
				for i := 3; i < len(b); i += 4 {
					if b[i]&0x7f > 1 {
						b[i]-- // two exponents less
					}
				}
			}
		}), name
	}},
	{"other-layer", "fidelity", func(d *damaged) (*memory, string) {
		name := d.pick(names.FFNDownExps, names.AttnOutput)
		n := names.Parse(name)
		for b := range 60 {
			other := names.Name{Role: n.Role, Block: b, Suffix: n.Suffix}.String()
			if j := gguf.Find(d.sound.tensors, other); b != n.Block && j >= 0 && d.sound.tensors[j].Shape.Equal(d.sound.tensors[d.sound.find(d.t, name)].Shape) {
				return d.swapNames(name, other), name
			}
		}
		return nil, ""
	}},
	{"rows-shifted", "fidelity", func(d *damaged) (*memory, string) {
		name := d.pick(names.FFNUpExps, names.AttnOutput, names.AttnV)
		return d.change(name, func(rows, cols int, at func(int) []byte) {
			first := bytes.Clone(at(0))
			for r := range rows - 1 {
				copy(at(r), at(r+1))
			}
			copy(at(rows-1), first)
		}), name
	}},
}

// damageCases are families and schemes to damage: other blocks, experts and tensors than the bounds were set with, by chance.
func damageCases(t *testing.T) (out []testdata.Checkpoint) {
	for _, c := range testdata.Checkpoints() {
		if !c.Micro && c.Family != "grin-moe" {
			out = append(out, c)
		}
	}
	if testing.Short() {
		return out[:1]
	}
	return out
}

func TestDamageHasItsName(t *testing.T) {
	schemes := []string{"Q8_0", "Q4_K_M", "Q3_K_M", "Q6_K", "F16", "IQ4_XS", "Q5_0"}
	for i, c := range damageCases(t) {
		scheme := schemes[i%len(schemes)]
		t.Run(c.Family+" "+scheme, func(t *testing.T) {
			d := newDamaged(t, c, scheme, uint64(100+i))
			for _, w := range weightDamages {
				m, where := w.do(d)
				if m == nil {
					continue
				}
				s := &Subject{Source: m, Reference: d.plan, Seed: uint64(i)}
				r := check(t, structural[w.check], s)
				found := slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Damage == w.name && p.Tensor == where })
				if r.Status != Fail || !found {
					t.Errorf("%s in %s: %s: %s: %s", w.name, where, w.check, r.Status, r.Detail)
				}
				if w.check != "fidelity" {
					continue
				}
				if r := check(t, structural["encoding"], s); slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Damage == "imatrix-mix" }) {
					t.Errorf("%s in %s is taken for a mix of importance matrices, too: %s", w.name, where, r.Detail)
				}
			}
		})
	}
}
