package pretoken

import (
	"slices"
	"testing"
)

// The hand-written matchers cut as the regexes they stand for.
func TestMachinesEqualRegexes(t *testing.T) {
	all := texts(t)
	seen := map[string]bool{}
	for i := range schemes {
		for _, re := range append(slices.Clone(schemes[i].loader), schemes[i].steps()...) {
			var native cutter = endSpace{}
			if re != trailingSpace {
				m, err := newMachine(re)
				if err != nil && re != rightGroups {
					t.Errorf("%q: %v", re, err)
				}
				native = m
			}
			if seen[re] || re == rightGroups {
				continue
			}
			seen[re] = true
			general, err := newRegexp(re, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range all {
				if hasNewer(text) {
					continue // regexp2 has package unicode's tables
				}
				r := decode(text)
				got, _ := native.cut(r, 7, nil)
				want, err := general.cut(r, 7, nil)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%q on %q: %v, want %v %v", re, text, got, want, err)
				}
			}
		}
	}
	if len(seen) < 50 {
		t.Errorf("%d regexes", len(seen))
	}
}

// hasNewer reports characters that regexp2, which has package unicode's tables, may not know.
func hasNewer(text string) bool {
	for _, r := range text {
		for _, spans := range newer {
			if r >= 0x800 && slices.ContainsFunc(spans, func(s span) bool { return s.lo <= r && r <= s.hi }) {
				return true
			}
		}
	}
	return false
}

// The machines cut any text as regexp2, which is another engine, does.
func FuzzMachines(f *testing.F) {
	var regexes []string
	for i := range schemes {
		for _, re := range slices.Concat(schemes[i].loader, schemes[i].steps()) {
			if re != rightGroups && re != trailingSpace && !slices.Contains(regexes, re) {
				regexes = append(regexes, re)
			}
		}
	}
	for i, text := range texts(f) {
		f.Add(text, uint8(i))
	}
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		re := regexes[int(which)%len(regexes)]
		if len(text) > 1000 || hasNewer(text) {
			return
		}
		native, err := newCutter(re, 0)
		if err != nil {
			t.Fatal(err)
		}
		general, err := newRegexp(re, 0)
		if err != nil {
			t.Fatal(err)
		}
		r := decode(text)
		got, _ := native.cut(r, 0, nil)
		if want, err := general.cut(r, 0, nil); err == nil && !slices.Equal(got, want) {
			t.Errorf("%q on %q: %v, want %v", re, text, got, want)
		}
	})
}
