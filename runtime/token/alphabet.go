package token

// Byte-level vocabularies write each byte as a printable character: the printable bytes of
// Latin-1 as themselves, the others as the characters from U+0100 on, in order.
var (
	letters [256]string   // the character of each byte
	byteOf  map[rune]byte // its inverse
)

func init() {
	byteOf = make(map[rune]byte, 256)
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if printable := '!' <= r && r <= '~' || '¡' <= r && r <= '¬' || '®' <= r; !printable {
			r = next
			next++
		}
		letters[b] = string(r)
		byteOf[r] = byte(b)
	}
}

// fromAlphabet is the bytes that text spells, ok false where a character is not of the alphabet.
func fromAlphabet(text string) (string, bool) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		b, ok := byteOf[r]
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}

// toAlphabet spells bytes in the alphabet.
func toAlphabet(bytes string) string {
	out := make([]byte, 0, 2*len(bytes))
	for i := range len(bytes) {
		out = append(out, letters[bytes[i]]...)
	}
	return string(out)
}
