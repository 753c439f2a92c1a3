package convert

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// oracleCase is one model directory and the bytes that gguf-py writes for its general.* keys; see testdata/general.py.
type oracleCase struct {
	Dir        string
	Card       *string
	Generation *string
	Config     map[string]any
	Params     *int64
	KV         [][2]string // key, type and value in hex
	Error      string
}

func (c oracleCase) input() generalInput {
	in := generalInput{Dir: c.Dir, Config: c.Config, Params: paramCounts{Total: 16_375_728_128}}
	if c.Dir == "" {
		in.Dir = "deepseek-moe-16b-chat"
	}
	if c.Card != nil {
		in.Card = []byte(*c.Card)
	}
	if c.Generation != nil {
		in.GenerationConfig = []byte(*c.Generation)
	}
	if c.Params != nil {
		in.Params.Total = *c.Params
	}
	return in
}

func (c oracleCase) String() string {
	s, _ := json.Marshal(map[string]any{"dir": c.Dir, "card": c.Card, "generation": c.Generation, "config": c.Config, "params": c.Params})
	return string(s)
}

// TestGeneralOracle compares the packed bytes of all keys with gguf-py's for cards
// that stress YAML 1.1 typing, for names and for sampling defaults. Where the
// reference stops with an exception an error naming the file is wanted. A list within the
// list of tags is an error here alone: the reference writes an array of arrays, which no loader takes.
func TestGeneralOracle(t *testing.T) {
	for _, c := range oracleCases(t) {
		if msg := compareOracle(c); msg != "" {
			t.Errorf("%s\n\t%s", c, msg)
		}
	}
}

// compareOracle says how the keys differ; empty when they do not.
func compareOracle(c oracleCase) string {
	r, err := generalMetadata(c.input())
	if err != nil && strings.Contains(err.Error(), "element 0 is a list") {
		return ""
	}
	if (err != nil) != (c.Error != "") {
		return fmt.Sprintf("got error %v, the reference %q", err, c.Error)
	}
	if err != nil {
		return ""
	}
	for i := range max(len(r.KVs), len(c.KV)) {
		got, want := "nothing", "nothing"
		if i < len(r.KVs) {
			got = r.KVs[i].Key + " " + hex.EncodeToString(encodeValue(r.KVs[i].Value, true))
		}
		if i < len(c.KV) {
			want = c.KV[i][0] + " " + c.KV[i][1]
		}
		if got != want {
			return fmt.Sprintf("key %d is\n\t%s, want\n\t%s", i, got, want)
		}
	}
	return ""
}

// encodeValue writes a value as it stands in a GGUF file, with its type when tagged.
func encodeValue(v any, tagged bool) []byte {
	var b []byte
	if typ, _, _ := gguf.TypeOf(v); tagged {
		b = binary.LittleEndian.AppendUint32(b, uint32(typ))
	}
	switch v := v.(type) {
	case string:
		b = binary.LittleEndian.AppendUint64(b, uint64(len(v)))
		return append(b, v...)
	case []string:
		return appendList(b, v)
	case []int32:
		return appendList(b, v)
	case []float32:
		return appendList(b, v)
	case []bool:
		return appendList(b, v)
	}
	b, err := binary.Append(b, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}

func appendList[T any](b []byte, list []T) []byte {
	_, elem, _ := gguf.TypeOf(list)
	b = binary.LittleEndian.AppendUint32(b, uint32(elem))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(list)))
	for _, x := range list {
		b = append(b, encodeValue(x, false)...)
	}
	return b
}

func oracleCases(t testing.TB) []oracleCase {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "general.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []oracleCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 1000 {
		t.Fatalf("%d cases", len(cases))
	}
	return cases
}

// FuzzGeneral reads any card and sampling defaults: no panic, and only values that GGUF can store.
func FuzzGeneral(f *testing.F) {
	for _, c := range oracleCases(f) {
		in := c.input()
		f.Add(in.Card, in.GenerationConfig, in.Dir, in.Params.Total)
	}
	f.Fuzz(func(t *testing.T, card, generation []byte, dir string, params int64) {
		r, err := generalMetadata(generalInput{Dir: dir, Card: card, GenerationConfig: generation, Params: paramCounts{Total: params}})
		if err != nil {
			return
		}
		md := &gguf.Metadata{}
		for _, kv := range r.KVs {
			md.Set(kv.Key, kv.Value) // panics on a type GGUF does not know
		}
		if md.Len() != len(r.KVs) {
			t.Errorf("%d keys, %d of them distinct", len(r.KVs), md.Len())
		}
		r.fileName("F16")
	})
}
