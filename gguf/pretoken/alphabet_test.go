package pretoken

import "testing"

func TestAlphabet(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if got, ok := Unspell(Spell(string(all))); !ok || got != string(all) {
		t.Errorf("%q", got)
	}
	for b, want := range map[byte]string{' ': "Ġ", '\n': "Ċ", 'a': "a", 0xad: "Ń", 0x7f: "ġ", 0xa0: "ł", 0xff: "ÿ", 0: "Ā"} {
		if got := Letter(b); got != want {
			t.Errorf("byte %#x: %q, want %q", b, got, want)
		}
	}
	if _, ok := Unspell("a b"); ok {
		t.Error("a space is of the alphabet")
	}
}
