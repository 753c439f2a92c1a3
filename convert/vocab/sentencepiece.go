package vocab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// spModel is what conversion needs of a tokenizer.model: SentencePiece's ModelProto.
type spModel struct {
	pieces       []spPiece
	kind         int32 // trainer_spec.model_type: spUnigram, spBPE ...
	byteFallback bool

	dummyPrefix      bool // texts get a space in front
	removeWhitespace bool // runs of spaces become one, those at the ends none
	charsMap         []byte
}

type spPiece struct {
	text  string
	score float32
	kind  int32 // numbered as tokenizer.ggml.token_type
}

// The values of trainer_spec.model_type.
const (
	spUnigram = 1
	spBPE     = 2
)

// parseSPModel reads a tokenizer.model. Its errors name the byte.
func parseSPModel(data []byte) (*spModel, error) {
	m := &spModel{kind: spUnigram, dummyPrefix: true, removeWhitespace: true} // the format's defaults
	err := fields(data, 0, func(f field) error {
		switch {
		case f.is(1, wireBytes):
			return m.addPiece(f)
		case f.is(2, wireBytes):
			return fields(f.bytes, f.at, m.trainerSpec)
		case f.is(3, wireBytes):
			return fields(f.bytes, f.at, m.normalizerSpec)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, m.check()
}

func (m *spModel) addPiece(f field) error {
	p := spPiece{kind: typeNormal}
	err := fields(f.bytes, f.at, func(f field) error {
		switch {
		case f.is(1, wireBytes):
			if at := invalidUTF8(f.bytes); at >= 0 {
				return fmt.Errorf("piece %d is not UTF-8 at byte %d", len(m.pieces), f.at+at)
			}
			p.text = string(f.bytes)
		case f.is(2, wire32):
			p.score = math.Float32frombits(uint32(f.value))
		case f.is(3, wireVarint) && f.value >= typeNormal && f.value <= typeByte: // others count as absent
			p.kind = int32(f.value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if p.text == "" {
		return fmt.Errorf("piece %d is empty at byte %d", len(m.pieces), f.at)
	}
	if len(m.pieces) == maxVocabSize {
		return fmt.Errorf("more than %d pieces at byte %d", maxVocabSize, f.at)
	}
	m.pieces = append(m.pieces, p)
	return nil
}

func (m *spModel) trainerSpec(f field) error {
	switch {
	case f.is(3, wireVarint):
		m.kind = int32(f.value)
	case f.is(35, wireVarint):
		m.byteFallback = f.value != 0
	}
	return nil
}

func (m *spModel) normalizerSpec(f field) error {
	switch {
	case f.is(2, wireBytes):
		m.charsMap = f.bytes
	case f.is(3, wireVarint):
		m.dummyPrefix = f.value != 0
	case f.is(4, wireVarint):
		m.removeWhitespace = f.value != 0
	}
	return nil
}

// check wants what the SentencePiece library insists on when it loads a model.
func (m *spModel) check() error {
	if len(m.pieces) == 0 {
		return errors.New("there are no pieces")
	}
	first := make(map[string]int, len(m.pieces))
	unknown, bytes := -1, 0
	for i, p := range m.pieces {
		if old, ok := first[p.text]; ok {
			return fmt.Errorf("pieces %d and %d are both %q", old, i, p.text)
		}
		first[p.text] = i
		switch p.kind {
		case typeUnknown:
			if unknown >= 0 {
				return fmt.Errorf("pieces %d and %d both stand for the unknown", unknown, i)
			}
			unknown = i
		case typeByte:
			if !m.byteFallback {
				return fmt.Errorf("piece %d %q is a byte, though byte_fallback is false", i, p.text)
			}
			if !isByte(p.text) {
				return fmt.Errorf("piece %d %q is marked as a byte and names none", i, p.text)
			}
			bytes++
		}
	}
	if unknown < 0 {
		return errors.New("no piece stands for the unknown")
	}
	if m.byteFallback && bytes != 256 {
		return fmt.Errorf("byte_fallback is true, but %d of 256 bytes have a piece", bytes)
	}
	return nil
}

// isByte reports whether text is <0x00> to <0xFF>, in capitals as SentencePiece writes them.
func isByte(text string) bool {
	if len(text) != 6 || text[:3] != "<0x" || text[5] != '>' {
		return false
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }
	return digit(text[3]) && digit(text[4])
}

// The wire types of protocol buffers.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wireStart  = 3
	wireEnd    = 4
	wire32     = 5
)

// field is one field of a message.
type field struct {
	number uint64
	wire   int
	value  uint64 // of a varint or a fixed one
	bytes  []byte // of a string, bytes or message: a part of the file
	at     int    // where the value begins in the file
}

// is reports whether the field has this number and wire type. Another wire type than the
// one expected makes a field unknown, to be skipped.
func (f field) is(number uint64, wire int) bool { return f.number == number && f.wire == wire }

// fields calls visit for every field of a message that begins at byte base of the file. Groups are skipped.
func fields(msg []byte, base int, visit func(field) error) error {
	var groups []uint64
	for i := 0; i < len(msg); {
		f, n, err := readField(msg[i:], base+i)
		if err != nil {
			return err
		}
		i += n
		switch {
		case f.wire == wireStart:
			groups = append(groups, f.number)
		case f.wire == wireEnd:
			if len(groups) == 0 || groups[len(groups)-1] != f.number {
				return fmt.Errorf("not a protocol buffer: group %d ends at byte %d without a beginning", f.number, f.at)
			}
			groups = groups[:len(groups)-1]
		case len(groups) == 0:
			if err := visit(f); err != nil {
				return err
			}
		}
	}
	if len(groups) > 0 {
		return fmt.Errorf("truncated at byte %d: group %d does not end", base+len(msg), groups[len(groups)-1])
	}
	return nil
}

// readField reads the field at the beginning of msg, which is byte base of the file, and says how long it is.
func readField(msg []byte, base int) (f field, n int, err error) {
	tag, n, err := varint(msg, base)
	if err != nil {
		return f, 0, err
	}
	f = field{number: tag >> 3, wire: int(tag & 7), at: base + n}
	if f.number == 0 || f.number >= 1<<29 {
		return f, 0, fmt.Errorf("not a protocol buffer: field number %d at byte %d", f.number, base)
	}
	size := 0
	switch f.wire {
	case wireVarint:
		f.value, size, err = varint(msg[n:], f.at)
	case wire64, wire32:
		if size = 4; f.wire == wire64 {
			size = 8
		}
		if len(msg)-n < size {
			return f, 0, fmt.Errorf("truncated at byte %d: %d bytes of a number are missing", base+len(msg), size-len(msg)+n)
		}
		var b [8]byte
		copy(b[:], msg[n:n+size])
		f.value = binary.LittleEndian.Uint64(b[:])
	case wireBytes:
		var length uint64
		if length, size, err = varint(msg[n:], f.at); err != nil {
			break
		}
		n, f.at = n+size, f.at+size
		if length > uint64(len(msg)-n) {
			return f, 0, fmt.Errorf("truncated: field %d at byte %d has %d bytes and %d are left", f.number, base, length, len(msg)-n)
		}
		size = int(length)
		f.bytes = msg[n : n+size]
	case wireStart, wireEnd:
	default:
		err = fmt.Errorf("not a protocol buffer: wire type %d at byte %d", f.wire, base)
	}
	return f, n + size, err
}

func varint(msg []byte, base int) (v uint64, n int, err error) {
	v, n = binary.Uvarint(msg)
	switch {
	case n == 0:
		return 0, 0, fmt.Errorf("truncated at byte %d", base+len(msg))
	case n < 0:
		return 0, 0, fmt.Errorf("not a protocol buffer: a number of more than 64 bits at byte %d", base)
	}
	return v, n, nil
}
