package vocab

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// The parts of a small tokenizer.model.
var (
	spUnknown = spBytes(1, spBytes(1, []byte("<unk>")), spNumber(3, typeUnknown))
	spNormal  = spBytes(1, spBytes(1, []byte("a")), []byte{0x15, 0, 0, 0x80, 0x3f})
)

// spBytes is a field of bytes, or of a message.
func spBytes(number int, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	out := binary.AppendUvarint(nil, uint64(number)<<3|wireBytes)
	return append(binary.AppendUvarint(out, uint64(len(body))), body...)
}

func spNumber(number, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, number<<3), v)
}

func loadModel(model []byte) (*Vocab, error) {
	return Load(fstest.MapFS{"tokenizer.model": {Data: model}}, Options{Forms: []string{"sentencepiece"}})
}

func TestDamagedModel(t *testing.T) {
	piece := func(text string, kind uint64) []byte { return spBytes(1, spBytes(1, []byte(text)), spNumber(3, kind)) }
	for _, c := range []struct {
		what  string
		model []byte
		want  string
	}{
		{"empty", nil, "there are no pieces"},
		{"text", []byte("hello"), "group 13 ends at byte 3 without a beginning"},
		{"git-lfs pointer", []byte("version https://git-lfs.github.com/spec/v1\n"), "wire type 6 at byte 0"},
		{"length beyond", []byte{0x0a, 0x05, 'a'}, "field 1 at byte 0 has 5 bytes and 1 are left"},
		{"huge length", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "has 9223372036854775807 bytes and 0 are left"},
		{"length of 70 bits", slices.Concat([]byte{0x0a}, slices.Repeat([]byte{0xff}, 11)), "a number of more than 64 bits at byte 1"},
		{"tag cut", slices.Concat(spUnknown, []byte{0x80}), "truncated at byte 12"},
		{"field 0", []byte{0x02, 0x00}, "field number 0 at byte 0"},
		{"field too high", binary.AppendUvarint(nil, 1<<32), "field number 536870912 at byte 0"},
		{"float cut", spBytes(1, spBytes(1, []byte("a")), []byte{0x15, 0, 0}), "truncated at byte 8: 2 bytes of a number are missing"},
		{"end of no group", []byte{0x0c}, "group 1 ends at byte 1 without a beginning"},
		{"open group", []byte{0x0b, 0x08, 0x01}, "group 1 does not end"},
		{"empty piece", slices.Concat(spUnknown, spBytes(1)), "piece 1 is empty at byte 13"},
		{"piece not UTF-8", slices.Concat(spUnknown, spBytes(1, spBytes(1, []byte("a\xff")))), "piece 1 is not UTF-8 at byte 16"},
		{"no unknown", spNormal, "no piece stands for the unknown"},
		{"two unknowns", slices.Concat(spUnknown, piece("<b>", typeUnknown)), "pieces 0 and 1 both stand for the unknown"},
		{"twice", slices.Concat(spUnknown, spNormal, spNormal), `pieces 1 and 2 are both "a"`},
		{"byte without fallback", slices.Concat(spUnknown, piece("<0x41>", typeByte)), `piece 1 "<0x41>" is a byte, though byte_fallback is false`},
		{"no byte", slices.Concat(spUnknown, piece("<0x4g>", typeByte), spBytes(2, spNumber(35, 1))), `piece 1 "<0x4g>" is marked as a byte and names none`},
		{"bytes missing", slices.Concat(spUnknown, piece("<0x41>", typeByte), spBytes(2, spNumber(35, 1))), "1 of 256 bytes have a piece"},
	} {
		v, err := loadModel(c.model)
		if err == nil || !strings.HasPrefix(err.Error(), "vocab: tokenizer.model: ") || !strings.Contains(err.Error(), c.want) || v != nil {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

// Cut anywhere, a model is refused.
func TestCutModel(t *testing.T) {
	model, err := os.ReadFile(testdata.Path("bad", "_good", "tokenizer.model"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadModel(model); err != nil {
		t.Fatal(err)
	}
	const control = 45 // up to the third piece a model cut between two is a smaller model
	for n := range model[:len(model)-200] {
		if n <= control {
			continue
		}
		if _, err := loadModel(model[:n]); err == nil || !strings.Contains(err.Error(), "tokenizer.model: ") {
			t.Errorf("cut at byte %d: %v", n, err)
		}
	}
}

// Fields that are unknown, repeated or of another wire type than expected are as protocol buffers have it.
func TestOddModel(t *testing.T) {
	model := slices.Concat(
		[]byte{0x9b, 0x06}, spBytes(5, []byte("x")), []byte{0x9c, 0x06}, // group 99
		spUnknown, spNumber(1, 7), []byte{0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8},
		spBytes(1, spBytes(1, []byte("old")), spBytes(1, []byte("b")), spNumber(3, 77), spNumber(2, 5), []byte{0x15, 0, 0, 0, 0xc0}),
		spBytes(2, spNumber(3, 2)), spBytes(2, spNumber(4, 1)), spNormal)
	v, err := loadModel(model)
	if err != nil || !slices.Equal(v.tokens, []string{"<unk>", "b", "a"}) || !slices.Equal(v.scores, []float32{0, -2, 1}) || !slices.Equal(v.types, []int32{typeUnknown, typeNormal, typeNormal}) {
		t.Errorf("%v: %+v", err, v)
	}
}

// Files beside tokenizer.model that are damaged.
func TestDamagedBeside(t *testing.T) {
	model := slices.Concat(spUnknown, spNormal)
	for _, c := range []struct{ form, name, text, want string }{
		{"sentencepiece", "added_tokens.json", "[]", "added_tokens.json: array at byte"},
		{"sentencepiece", "added_tokens.json", `{"x": "1"}`, `added_tokens.json: the id of "x" is not a number from 0 on`},
		{"phi", "added_tokens.json", `{"x": -1}`, `added_tokens.json: the id of "x" is not a number from 0 on`},
		{"unigram", "added_tokens.json", `{"x": 1.5}`, `added_tokens.json: the id of "x" is not a number from 0 on`},
		{"sentencepiece", "tokenizer_config.json", `{"added_tokens_decoder": {"-1": {"content": "x"}}}`, "tokenizer_config.json: added_tokens_decoder: negative id"},
		{"arctic", "tokenizer_config.json", `{"added_tokens_decoder": {"x": {"content": "x"}}}`, `entry "x" is not a token`},
		{"sentencepiece", "tokenizer.json", "{", "tokenizer.json: not valid JSON"},
		{"phi", "tokenizer.json", `{"added_tokens": [{"id": 2, "content": "x"}]}`, `tokenizer.json: token id 2 ("x") is outside of vocab_size 2`},
		{"llama", "tokenizer_config.json", `{"add_prefix_space": `, "tokenizer_config.json: not valid JSON"},
	} {
		files := fstest.MapFS{"tokenizer.model": {Data: model}, c.name: {Data: []byte(c.text)}}
		v, err := Load(files, Options{Forms: []string{c.form}})
		if err == nil || !strings.Contains(err.Error(), c.want) || v != nil {
			t.Errorf("%s, %s: %v, want %q", c.form, c.name, err, c.want)
		}
	}
	for _, size := range []int{-1, maxVocabSize + 1} {
		if _, err := Load(fstest.MapFS{"tokenizer.model": {Data: model}}, Options{VocabSize: size, Forms: []string{"llama"}}); err == nil || !strings.Contains(err.Error(), fmt.Sprint(size)) {
			t.Errorf("vocab_size %d: %v", size, err)
		}
	}
	bpe := slices.Concat(model, spBytes(2, spNumber(3, spBPE)))
	if _, err := Load(fstest.MapFS{"spiece.model": {Data: bpe}}, Options{Forms: []string{"unigram"}}); !errors.As(err, new(*gguf.UnsupportedError)) {
		t.Errorf("spiece.model of BPE: %v", err)
	}
}

// A form that is not known, and files of another form than those asked for.
func TestFormNames(t *testing.T) {
	all := readSPCases(t)
	files := all.files(t, spCase{Pieces: "bpe"})
	if _, err := Load(files, Options{Forms: []string{"sentencepeace"}}); err == nil || !strings.Contains(err.Error(), `form "sentencepeace" is not known, arctic, `) {
		t.Errorf("unknown form: %v", err)
	}
	for _, names := range [][]string{{"sentencepiece"}, {"llama-hf"}, {"sentencepiece", "gpt2"}, {"llama-hf", "sentencepiece"}} {
		v, err := Load(files, Options{Forms: names})
		if err != nil || v.Model() != "llama" {
			t.Errorf("%v: %v", names, err)
		}
	}
	byteLevel := jsonAlone(all, "decoder", map[string]any{"type": "ByteLevel"})
	for _, c := range []struct {
		form, want string
		files      fstest.MapFS
	}{
		{"llama-hf", "tokenizer.json: a tokenizer of this kind is not supported", byteLevel},
		{"jamba", "tokenizer.json: a tokenizer of this kind is not supported", byteLevel},
		{"llama", "SentencePiece-style BPE (byte_fallback) is not supported", byteLevel},
		{"llama-hf", "tokenizer.model: SentencePiece is not supported", fstest.MapFS{"tokenizer.model": {}}},
	} {
		_, err := Load(c.files, Options{Forms: []string{c.form}})
		if !errors.As(err, new(*gguf.UnsupportedError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.form, err, c.want)
		}
	}
}

// jsonAlone is the base's tokenizer.json alone with one key changed.
func jsonAlone(all spCases, key string, value any) fstest.MapFS {
	doc := map[string]any{}
	for k, v := range all.Base["tokenizer.json"] {
		doc[k] = v
	}
	doc[key] = value
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return fstest.MapFS{"tokenizer.json": {Data: data}}
}
