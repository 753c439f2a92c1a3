package expert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/testdata"
)

func openFile(t *testing.T, name string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// write writes src to a file of its own and opens that.
func write(t *testing.T, src gguf.Source, opts gguf.FileOptions) *gguf.File {
	t.Helper()
	files, err := gguf.WriteFile(context.Background(), filepath.Join(t.TempDir(), "x.gguf"), src, opts)
	if err != nil {
		t.Fatal(err)
	}
	return openFile(t, files[0].Path)
}

func inspect(t *testing.T, f *gguf.File, opts expert.InspectOptions) *expert.Document {
	t.Helper()
	d, err := expert.Inspect(context.Background(), f, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Tagging a file changes no tensor byte: hashes before and after are the same.
func TestTagKeepsTensors(t *testing.T) {
	f := openFile(t, testdata.Path("bad/_good.gguf"))
	tagged, _, err := expert.Tag(f)
	if err != nil {
		t.Fatal(err)
	}
	g := write(t, tagged, gguf.FileOptions{})
	var done, total int64
	before := inspect(t, f, expert.InspectOptions{Hash: true})
	after := inspect(t, g, expert.InspectOptions{Hash: true, Progress: func(d, n int64) { done, total = d, n }})
	if before.Marked || !after.Marked || after.Problem != "" {
		t.Errorf("marked %v before, %v after, %s", before.Marked, after.Marked, after.Problem)
	}
	if len(before.Tensors) != 13 {
		t.Errorf("%d tensors", len(before.Tensors))
	}
	for i := range before.Tensors {
		if len(before.Tensors[i].SHA256) != 64 || !equal(before.Tensors[i], after.Tensors[i]) {
			t.Errorf("%+v\n%+v", before.Tensors[i], after.Tensors[i])
		}
	}
	if done == 0 || done != total {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	d, err := gguf.Diff(context.Background(), f, g)
	if err != nil || d.Count(gguf.OnlyInB) != 6 || d.Count(gguf.Same) != len(d.Metadata)+len(d.Tensors)-6 {
		t.Errorf("%+v, %v", d, err) // names, layers, count, used_count, tensor_count, bytes
	}
}

func equal(a, b expert.Tensor) bool {
	return a.Name == b.Name && a.Type == b.Type && a.Shape.Equal(b.Shape) && a.Offset == b.Offset && a.Bytes == b.Bytes && a.Role == b.Role && a.SHA256 == b.SHA256
}

// The document's JSON has the keys that are promised; they are only ever added to.
func TestDocumentJSON(t *testing.T) {
	path := testdata.Path("bad/_good.gguf")
	d := inspect(t, openFile(t, path), expert.InspectOptions{})
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"version": 3.0, "alignment": 32.0, "data_offset": 8640.0, "bytes": 66112.0, "marked": false} {
		if doc[key] != want {
			t.Errorf("%s is %v, want %v", key, doc[key], want)
		}
	}
	for _, want := range []string{
		`{"key":"general.architecture","type":"STRING","value":"llama"}`,
		`{"key":"llama.expert_count","type":"UINT32","value":2}`,
		`{"name":"output.weight","type":"F16","shape":[32,300],"offset":0,"bytes":19200,"role":"output"}`,
		`"experts":{"count":2,"used":1,"tensors":3,"bytes":12288,"layers":[0],"names":[`,
	} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s is not in the document", want)
		}
	}
	if _, ok := doc["shards"]; ok {
		t.Error("shards of a file that is not split")
	}
}

func TestInspectSet(t *testing.T) {
	f := openFile(t, testdata.Path("bad/_good.gguf"))
	d := inspect(t, write(t, f, gguf.FileOptions{SplitMaxTensors: 5}), expert.InspectOptions{})
	if len(d.Shards) != 3 || d.Tensors[4].Shard != 0 || d.Tensors[5].Shard != 1 || d.Tensors[5].Offset != 0 || d.Shards[2].Tensors != 3 {
		t.Errorf("%+v", d.Shards)
	}
	if d.Bytes != d.Shards[0].Bytes+d.Shards[1].Bytes+d.Shards[2].Bytes {
		t.Errorf("%d bytes", d.Bytes)
	}
}

// Experts that cannot be believed are shown as a problem; the rest of the document stands.
func TestInspectProblem(t *testing.T) {
	f := openFile(t, testdata.Path("bad/_good.gguf"))
	md := f.Metadata().Clone()
	md.Set("llama.expert_count", uint32(9))
	d := inspect(t, write(t, gguf.WithMetadata(f, md), gguf.FileOptions{}), expert.InspectOptions{})
	if !strings.Contains(d.Problem, "llama.expert_count is 9") || d.Experts.Count != 0 || len(d.Tensors) != 13 {
		t.Errorf("%q, %+v", d.Problem, d.Experts)
	}
	tagged, _, err := expert.Tag(f)
	if err != nil {
		t.Fatal(err)
	}
	tagged.Metadata().Set(expert.KeyBytes, uint64(7))
	d = inspect(t, write(t, tagged, gguf.FileOptions{}), expert.InspectOptions{})
	if !strings.Contains(d.Problem, "moeconv.expert.bytes is 7") || d.Marked || d.Experts.Count != 2 {
		t.Errorf("%q, %v, %+v", d.Problem, d.Marked, d.Experts)
	}
}

func TestInspectUnreadable(t *testing.T) {
	b, err := os.ReadFile(testdata.Path("bad/_good.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, name)
	if err := os.Truncate(name, 9000); err != nil {
		t.Fatal(err)
	}
	if _, err := expert.Inspect(context.Background(), f, expert.InspectOptions{Hash: true}); err == nil {
		t.Error("a file that shrank was hashed")
	}
}
