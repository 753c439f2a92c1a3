package gguf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

func TestShardName(t *testing.T) {
	if got := gguf.ShardName("a/b-c", 1, 12); got != "a/b-c-00002-of-00012.gguf" {
		t.Error(got)
	}
	for name, want := range map[string]string{
		"dir/x-00002-of-00003.gguf": "dir/x 1 3 true",
		"-00001-of-00001.gguf":      " 0 1 true",
		"x-00000-of-00003.gguf":     " 0 0 false",
		"x-00004-of-00003.gguf":     " 0 0 false",
		"x-1-of-3.gguf":             " 0 0 false",
		"x-00001-of-00003.bin":      " 0 0 false",
		"x.gguf":                    " 0 0 false",
	} {
		prefix, i, n, ok := gguf.ParseShardName(name)
		if got := fmt.Sprint(prefix, " ", i, " ", n, " ", ok); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A set that gguf-py wrote, opened by any of its shards, is the file it would have been without splitting.
func TestOpenSet(t *testing.T) {
	whole := open(t, "testdata/whole.gguf")
	for i := range 3 {
		set := open(t, gguf.ShardName("testdata/split", i, 3))
		diff, err := gguf.Diff(context.Background(), whole, set)
		if err != nil || !diff.Same() {
			t.Errorf("shard %d: %+v, %v", i, diff, err)
		}
		if len(set.Shards()) != 3 || set.Size() != 4224+1856+704 || set.ShardOf(7) != 2 || set.Offset(6) != 0 || set.Offset(7) == 0 {
			t.Errorf("shard %d: %+v", i, set.Shards())
		}
		var buf bytes.Buffer
		if err := gguf.Write(context.Background(), &buf, set, gguf.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(buf.Bytes(), readFile(t, "testdata/whole.gguf")) {
			t.Errorf("shard %d: merged, the set differs from the whole", i)
		}
	}
}

// copySet copies the set of testdata to a folder of its own.
func copySet(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 3 {
		name := gguf.ShardName("split", i, 3)
		if err := os.WriteFile(filepath.Join(dir, name), readFile(t, filepath.Join("testdata", name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "split")
}

// edit replaces bytes of a file, which must be there.
func edit(t *testing.T, name string, from, to string) {
	t.Helper()
	b := readFile(t, name)
	if bytes.Count(b, []byte(from)) != 1 || len(from) != len(to) {
		t.Fatalf("%s: %q is there %d times", name, from, bytes.Count(b, []byte(from)))
	}
	if err := os.WriteFile(name, bytes.Replace(b, []byte(from), []byte(to), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestBadSets(t *testing.T) {
	shard := func(prefix string, i int) string { return gguf.ShardName(prefix, i, 3) }
	for _, c := range []struct {
		name   string
		damage func(prefix string)
		open   int
		want   string
	}{
		{"last missing", func(p string) { os.Remove(shard(p, 2)) }, 0, "split-00003-of-00003.gguf"},
		{"first missing", func(p string) { os.Remove(shard(p, 0)) }, 1, "split-00001-of-00003.gguf"},
		{"one damaged", func(p string) { os.Truncate(shard(p, 1), 1500) }, 0, "split-00002-of-00003.gguf: tensor"},
		{"two exchanged", func(p string) {
			rename(t, shard(p, 1), p)
			rename(t, shard(p, 2), shard(p, 1))
			rename(t, p, shard(p, 2))
		}, 0, "split-00002-of-00003.gguf: is named as shard 2 of 3 but its split.no is 2"},
		{"count of another set", func(p string) {
			edit(t, shard(p, 2), "split.count\x02\x00\x00\x00\x03", "split.count\x02\x00\x00\x00\x04")
		}, 0, "split-00003-of-00003.gguf: split.count is 4, other shards say 3"},
		{"opened by the odd one", func(p string) {
			edit(t, shard(p, 2), "split.count\x02\x00\x00\x00\x03", "split.count\x02\x00\x00\x00\x04")
		}, 2, "named as one of 3 shards but split.count is 4"},
		{"no number", func(p string) { edit(t, shard(p, 1), "split.no", "split.on") }, 0, "split-00002-of-00003.gguf: key split.no is missing"},
		{"no count", func(p string) { edit(t, shard(p, 1), "split.count\x02", "split.cuont\x02") }, 0, "split-00002-of-00003.gguf: key split.count is missing"},
		{"tensors missing", func(p string) {
			edit(t, shard(p, 1), "split.tensors.count\x05\x00\x00\x00\x08", "split.tensors.count\x05\x00\x00\x00\x09")
		}, 0, "split-00002-of-00003.gguf: split.tensors.count is 9 but the 3 shards hold 8 tensors"},
		{"tensor twice", func(p string) { edit(t, shard(p, 1), "blk.1.attn_norm.weight", "blk.0.attn_norm.weight") }, 0, `split-00002-of-00003.gguf: tensor "blk.0.attn_norm.weight" is also in`},
		{"no architecture", func(p string) { edit(t, shard(p, 0), "general.architecture", "general.architecturf") }, 0, "split-00001-of-00003.gguf: key general.architecture is missing"},
	} {
		prefix := copySet(t)
		c.damage(prefix)
		f, err := gguf.Open(shard(prefix, c.open))
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestMissingShardIsNotExist(t *testing.T) {
	prefix := copySet(t)
	os.Remove(gguf.ShardName(prefix, 1, 3))
	if _, err := gguf.Open(gguf.ShardName(prefix, 0, 3)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestShardWithOtherName(t *testing.T) {
	prefix := copySet(t)
	rename(t, gguf.ShardName(prefix, 0, 3), prefix+".gguf")
	if _, err := gguf.Open(prefix + ".gguf"); err == nil || !strings.Contains(err.Error(), "is one of 3 shards (split.count) but is not named like one") {
		t.Error(err)
	}
}

// pattern is a Source of seven I8 tensors, the one that make.py gives to llama-gguf-split --split-max-size.
type pattern struct{}

func (pattern) Metadata() *gguf.Metadata {
	md := &gguf.Metadata{}
	md.Set("general.architecture", "llama")
	return md
}

func (pattern) Tensors() []gguf.TensorInfo {
	var ts []gguf.TensorInfo
	for i := range 7 {
		ts = append(ts, gguf.TensorInfo{Name: fmt.Sprintf("t%d", i), Type: gguf.I8, Shape: gguf.Shape{333333}})
	}
	return ts
}

func (p pattern) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(p.Tensors(), tensor, row, n, dst); err != nil {
		return err
	}
	for i := range dst {
		dst[i] = byte(i*7%251 - 125 + tensor%2)
	}
	return nil
}

// Sets equal those of gguf-py and llama-gguf-split byte for byte: cuts, keys, names.
func TestWriteSet(t *testing.T) {
	var golden map[string][]struct {
		Bytes  int64
		SHA256 string
	}
	if err := json.Unmarshal(readFile(t, "testdata/splits.json"), &golden); err != nil {
		t.Fatal(err)
	}
	whole := open(t, "testdata/whole.gguf")
	cases := map[string]struct {
		src  gguf.Source
		opts gguf.FileOptions
	}{
		"gguf-py split_max_tensors=3":                                    {whole, gguf.FileOptions{SplitMaxTensors: 3}},
		"gguf-py split_max_size=1000":                                    {whole, gguf.FileOptions{SplitMaxSize: 1000}},
		"gguf-py split_max_size=2700":                                    {whole, gguf.FileOptions{SplitMaxSize: 2700}},
		"gguf-py split_max_size=3000":                                    {whole, gguf.FileOptions{SplitMaxSize: 3000}},
		"gguf-py split_max_tensors=3 small_first_shard":                  {whole, gguf.FileOptions{SplitMaxTensors: 3, MetadataFirst: true}},
		"llama-gguf-split --split-max-tensors 3":                         {whole, gguf.FileOptions{SplitMaxTensors: 3, SplitStyle: gguf.SplitAsTool}},
		"llama-gguf-split --split-max-tensors 4":                         {whole, gguf.FileOptions{SplitMaxTensors: 4, SplitStyle: gguf.SplitAsTool}},
		"llama-gguf-split --split-max-tensors 3 --no-tensor-first-split": {whole, gguf.FileOptions{SplitMaxTensors: 3, MetadataFirst: true, SplitStyle: gguf.SplitAsTool}},
		"llama-gguf-split --split-max-tensors 100":                       {whole, gguf.FileOptions{SplitMaxTensors: 100, Set: true, SplitStyle: gguf.SplitAsTool}},
		"llama-gguf-split --split-max-size 1M":                           {pattern{}, gguf.FileOptions{SplitMaxSize: 1_000_000, SplitStyle: gguf.SplitAsTool}},
	}
	delete(golden, "llama-gguf-split --merge") // TestMergeAsTool
	if len(cases) != len(golden) {
		t.Errorf("%d cases for %d goldens", len(cases), len(golden))
	}
	for name, c := range cases {
		dir := t.TempDir()
		var last, total int64
		c.opts.Progress = func(done, all int64) {
			if done < last {
				t.Errorf("%s: progress went back from %d to %d", name, last, done)
			}
			last, total = done, all
		}
		got, err := gguf.WriteFile(context.Background(), filepath.Join(dir, "out.gguf"), c.src, c.opts)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := golden[name]
		if len(got) != len(want) {
			t.Errorf("%s: %d shards, want %d", name, len(got), len(want))
			continue
		}
		var sum int64
		for i, w := range want {
			path := filepath.Join(dir, gguf.ShardName("out", i, len(want)))
			if got[i] != (gguf.Written{Path: path, Bytes: w.Bytes, SHA256: w.SHA256}) {
				t.Errorf("%s: shard %d: %+v, want %+v", name, i, got[i], w)
			}
			sum += w.Bytes
		}
		if last != sum || total != sum {
			t.Errorf("%s: progress ended at %d of %d, want %d", name, last, total, sum)
		}
		if left := list(t, dir); len(left) != len(want) {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
}

// Limits that are never reached make one file, with the name that was asked for.
func TestWriteSetOfOne(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.gguf")
	got, err := gguf.WriteFile(context.Background(), out, open(t, "testdata/whole.gguf"), gguf.FileOptions{SplitMaxSize: 1e6, SplitMaxTensors: 100})
	if err != nil || len(got) != 1 || got[0].Path != out || got[0].SHA256 != sum(readFile(t, "testdata/whole.gguf")) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A file that llama-gguf-split merged keeps split.count = 0; it is no set.
func TestMergedFile(t *testing.T) {
	whole := open(t, "testdata/whole.gguf")
	md := whole.Metadata().Clone()
	md.Set("split.no", uint16(0))
	md.Set("split.tensors.count", int32(8))
	md.Set("split.count", uint16(0))
	var buf bytes.Buffer
	if err := gguf.Write(context.Background(), &buf, gguf.WithMetadata(whole, md), gguf.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := openBytes(t, buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if f.Metadata().Len() != md.Len() {
		t.Error("keys of a merged file are gone")
	}
	// Split again, the old keys must not stay.
	dir := t.TempDir()
	got, err := gguf.WriteFile(context.Background(), filepath.Join(dir, "split.gguf"), f, gguf.FileOptions{SplitMaxTensors: 3})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range got {
		if w.SHA256 != sum(readFile(t, gguf.ShardName("testdata/split", i, 3))) {
			t.Errorf("shard %d differs", i)
		}
	}
}

// With the keys that llama-gguf-split leaves behind, a merged set is that tool's file.
func TestMergeAsTool(t *testing.T) {
	var golden map[string][]struct{ SHA256 string }
	if err := json.Unmarshal(readFile(t, "testdata/splits.json"), &golden); err != nil {
		t.Fatal(err)
	}
	set := open(t, gguf.ShardName("testdata/split", 0, 3))
	var buf bytes.Buffer
	if err := gguf.Write(context.Background(), &buf, gguf.WithMetadata(set, gguf.AsMerged(set.Metadata(), 8)), gguf.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if want := golden["llama-gguf-split --merge"]; len(want) != 1 || sum(buf.Bytes()) != want[0].SHA256 {
		t.Error("merged, the set differs from llama-gguf-split's file")
	}
}

// Shards after the first may have another alignment than it: --keep-split writes no key for it there. Places to cut that
// are no places are errors.
func TestSplitAt(t *testing.T) {
	whole := open(t, "testdata/whole.gguf")
	md := whole.Metadata().Clone()
	md.Set("general.alignment", uint32(4096))
	src := gguf.WithMetadata(whole, md)
	name := filepath.Join(t.TempDir(), "x.gguf")
	files, err := gguf.WriteFile(context.Background(), name, src, gguf.FileOptions{SplitAt: []int{3, 3, 8}, SplitStyle: gguf.SplitAsQuantizer})
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	set := open(t, files[0].Path)
	for i := range whole.Tensors() {
		a, errA := gguf.TensorSHA256(context.Background(), whole, i)
		b, errB := gguf.TensorSHA256(context.Background(), set, i)
		if a != b || errA != nil || errB != nil {
			t.Errorf("tensor %d differs: %v, %v", i, errA, errB)
		}
	}
	for _, at := range [][]int{{}, {4}, {9}, {5, 3, 8}} {
		if _, err := gguf.Parts(name, src, gguf.FileOptions{SplitAt: at}); err == nil {
			t.Errorf("cut at %d", at)
		}
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Every value type that gguf-py writes is read as the Go type of that name, and written again as the same bytes.
func TestValues(t *testing.T) {
	f := open(t, "testdata/values.gguf")
	if f.Alignment() != 64 || f.DataOffset()%64 != 0 || f.Offset(1) != 64 {
		t.Errorf("alignment %d, data at %d, second tensor at %d", f.Alignment(), f.DataOffset(), f.Offset(1))
	}
	want := map[string]any{
		"u8": uint8(200), "i8": int8(-100), "u16": uint16(60000), "i16": int16(-30000), "u32": uint32(4000000000), "i32": int32(-2000000000),
		"f32": float32(0.1), "yes": true, "no": false, "text": "naïve", "u64": uint64(1<<64 - 1), "i64": int64(-1 << 63), "f64": 0.1,
		"array.UINT8": []uint8{1, 255}, "array.INT8": []int8{-1, 127}, "array.UINT16": []uint16{1, 65535}, "array.INT16": []int16{-1, 32767},
		"array.UINT32": []uint32{1, 1<<32 - 1}, "array.INT32": []int32{-1, 1<<31 - 1}, "array.BOOL": []bool{true, false},
		"array.STRING": []string{"", "x"}, "array.UINT64": []uint64{1, 1<<64 - 1}, "array.INT64": []int64{-1, 1<<63 - 1},
		"nested.strings": gguf.Array{[]string{"a", "b"}, []string{"c"}},
		"nested.deep":    gguf.Array{gguf.Array{[]float32{1.5}, []float32{2.5, 3.5}}, gguf.Array{[]float32{4.5}}},
		"nested":         gguf.Array{[]int32{1, 2}, []int32{3}, []int32{4, 5, 6}},
	}
	for key, w := range want {
		if got, ok := f.Metadata().Get(key); !ok || !reflect.DeepEqual(got, w) {
			t.Errorf("%s: %T %v, want %T %v", key, got, got, w, w)
		}
	}
	if v, err := gguf.Value[float32](f.Metadata(), "nan"); err != nil || v == v {
		t.Errorf("nan: %v, %v", v, err)
	}
	var buf bytes.Buffer
	if err := gguf.Write(context.Background(), &buf, f, gguf.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), readFile(t, "testdata/values.gguf")) {
		t.Error("written again, the file differs")
	}
}
