package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/testdata"
)

const (
	modelFile = "model.safetensors"
	shardOne  = "model-00001-of-00002.safetensors"
	shardTwo  = "model-00002-of-00002.safetensors"
	norm      = "model.norm.weight"
)

// tiny is the file of the tiny model's weights, read once.
var tiny = sync.OnceValues(func() ([]byte, error) { return fs.ReadFile(testdata.Tiny(), modelFile) })

// tinyFile is the header and the data section of the tiny model's weights. Nobody changes the data.
func tinyFile(t *testing.T) (header string, data []byte) {
	t.Helper()
	b, err := tiny()
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(b)
	return string(b[8 : 8+n]), b[8+n:]
}

func file(header string, data []byte) *fstest.MapFile {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return &fstest.MapFile{Data: append(append(b, header...), data...)}
}

// replace changes one place of the header; a test whose place is not there must not pass.
func replace(t *testing.T, header, old, with string) string {
	t.Helper()
	if strings.Count(header, old) != 1 {
		t.Fatalf("%q is %d times in the header", old, strings.Count(header, old))
	}
	return strings.Replace(header, old, with, 1)
}

// TestDamagedHeader does to the trained tiny model what the fixtures do to a random one.
func TestDamagedHeader(t *testing.T) {
	header, data := tinyFile(t)
	at := strings.Index(header, `"`+norm+`":`)
	entry := header[at : at+strings.Index(header[at:], "}")+1]
	var begin, end int
	if _, err := fmt.Sscanf(entry[strings.Index(entry, "offsets"):], `offsets":[%d,%d]`, &begin, &end); err != nil {
		t.Fatal(err)
	}
	offsets := fmt.Sprintf("[%d,%d]", begin, end)
	shape := entry[strings.Index(entry, `"shape":`):]
	shape = shape[:strings.Index(shape, "]")+1]
	edit := func(old, with string) string { return replace(t, header, entry, replace(t, entry, old, with)) }

	cases := []struct {
		name, header string
		data         []byte
		want         []string
	}{
		{"truncated", header, data[:len(data)-100], []string{"data section is", "100 are missing", "truncated"}},
		{"longer", header, append(data[:len(data):len(data)], 0, 0, 0), []string{"3 at the end belong to no tensor"}},
		{"no data", header, nil, []string{"data section is 0 bytes"}},
		{"not JSON", "{" + header, data, []string{"header is not valid JSON", "at byte"}},
		{"cut JSON", header[:len(header)/2], data, []string{"header is not valid JSON", "unexpected end"}},
		{"not an object", "[1]", nil, []string{"not an object"}},
		{"two objects", header + "{}", data, []string{"more text after the object"}},
		{"not UTF-8", "{\"a\xff\"" + header[1:], data, []string{"not UTF-8 at byte 11"}},
		{"empty header", "", data, []string{"header is not valid JSON"}},
		{"repeated tensor", "{" + entry + "," + header[1:], data, []string{norm, "is twice in the header"}},
		{"repeated field", edit(shape, shape+","+shape), data, []string{norm, `"shape" is given twice`}},
		{"unknown field", edit(shape, shape+`,"stride":[1]`), data, []string{norm, `unknown field "stride"`}},
		{"missing field", edit(shape+",", ""), data, []string{norm, "needs dtype, shape and data_offsets"}},
		{"unknown dtype", edit(`"BF16"`, `"BF17"`), data, []string{norm, "unknown dtype BF17"}},
		{"dtype of another type", edit(`"BF16"`, `16`), data, []string{norm, "dtype 16 is not a string"}},
		{"wider dtype", edit(`"BF16"`, `"F32"`), data, []string{norm, "of F32 needs", "give " + fmt.Sprint(end-begin)}},
		{"fp8 dtype", edit(`"BF16"`, `"F8_E4M3"`), data, []string{norm, "of F8_E4M3 needs " + fmt.Sprint((end-begin)/2)}},
		{"half bytes", edit(`"dtype":"BF16",`+shape, `"dtype":"F4","shape":[3]`), data, []string{norm, "needs 12 bits"}},
		{"negative shape", edit(shape, `"shape":[-1,2]`), data, []string{norm, "invalid shape [-1,2]"}},
		{"fractional shape", edit(shape, `"shape":[1.5]`), data, []string{norm, "invalid shape [1.5]"}},
		{"text in shape", edit(shape, `"shape":["128"]`), data, []string{norm, "invalid shape"}},
		{"shape no list", edit(shape, `"shape":128`), data, []string{norm, "invalid shape 128: not a list"}},
		{"shape overflow", edit(shape, `"shape":[4294967296,4294967296]`), data, []string{norm, "overflows"}},
		{"shape above int64", edit(shape, `"shape":[18446744073709551615]`), data, []string{norm, "overflows"}},
		{"shape above uint64", edit(shape, `"shape":[18446744073709551616]`), data, []string{norm, "not a natural number"}},
		{"wrong shape", edit(shape, `"shape":[7]`), data, []string{norm, "shape [7] of BF16 needs 14 bytes"}},
		{"reversed", edit(offsets, fmt.Sprintf("[%d,%d]", end, begin)), data, []string{norm, "end before they begin"}},
		{"three offsets", edit(offsets, "[1,2,3]"), data, []string{norm, "invalid data_offsets", "not 2 numbers"}},
		{"beyond any file", edit(offsets, fmt.Sprintf("[%d,%d]", uint64(math.MaxUint64-uint64(end-begin)), uint64(math.MaxUint64))), data, []string{norm, "lie outside of any file"}},
		{"overlap", edit(offsets, fmt.Sprintf("[0,%d]", end-begin)), data, []string{"overlaps tensor", "0 to "}},
		{"shifted", edit(offsets, fmt.Sprintf("[%d,%d]", begin+2, end+2)), data, []string{norm, "2 bytes belong to no tensor"}},
		{"metadata no strings", replace(t, header, `"format":"pt"`, `"format":1`), data, []string{"__metadata__", `"format" is not a string`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			openFails(t, fstest.MapFS{modelFile: file(c.header, c.data)}, append(c.want, modelFile)...)
		})
	}
}

