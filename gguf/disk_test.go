package gguf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// rows is a Source of n tensors whose bytes are their number; read is called first where it is set.
type rows struct {
	n    int
	typ  Type
	read func(ctx context.Context, tensor, row int) error
}

func (s rows) Metadata() *Metadata {
	md := &Metadata{}
	md.Set("general.architecture", "llama")
	return md
}

func (s rows) Tensors() []TensorInfo {
	ts := make([]TensorInfo, s.n)
	for i := range ts {
		ts[i] = TensorInfo{fmt.Sprintf("t%d", i), s.typ, Shape{1 << 18, 6}} // a slab holds four of the six rows
	}
	return ts
}

func (s rows) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := CheckRows(s.Tensors(), tensor, row, n, dst); err != nil {
		return err
	}
	if s.read != nil {
		if err := s.read(ctx, tensor, row); err != nil {
			return err
		}
	}
	for i := range dst {
		dst[i] = byte(tensor)
	}
	return nil
}

// brokenDisk is the real disk with faults.
type brokenDisk struct {
	osDisk
	room     int64 // bytes that may be written; what free tells, if tell
	tell     bool
	fail     string // name of the operation that fails
	failName string // only for files whose name contains this
}

var errBroken = errors.New("broken")

func (d *brokenDisk) broken(op, name string) bool {
	return d.fail == op && strings.Contains(name, d.failName)
}

func (d *brokenDisk) free(dir string) (int64, bool) {
	if d.tell {
		return d.room, true
	}
	return 0, false
}

func (d *brokenDisk) open(name string) (partFile, bool, error) {
	if d.broken("open", name) {
		return nil, false, errBroken
	}
	f, created, err := d.osDisk.open(name)
	return &brokenFile{f, d, name}, created, err
}

func (d *brokenDisk) rename(from, to string) error {
	if d.broken("rename", from) {
		return errBroken
	}
	return d.osDisk.rename(from, to)
}

func (d *brokenDisk) syncDir(dir string) error {
	if d.broken("syncDir", dir) {
		return errBroken
	}
	return d.osDisk.syncDir(dir)
}

