package verify

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/testdata"
)

// Files put together from encodings with different importance matrices, or made with one that is not the one named.
func TestStaleImportanceMatrices(t *testing.T) {
	for i, c := range damageCases(t) {
		im, err := imatrix.Open(filepath.Join(c.Golden, "imatrix.gguf"))
		if err != nil {
			continue
		}
		d := newDamaged(t, c, []string{"Q4_K_M", "Q3_K_M", "Q2_K", "Q5_K_M", "IQ4_XS"}[i%5], uint64(50+i))
		with, stale := d.encode(d.plan, im), d.encode(d.plan, other(t, im))
		for _, k := range []struct {
			what  string
			file  *memory
			given *imatrix.Matrix
			want  Status
		}{
			{"sound", with, nil, Pass}, {"sound, given", with, im, Pass},
			{"stale", stale, im, Fail}, {"plain, given", d.sound, im, Fail}, {"plain", d.sound, nil, Pass},
			{"mixed with plain", d.mix(with, d.sound), nil, Fail}, {"mixed with plain, given", d.mix(with, d.sound), im, Fail},
			{"mixed with stale, given", d.mix(with, stale), im, Fail}, {"some with, not said", d.mix(d.sound, with), nil, Fail},
			{"one expert plain", d.oneExpert(with, d.sound), nil, Fail}, {"one expert with", d.oneExpert(d.sound, with), nil, Fail},
			{"said and not done", &memory{md: with.md, tensors: d.sound.tensors, data: d.sound.data}, nil, Fail},
		} {
			r := check(t, checkEncoding, &Subject{Source: k.file, Reference: d.plan, Imatrix: k.given, Seed: uint64(i)})
			if k.file == nil {
				continue
			}
			named := slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Damage == "imatrix-mix" })
			if r.Status != k.want || k.want == Fail && !named {
				t.Errorf("%s %s: %s: %s: %s", c.Family, d.scheme, k.what, r.Status, r.Detail)
			}
		}
	}
}

// A tensor that is the only one of its kind, and alone without a matrix, is named.
func TestATensorAloneWithoutAMatrix(t *testing.T) {
	im, err := imatrix.Open(testdata.Path("tiny", "golden", "imatrix.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	d := &damaged{t: t, plan: tinyPlan(t), scheme: "IQ4_XS"}
	with, plain := d.encode(d.plan, im), d.encode(d.plan, nil)
	const down0 = "blk.0.ffn_down.weight"
	r := check(t, checkEncoding, &Subject{Source: with, Reference: d.plan})
	if slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Damage == "imatrix-mix" }) {
		t.Errorf("sound: %s: %+v", r.Detail, r.Problems)
	}
	with.data[with.find(t, down0)] = plain.data[plain.find(t, down0)]
	r = check(t, checkEncoding, &Subject{Source: with, Reference: d.plan})
	if r.Status == Pass || !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Damage == "imatrix-mix" && p.Tensor == down0 }) {
		t.Errorf("%s: %s: %+v", r.Status, r.Detail, r.Problems)
	}
}

// Types that use no importance matrix are sound in a file that names one, beside an embedding and an output that have no entry.
func TestTypesWithoutUseForAMatrix(t *testing.T) {
	im, err := imatrix.Open(testdata.Path("tiny", "golden", "imatrix.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	d := &damaged{t: t, plan: tinyPlan(t)}
	for _, d.scheme = range []string{"TQ1_0", "TQ2_0", "Q1_0", "Q2_0", "Q8_0", "MXFP4_MOE"} {
		for _, given := range []*imatrix.Matrix{nil, im} {
			r := check(t, checkEncoding, &Subject{Source: d.encode(d.plan, im), Reference: d.plan, Imatrix: given})
			if r.Status != Pass {
				t.Errorf("%s: %s: %s", d.scheme, r.Status, r.Detail)
			}
		}
	}
}

// mix is a with every third tensor of b that differs.
func (d *damaged) mix(a, b *memory) *memory {
	m := a.clone()
	n := 0
	for i := range m.data {
		if j := b.find(d.t, m.tensors[i].Name); !bytes.Equal(m.data[i], b.data[j]) && names.Parse(m.tensors[i].Name).Block == 0 {
			if n++; n%3 == 1 {
				m.data[i] = b.data[j]
			}
		}
	}
	return m
}

// other is an importance matrix whose columns are turned around, as if it were another model's.
func other(t *testing.T, im *imatrix.Matrix) *imatrix.Matrix {
	sums := imatrix.NewSums(512)
	for _, name := range im.Names() {
		e, _ := im.Entry(name)
		n := max(1, len(im.Counts(name)))
		values, counts, err := sums.Place(name, len(e)/n, n, n)
		if err != nil {
			t.Fatal(err)
		}
		if values == nil {
			continue
		}
		for i := range e {
			values[i] = e[len(e)-1-i]
		}
		for i := range counts {
			counts[i] = 512
		}
	}
	src, err := sums.Source()
	if err != nil {
		t.Fatal(err)
	}
	out, err := imatrix.Read(src)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// oneExpert is a with one expert of b, in a tensor in which they differ throughout; nil where there is none.
func (d *damaged) oneExpert(a, b *memory) *memory {
	m := a.clone()
	for _, t := range m.tensors {
		n := expertsIn(t)
		if n == 0 || !weighed[t.Type] {
			continue
		}
		e := d.rng.IntN(n)
		dst, src := m.expert(d.t, t.Name, e), b.expert(d.t, t.Name, e)
		size, equal := t.Type.BlockSize(), 0
		for at := 0; at < len(dst); at += size {
			if bytes.Equal(dst[at:at+size], src[at:at+size]) {
				equal++
			}
		}
		if equal*size*4 < len(dst) {
			copy(dst, src)
			return m
		}
	}
	return nil
}
