package safetensors

import (
	"slices"
	"testing"
	"testing/fstest"
)

// TestOpenFiles reads the named files alone, in the order of their names.
func TestOpenFiles(t *testing.T) {
	m := split(t)
	m["weights.bin.safetensors"] = m[shardOne]
	c, err := OpenFiles(m, []string{shardTwo, shardOne})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	checkReadable(t, c)
	if c.Shards()[0].Name != shardOne || !slices.Equal(c.Strays(), []string{"weights.bin.safetensors"}) {
		t.Errorf("%v, strays %q", c.Shards(), c.Strays())
	}
	one, err := OpenFiles(m, []string{"weights.bin.safetensors"})
	if err != nil || len(one.Shards()) != 1 || len(one.Tensors()) >= len(c.Tensors()) {
		t.Fatalf("%v", err)
	}
	one.Close()
	if none, err := OpenFiles(m, nil); err != nil || len(none.Tensors()) != 0 {
		t.Errorf("no files: %v", err)
	}
	_, err = OpenFiles(m, []string{shardOne, shardOne})
	wantError(t, err, shardOne, "given twice")
	_, err = OpenFiles(m, []string{shardOne, "weights.bin.safetensors"})
	wantError(t, err, "is in two shards")
	_, err = OpenFiles(m, []string{"absent.safetensors"})
	wantError(t, err, "absent.safetensors")
}

// TestOpenPresent lists what the missing shards should hold, and checks the others as ever.
func TestOpenPresent(t *testing.T) {
	whole, err := Open(split(t))
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	m := split(t)
	delete(m, shardTwo)
	c, absent, err := OpenPresent(m)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(c.Tensors())+len(absent) != len(whole.Tensors()) || len(c.Shards()) != 1 || !slices.Contains(absent, norm) {
		t.Errorf("%d tensors, %d absent", len(c.Tensors()), len(absent))
	}
	for _, name := range absent {
		if x, _ := whole.Tensor(name); x.Shard != shardTwo {
			t.Errorf("%s is in %s", name, x.Shard)
		}
	}
	if c, absent, err := OpenPresent(split(t)); err != nil || len(absent) != 0 || len(c.Shards()) != 2 {
		t.Errorf("all there: %q, %v", absent, err)
	}
	m[shardOne] = &fstest.MapFile{Data: m[shardOne].Data[:100]}
	_, _, err = OpenPresent(m)
	wantError(t, err, shardOne)
	delete(m, indexName)
	_, _, err = OpenPresent(m)
	wantError(t, err, indexName, "no such file")
}