// TestHeaderLength damages the eight bytes before the header.
func TestHeaderLength(t *testing.T) {
	header, data := tinyFile(t)
	whole := file(header, data).Data
	for n, want := range map[uint64]string{
		uint64(len(whole)):         fmt.Sprintf("header length %d exceeds the file of %d bytes", len(whole), len(whole)),
		uint64(len(whole)) - 7:     "exceeds the file",
		math.MaxUint64:             "exceeds the limit",
		1 << 62:                    "header length 4611686018427387904 exceeds the limit",
		maxHeader + 1:              "header length 100000001 exceeds the limit",
		uint64(len(header)) - 1:    "1 at the end belong to no tensor",
		uint64(len(header)) + 1000: "header is not valid JSON",
	} {
		b := append([]byte(nil), whole...)
		binary.LittleEndian.PutUint64(b, n)
		_, err := Open(fstest.MapFS{modelFile: {Data: b}})
		wantError(t, err, want)
	}
	for _, size := range []int{0, 1, 7, 8, 9} {
		_, err := Open(fstest.MapFS{modelFile: {Data: whole[:size]}})
		wantError(t, err, modelFile)
	}
}

// split is the tiny model dealt out to two shards with an index.
func split(t *testing.T) fstest.MapFS {
	t.Helper()
	m, err := tinyShards()
	if err != nil {
		t.Fatal(err)
	}
	return maps.Clone(m)
}

var tinyShards = sync.OnceValues(func() (fstest.MapFS, error) {
	b, err := tiny()
	if err != nil {
		return nil, err
	}
	ts, err := readHeader(modelFile, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	var headers [2][]string
	var parts [2][]byte
	var where []string
	for i, x := range ts {
		p := i * 2 / len(ts)
		begin := len(parts[p])
		parts[p] = append(parts[p], b[x.Off:x.Off+x.Size]...)
		dims := strings.ReplaceAll(fmt.Sprint(x.Shape), " ", ",")
		headers[p] = append(headers[p], fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, x.Name, x.DType, dims, begin, len(parts[p])))
		where = append(where, fmt.Sprintf("%q:%q", x.Name, []string{shardOne, shardTwo}[p]))
	}
	return fstest.MapFS{
		shardOne:  file("{"+strings.Join(headers[0], ",")+"}", parts[0]),
		shardTwo:  file("{"+strings.Join(headers[1], ",")+"}", parts[1]),
		indexName: {Data: []byte(`{"metadata":{"total_size":1},"weight_map":{` + strings.Join(where, ",") + `}}`)},
	}, nil
})

