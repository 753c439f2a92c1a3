package gguf

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// liar is a disk that stores other bytes than it was given.
type liar struct {
	osDisk
	at int64 // offset of the byte that is wrong
}

func (d liar) open(name string) (partFile, bool, error) {
	f, created, err := d.osDisk.open(name)
	return &lyingFile{partFile: f, at: d.at}, created, err
}

type lyingFile struct {
	partFile
	off, at int64
}

func (f *lyingFile) Write(p []byte) (int, error) {
	if i := f.at - f.off; i >= 0 && i < int64(len(p)) {
		p = append([]byte(nil), p...)
		p[i] ^= 1
	}
	n, err := f.partFile.Write(p)
	f.off += int64(n)
	return n, err
}

// What a disk did to a file is found before the file gets its name; without Verify nobody looks.
func TestVerify(t *testing.T) {
	plan, err := Layout(rows{n: 2}.Metadata(), rows{n: 2}.Tensors())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		at   int64
		opts FileOptions
		want string
	}{
		{"sound", -1, FileOptions{Verify: true}, ""},
		{"a tensor, nobody looks", plan.DataOffset + 5, FileOptions{}, ""},
		{"first tensor", plan.DataOffset + 5, FileOptions{Verify: true}, `tensor "t0" has SHA-256`},
		{"last byte", plan.Size - 1, FileOptions{Verify: true}, `tensor "t1" has SHA-256`},
		{"value of a key", 24 + 8 + 20 + 4 + 8, FileOptions{Verify: true}, "key general.architecture is different"},
		{"name of a tensor", 24 + 8 + 20 + 4 + 8 + 5 + 8, FileOptions{Verify: true}, `tensor "t0" F32`},
		{"magic", 0, FileOptions{Verify: true}, "not a GGUF file"},
		{"a shard", plan.DataOffset + 5, FileOptions{Verify: true, SplitMaxTensors: 1, MetadataFirst: true}, `SHA-256`},
	} {
		dir := t.TempDir()
		var done, total int64
		c.opts.Progress = func(d, n int64) { done, total = d, n }
		_, err := writeFile(context.Background(), liar{at: c.at}, filepath.Join(dir, "x.gguf"), rows{n: 2}, c.opts)
		left, _ := os.ReadDir(dir)
		if c.want == "" {
			if err != nil || len(left) != 1 || done != total {
				t.Errorf("%s: %v, %d files, progress %d of %d", c.name, err, len(left), done, total)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || len(left) != 0 {
			t.Errorf("%s: %v, want %s; %d files", c.name, err, c.want, len(left))
		}
	}
}

// One shard of a set opens alone, whatever became of the others, with the keys that say where it belongs.
func TestOpenShard(t *testing.T) {
	for i := range 3 {
		f, err := OpenShard(ShardName("testdata/split", i, 3))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		no, err := f.Metadata().Int(keySplitNo)
		if err != nil || no != int64(i) || len(f.Shards()) != 1 || len(f.Tensors()) == 8 {
			t.Errorf("shard %d: no %d, %v, %d tensors", i, no, err, len(f.Tensors()))
		}
	}
	if _, err := OpenShard("testdata/make.py"); err == nil {
		t.Error("opened a file that is no GGUF")
	}
}