type brokenFile struct {
	partFile
	d    *brokenDisk
	name string
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if atomic.AddInt64(&f.d.room, -int64(len(p))) < 0 {
		return 0, &os.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return f.partFile.Write(p)
}

func (f *brokenFile) Sync() error {
	if f.d.broken("sync", f.name) {
		return errBroken
	}
	return f.partFile.Sync()
}

func (f *brokenFile) Close() error {
	err := f.partFile.Close()
	if f.d.broken("close", f.name) {
		return errBroken
	}
	return err
}

const plenty = 1 << 40

// Whatever fails, nothing new is left, and an old file of the same name keeps its contents.
func TestWriteFileFails(t *testing.T) {
	set := FileOptions{SplitMaxTensors: 1}
	for _, c := range []struct {
		name string
		disk brokenDisk
		opts FileOptions
		want string
	}{
		{"full before", brokenDisk{room: 1000, tell: true}, FileOptions{}, "the output needs"},
		{"full while writing", brokenDisk{room: 9 << 20}, FileOptions{}, "the output needs"},
		{"full while writing the second shard", brokenDisk{room: 9 << 20}, set, "the output needs"},
		{"open", brokenDisk{room: plenty, fail: "open"}, FileOptions{}, "broken"},
		{"open the second shard", brokenDisk{room: plenty, fail: "open", failName: "-00002-"}, set, "broken"},
		{"sync", brokenDisk{room: plenty, fail: "sync"}, FileOptions{}, "broken"},
		{"sync the last shard", brokenDisk{room: plenty, fail: "sync", failName: "-00003-"}, set, "broken"},
		{"rename", brokenDisk{room: plenty, fail: "rename"}, FileOptions{}, "broken"},
		{"rename the second shard", brokenDisk{room: plenty, fail: "rename", failName: "-00002-"}, set, "broken"},
	} {
		for _, old := range []bool{false, true} {
			dir := t.TempDir()
			out := filepath.Join(dir, "out.gguf")
			var kept []string
			if old {
				kept = []string{"out.gguf"}
				if c.opts.SplitMaxTensors > 0 {
					kept = []string{"out-00001-of-00003.gguf", "out-00003-of-00003.gguf"}
				}
				for _, k := range kept {
					if err := os.WriteFile(filepath.Join(dir, k), []byte("old"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			d, opts := c.disk, c.opts
			opts.Force = old
			_, err := writeFile(context.Background(), &d, out, rows{n: 3}, opts)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			checkLeft(t, c.name, dir, kept)
		}
	}
}

// checkLeft fails unless dir holds these files only, with their old contents.
func checkLeft(t *testing.T, name, dir string, kept []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(kept) {
		t.Errorf("%s: %v in the folder, want %v", name, entries, kept)
	}
	for _, k := range kept {
		if b, err := os.ReadFile(filepath.Join(dir, k)); string(b) != "old" {
			t.Errorf("%s: %s is %.20q now (%v)", name, k, b, err)
		}
	}
}

// The figures of a full disk are in the error, and a write's own error beneath.
func TestSpaceError(t *testing.T) {
	var space *SpaceError
	dir := t.TempDir()
	plan, err := Layout(rows{}.Metadata(), rows{n: 3}.Tensors())
	if err != nil {
		t.Fatal(err)
	}
	need := plan.Size
	_, err = writeFile(context.Background(), &brokenDisk{room: need - 1, tell: true}, dir+"/out.gguf", rows{n: 3}, FileOptions{})
	if !errors.As(err, &space) || space.Need != need || space.Free != need-1 || space.Dir != dir {
		t.Errorf("%#v", err)
	}
	if _, err := writeFile(context.Background(), &brokenDisk{room: need, tell: true}, dir+"/fits.gguf", rows{n: 3}, FileOptions{}); err != nil {
		t.Errorf("room to the byte: %v", err)
	}
	if _, err := writeFile(context.Background(), &brokenDisk{room: need - 1}, dir+"/out.gguf", rows{n: 3}, FileOptions{}); !errors.As(err, &space) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%#v", err)
	}
}

// Once all files have their names the output is there, even if the last step fails.
func TestWriteFileLateFailure(t *testing.T) {
	for _, op := range []string{"syncDir", "close"} {
		dir := t.TempDir()
		_, err := writeFile(context.Background(), &brokenDisk{room: plenty, fail: op}, dir+"/out.gguf", rows{n: 1}, FileOptions{})
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", op, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 || entries[0].Name() != "out.gguf" {
			t.Errorf("%s: %v, %v", op, entries, err)
		}
	}
}

// Errors of the source name the tensor; the first in file order is reported, whichever worker fails first.
func TestWriteSourceError(t *testing.T) {
	for range 5 {
		src := rows{n: 6, read: func(_ context.Context, tensor, row int) error {
			if tensor >= 2 && row == 0 {
				return fmt.Errorf("damage %d", tensor)
			}
			return nil
		}}
		dir := t.TempDir()
		_, err := WriteFile(context.Background(), dir+"/out.gguf", src, FileOptions{WriteOptions: WriteOptions{Workers: 4}})
		if err == nil || !strings.Contains(err.Error(), `tensor "t2", rows 0 to 4: damage 2`) {
			t.Fatal(err)
		}
		checkLeft(t, "source", dir, nil)
	}
}

// A cancelled context ends the write at once, leaves nothing and no goroutine that still reads.
func TestWriteCancelled(t *testing.T) {
	for _, at := range []int{0, 3, 5} {
		ctx, cancel := context.WithCancel(context.Background())
		reading, returned := make(chan struct{}, 100), false
		src := rows{n: 6, read: func(ctx context.Context, tensor, _ int) error {
			if returned {
				t.Error("the source is read after Write has returned")
			}
			if tensor == at {
				reading <- struct{}{}
				<-ctx.Done() // as a reader does that is waiting for a disk
				return ctx.Err()
			}
			return nil
		}}
		go func() {
			<-reading
			cancel()
		}()
		dir := t.TempDir()
		_, err := WriteFile(ctx, dir+"/out.gguf", src, FileOptions{SplitMaxTensors: 2})
		returned = true
		if !errors.Is(err, context.Canceled) {
			t.Errorf("at tensor %d: %v", at, err)
		}
		checkLeft(t, "cancelled", dir, nil)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	if _, err := WriteFile(ctx, dir+"/out.gguf", rows{n: 1}, FileOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	checkLeft(t, "cancelled before", dir, nil)
	if err := Write(ctx, io.Discard, rows{}, WriteOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, no tensors: %v", err)
	}
}

func TestWriteFileExists(t *testing.T) {
	dir := t.TempDir()
	second := filepath.Join(dir, "out-00002-of-00003.gguf")
	if err := os.WriteFile(second, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var exists *ExistsError
	_, err := WriteFile(context.Background(), dir+"/out.gguf", rows{n: 3}, FileOptions{SplitMaxTensors: 1})
	if !errors.As(err, &exists) || exists.Path != second {
		t.Errorf("%v", err)
	}
	checkLeft(t, "exists", dir, []string{"out-00002-of-00003.gguf"})
	if _, err := WriteFile(context.Background(), dir+"/out.gguf", rows{n: 3}, FileOptions{SplitMaxTensors: 1, Force: true}); err != nil {
		t.Errorf("with Force: %v", err)
	}
	f, err := Open(second)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Tensors()) != 3 || len(f.Shards()) != 3 {
		t.Errorf("%d tensors in %d shards", len(f.Tensors()), len(f.Shards()))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
}

// A part left by a process that died is overwritten; one that is being written is not.
func TestWriteFileParts(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out.gguf")
	if err := os.WriteFile(out+".part", make([]byte, 50<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := WriteFile(context.Background(), out, rows{n: 1}, FileOptions{})
	if err != nil || got[0].Bytes > 8<<20 {
		t.Fatalf("%+v, %v", got, err)
	}
	if st, err := os.Stat(out); err != nil || st.Size() != got[0].Bytes {
		t.Errorf("%v, %v", st, err)
	}

	// A second writer of the same name, while the first is at work.
	var inner error
	src := rows{n: 2, read: func(ctx context.Context, tensor, row int) error {
		if tensor == 1 && row == 0 {
			_, inner = WriteFile(ctx, filepath.Join(dir, "twice.gguf"), rows{n: 1}, FileOptions{})
		}
		return nil
	}}
	if _, err := WriteFile(context.Background(), filepath.Join(dir, "twice.gguf"), src, FileOptions{}); err != nil {
		t.Errorf("the first writer: %v", err)
	}
	var locked *LockedError
	if !errors.As(inner, &locked) {
		t.Errorf("the second writer: %v", inner)
	}
	if f, err := Open(filepath.Join(dir, "twice.gguf")); err != nil || len(f.Tensors()) != 2 {
		t.Errorf("%v", err)
	} else {
		f.Close()
	}
}

// Slabs in flight stay within the budget, whatever the workers.
func TestWriteBudget(t *testing.T) {
	const memory = 40 << 20
	src := rows{n: 20}
	st := newStream(src.Tensors(), func(int) int64 { return defaultAlignment })
	p := newPipeline([]*stream{st}, rowsOf(src), unitsOf(src), WriteOptions{Workers: 16, Memory: memory})
	st.write = func(*slab, []byte) error { return nil }
	var kept, peak int64
	st.commit = func(*slab, []byte) error {
		p.budget.mu.Lock()
		peak = max(peak, memory-p.budget.free)
		p.budget.mu.Unlock()
		st.bufs.mu.Lock()
		kept = max(kept, st.bufs.kept)
		st.bufs.mu.Unlock()
		return nil
	}
	if err := p.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if peak == 0 || kept == 0 || peak > memory || kept > memory/4 {
		t.Errorf("%d bytes in flight, %d bytes of buffers kept", peak, kept)
	}
	if p.budget.free != memory {
		t.Errorf("%d bytes of the budget were not given back", memory-p.budget.free)
	}
}

// A buffer is used again for a slab of about its size only, and kept within the limit.
func TestBuffers(t *testing.T) {
	p := buffers{limit: 1000}
	big := p.get(800)
	p.put(big)
	if got := p.get(300); cap(got) != 300 || p.kept != 0 {
		t.Errorf("a buffer of %d for 300 bytes, %d kept", cap(got), p.kept)
	}
	p.put(big)
	p.put(make([]byte, 300)) // too much
	if p.kept != 800 || len(p.free) != 1 {
		t.Errorf("%d bytes in %d buffers kept", p.kept, len(p.free))
	}
	if got := p.get(500); &got[0] != &big[0] || len(got) != 500 || p.kept != 0 {
		t.Errorf("a buffer of %d for 500 bytes is not the one kept", cap(got))
	}
}

func TestSlabRows(t *testing.T) {
	wide := TensorInfo{"t", F32, Shape{4096, 1000, 4}}
	for _, c := range []struct {
		t      TensorInfo
		unit   int
		memory int64
		want   int
	}{
		{wide, 1, 1 << 30, 256},
		{wide, 100, 1 << 30, 200},
		{wide, 1000, 1 << 30, 1000}, // a whole expert
		{wide, 1000, 1 << 20, 256},  // an expert that memory cannot hold twice
		{TensorInfo{"t", Q4_K, Shape{4096, 1000}}, 1, 1 << 30, 256},
		{TensorInfo{"t", F32, Shape{8}}, 1, 1 << 30, 1},
		{TensorInfo{"t", F32, Shape{1 << 24, 2}}, 1, 1 << 30, 1},
		{TensorInfo{"t", F64, Shape{4096, 1000}}, 1, 1 << 30, 128},
	} {
		if got := slabRows(c.t, c.unit, rowCost(c.t), c.memory); got != c.want {
			t.Errorf("%v %v, unit %d, memory %d: %d rows, want %d", c.t.Type, c.t.Shape, c.unit, c.memory, got, c.want)
		}
	}
}