// openFails wants a message with all parts.
func openFails(t *testing.T, fsys fs.FS, parts ...string) {
	t.Helper()
	c, err := Open(fsys)
	if err == nil {
		c.Close()
		t.Fatal("opened")
	}
	wantError(t, err, parts...)
}

// TestDamagedShards breaks the agreement of index and shards.
func TestDamagedShards(t *testing.T) {
	index := func(old, with string) func(*testing.T, fstest.MapFS) {
		return func(t *testing.T, m fstest.MapFS) {
			m[indexName] = &fstest.MapFile{Data: []byte(replace(t, string(m[indexName].Data), old, with))}
		}
	}
	remove := func(names ...string) func(*testing.T, fstest.MapFS) {
		return func(_ *testing.T, m fstest.MapFS) {
			for _, n := range names {
				delete(m, n)
			}
		}
	}
	set := func(name, text string) func(*testing.T, fstest.MapFS) {
		return func(_ *testing.T, m fstest.MapFS) { m[name] = &fstest.MapFile{Data: []byte(text)} }
	}
	owner := `"` + norm + `":"` + shardTwo + `"`
	cases := []struct {
		name   string
		damage func(*testing.T, fstest.MapFS)
		want   []string
	}{
		{"missing shard", remove(shardTwo), []string{indexName, "missing shard " + shardTwo, " of "}},
		{"both missing", remove(shardOne, shardTwo), []string{shardOne + ", " + shardTwo}},
		{"missing, no index", remove(shardOne, indexName), []string{shardOne, "missing shard"}},
		{"nothing", remove(shardOne, shardTwo, indexName), []string{"holds no weights"}},
		{"no weight_map", index(`"weight_map"`, `"weights"`), []string{indexName, "no weight_map"}},
		{"weight_map no object", set(indexName, `{"weight_map":3}`), []string{"weight_map is 3, not an object"}},
		{"weight_map empty", set(indexName, `{"weight_map":{}}`), []string{"weight_map is empty"}},
		{"not JSON", set(indexName, `{"weight_map":{`), []string{indexName, "not valid JSON"}},
		{"empty index", set(indexName, ``), []string{indexName, "not valid JSON"}},
		{"LFS index", set(indexName, "version https://git-lfs.github.com/spec/v1\nsize 5\n"), []string{indexName, "git-lfs pointer", "5 bytes"}},
		{"LFS shard", set(shardOne, "version https://git-lfs.github.com/spec/v1\nsize 5\n"), []string{shardOne, "git-lfs pointer"}},
		{"extra name", index(owner, owner+`,"x":"`+shardOne+`"`), []string{`"x"`, "is in no shard", shardOne}},
		{"unlisted", index(","+owner, ""), []string{norm, "not in " + indexName}},
		{"wrong shard", index(owner, `"`+norm+`":"`+shardOne+`"`), []string{norm, "should be in " + shardOne + " but is in " + shardTwo}},
		{"name twice", index(owner, owner+","+owner), []string{norm, "given twice"}},
		{"number for shard", index(owner, `"`+norm+`":2`), []string{norm, "shard name 2 is not a string"}},
		{"upwards", index(owner, `"`+norm+`":"../m.safetensors"`), []string{`"../m.safetensors" leaves the model directory`}},
		{"hidden upwards", index(owner, `"`+norm+`":"a/../../m.safetensors"`), []string{"leaves the model directory"}},
		{"absolute", index(owner, `"`+norm+`":"/m.safetensors"`), []string{"leaves the model directory"}},
		{"backslashes", index(owner, `"`+norm+`":"..\\m.safetensors"`), []string{"leaves the model directory"}},
		{"drive", index(owner, `"`+norm+`":"c:m.safetensors"`), []string{"not a plain file name"}},
		{"dot", index(owner, `"`+norm+`":"."`), []string{"not a plain file name"}},
		{"directory", func(t *testing.T, m fstest.MapFS) { m[shardOne] = &fstest.MapFile{Mode: fs.ModeDir | 0o755} }, []string{shardOne, "not a regular file"}},
		{"shard twice", func(t *testing.T, m fstest.MapFS) { m[shardTwo] = m[shardOne] }, []string{"is in two shards"}},
		{"truncated shard", func(t *testing.T, m fstest.MapFS) {
			m[shardTwo] = &fstest.MapFile{Data: m[shardTwo].Data[:len(m[shardTwo].Data)-1]}
		}, []string{shardTwo, "1 are missing"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := split(t)
			c.damage(t, m)
			openFails(t, m, c.want...)
		})
	}
}
