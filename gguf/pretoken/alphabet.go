package pretoken

// Byte-level vocabularies write each byte as a printable character: the printable bytes of
// Latin-1 as themselves, the others as the characters from U+0100 on, in order.
var (
	letters [256]string
	bytesOf [0x144]int16 // by character, -1 where it is none of the alphabet
)

func init() {
	for r := range bytesOf {
		bytesOf[r] = -1
	}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if printable := '!' <= r && r <= '~' || '¡' <= r && r <= '¬' || '®' <= r; !printable {
			r = next
			next++
		}
		letters[b] = string(r)
		bytesOf[r] = int16(b)
	}
}

// Letter is the character that stands for b in byte-level vocabularies.
func Letter(b byte) string { return letters[b] }

// Spell writes text, byte by byte, in the alphabet of byte-level vocabularies.
func Spell(text string) string {
	out := make([]byte, 0, 2*len(text))
	for i := range len(text) {
		out = append(out, letters[text[i]]...)
	}
	return string(out)
}

// Unspell is Spell's inverse; ok is false where spelled has a character that is not of the alphabet.
func Unspell(spelled string) (text string, ok bool) {
	out := make([]byte, 0, len(spelled))
	for _, r := range spelled {
		if int(r) >= len(bytesOf) || bytesOf[r] < 0 {
			return "", false
		}
		out = append(out, byte(bytesOf[r]))
	}
	return string(out), true
}
