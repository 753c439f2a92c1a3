package verify

import (
	"encoding/binary"
	"math"
	"testing"
)

// A report knows of every expert how far it lies from the source, how often it was used and what is wrong with it.
func TestExpertsOfAFile(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	clear(m.expert(t, down2, 2))
	binary.LittleEndian.PutUint16(m.expert(t, up1, 3), 0x7e00)
	r := run(t, &Subject{Name: "tiny", Scheme: "Q8_0", Source: m, Reference: tinyPlan(t)})
	e := r.Experts
	if e == nil || e.Count != 6 || len(e.Layers) != 2 || e.Layers[0] != 1 || len(e.NMSE) != 2 || len(e.Uses) != 0 {
		t.Fatalf("experts %+v", e)
	}
	if v := e.NMSE[0][0]; !(v > 0 && v < 1e-3) {
		t.Errorf("a sound expert has %v", v)
	}
	if v := e.NMSE[1][2]; v != 1 {
		t.Errorf("an expert of zeros has %v", v)
	}
	kinds := map[place]string{}
	for _, d := range e.Damage {
		kinds[place{d.Layer, d.Expert}] += d.Kind + " "
	}
	if kinds[place{1, 3}] == "" || kinds[place{2, 2}] == "" || kinds[place{1, 3}][:3] != "nan" || kinds[place{2, 2}][:4] != "zero" {
		t.Errorf("damage %v", kinds)
	}
	r = run(t, &Subject{Name: "tiny", Scheme: "Q8_0", Source: tinyAs(t, "Q8_0"), Text: validText(t), Context: 128, Chunks: 1})
	var uses int64
	for _, row := range r.Experts.Uses {
		for _, n := range row {
			uses += n
		}
	}
	if uses != 2*2*127 { // every token but the last, which has no next: two experts in two layers
		t.Errorf("%d uses", uses)
	}
}

func TestSignificant(t *testing.T) {
	for v, want := range map[float64]float64{0: 0, 1234.56: 1235, 0.000123456: 0.0001235, -9.9999: -10, math.Inf(1): math.Inf(1), 5e-324: 5e-324} {
		if got := significant(v, 4); got != want {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}
