package gguf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// pair is a job of a file and a set of three shards, of the same source.
func pair(dir string, src Source) Job {
	return Job{
		Outputs: []Output{
			{Name: filepath.Join(dir, "one.gguf"), Source: src},
			{Name: filepath.Join(dir, "set.gguf"), Source: src, Options: FileOptions{SplitMaxTensors: 2, MetadataFirst: true}},
		},
		Inputs: []string{"model 1"}, JournalEvery: 1, WriteOptions: WriteOptions{Workers: 2},
	}
}

// three is a pair and a third output.
func three(dir string, src Source) Job {
	j := pair(dir, src)
	j.Outputs = append(j.Outputs, Output{Name: filepath.Join(dir, "two.gguf"), Source: src})
	return j
}

// contents is the SHA-256 of every file below dir by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		sums[e.Name()] = hex.EncodeToString(sum[:])
	}
	return sums
}

// checkJob fails unless dir holds want and nothing else, as files say.
func checkJob(t *testing.T, name, dir string, want map[string]string, files [][]Written) {
	t.Helper()
	if got := contents(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: files %v, want %v", name, got, want)
	}
	for _, f := range slices.Concat(files...) {
		if f.SHA256 != want[filepath.Base(f.Path)] {
			t.Errorf("%s: %s reported with %s, want %s", name, f.Path, f.SHA256, want[filepath.Base(f.Path)])
		}
	}
}

// alone is what the files of a job are when each output is written alone, without journals.
func alone(t *testing.T, j Job) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for _, o := range j.Outputs {
		if _, err := WriteFile(context.Background(), filepath.Join(dir, filepath.Base(o.Name)), o.Source, o.Options); err != nil {
			t.Fatal(err)
		}
	}
	return contents(t, dir)
}

// dyingDisk does what it is told a number of times; then it is as if the process had been killed.
type dyingDisk struct {
	osDisk
	left atomic.Int64
}

var errDead = errors.New("dead")

func (d *dyingDisk) dead() bool { return d.left.Add(-1) < 0 }

func (d *dyingDisk) open(name string) (partFile, bool, error) {
	if d.dead() {
		return nil, false, errDead
	}
	f, created, err := d.osDisk.open(name)
	return &dyingFile{f, d}, created, err
}

func (d *dyingDisk) rename(from, to string) error {
	if d.dead() {
		return errDead
	}
	return d.osDisk.rename(from, to)
}

func (d *dyingDisk) link(name, second string) error {
	if d.dead() {
		return errDead
	}
	return d.osDisk.link(name, second)
}

func (d *dyingDisk) remove(name string) {
	if !d.dead() {
		d.osDisk.remove(name)
	}
}

func (d *dyingDisk) replace(name string, data []byte) error {
	if d.dead() {
		return errDead
	}
	return d.osDisk.replace(name, data)
}

type dyingFile struct {
	partFile
	d *dyingDisk
}

func (f *dyingFile) Close() error {
	if f.partFile == nil {
		return nil
	}
	return f.partFile.Close()
}

func (f *dyingFile) Write(p []byte) (int, error) {
	if left := f.d.left.Add(-1); left == -1 {
		n, _ := f.partFile.Write(p[:len(p)/2])
		return n, errDead
	} else if left < 0 {
		return 0, errDead
	}
	return f.partFile.Write(p)
}

func (f *dyingFile) start(at int64) error {
	if f.d.dead() {
		return errDead
	}
	return f.partFile.start(at)
}

// Wherever a process dies, no file of a final name is incomplete, and the same job then finishes with the same bytes,
// nothing else left behind; be it that it writes new files or replaces some.
func TestJobDies(t *testing.T) {
	src := rows{n: 3, typ: Q1_0}
	want := alone(t, three("", src))
	step := int64(1)
	if testing.Short() {
		step = 7
	}
	for _, force := range []bool{false, true} {
		for at := int64(0); dies(t, src, want, at, force); at += step {
		}
	}
}

// dies runs a job on a disk that works for so many operations, then the same job on one that works; false if the first
// did not need more.
func dies(t *testing.T, src Source, want map[string]string, at int64, force bool) bool {
	t.Helper()
	dir := t.TempDir()
	j := three(dir, src)
	old := map[string]string{}
	if force {
		for i := range j.Outputs {
			j.Outputs[i].Options.Force = true
		}
		for name := range want {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		old = contents(t, dir)
	}
	d := &dyingDisk{}
	d.left.Store(at)
	_, err := j.run(context.Background(), d)
	for name, sum := range contents(t, dir) {
		if strings.HasSuffix(name, ".gguf") && sum != want[name] && sum != old[name] {
			t.Errorf("died at %d: %s has neither the old nor the new contents", at, name)
		}
	}
	if err == nil && d.left.Load() >= 0 { // at the last removes there is no error
		checkJob(t, "alive", dir, want, nil)
		return false
	}
	files, err := j.Run(context.Background())
	if err != nil {
		t.Errorf("died at %d: %v", at, err)
		return true
	}
	checkJob(t, fmt.Sprintf("died at %d", at), dir, want, files)
	return true
}

// A job that is stopped, or that the disk had no room for, keeps what it has and reads no more than it must to go on.
func TestJobGoesOn(t *testing.T) {
	want := alone(t, pair("", rows{n: 6}))
	for _, c := range []struct {
		name string
		stop func(cancel func()) error
		disk *brokenDisk
	}{
		{"cancelled", func(cancel func()) error { cancel(); return nil }, &brokenDisk{room: plenty}},
		{"source lost", func(func()) error { return &os.PathError{Op: "read", Path: "model", Err: syscall.EIO} }, &brokenDisk{room: plenty}},
		{"disk full", func(func()) error { return nil }, &brokenDisk{room: 61 << 20}},
	} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		var once sync.Once
		some := make(chan struct{}) // closed when both outputs have more than their first tensor
		src := rows{n: 6, read: func(_ context.Context, tensor, _ int) error {
			if tensor == 4 {
				<-some
				return c.stop(cancel)
			}
			return nil
		}}
		stopped := pair(dir, src)
		stopped.Progress = func(done, _ int64) {
			if done >= 32<<20 {
				once.Do(func() { close(some) })
			}
		}
		_, err := stopped.run(ctx, c.disk)
		var unfinished *UnfinishedError
		if !errors.As(err, &unfinished) || unfinished.Done < 10<<20 || unfinished.Done >= unfinished.Total {
			t.Errorf("%s: %v (%+v)", c.name, err, unfinished)
		}
		if c.disk.room < plenty/2 {
			if space := (*SpaceError)(nil); !errors.As(err, &space) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		for name := range contents(t, dir) {
			if strings.HasSuffix(name, ".gguf") {
				t.Errorf("%s: %s is there", c.name, name)
			}
		}
		// Another input or another key is refused, and what is there stays.
		var changed *ChangedError
		other := pair(dir, rows{n: 6})
		other.Inputs = []string{"model 2"}
		if _, err := other.Run(context.Background()); !errors.As(err, &changed) || !strings.Contains(err.Error(), "then model 1, now model 2") {
			t.Errorf("%s: another input: %v", c.name, err)
		}
		other = pair(dir, rows{n: 6})
		other.Outputs[1].Key = []string{"type Q8_0"}
		if _, err := other.Run(context.Background()); !errors.As(err, &changed) {
			t.Errorf("%s: another key: %v", c.name, err)
		}
		if _, err := pair(dir, rows{n: 7}).Run(context.Background()); !errors.As(err, &changed) {
			t.Errorf("%s: other tensors: %v", c.name, err)
		}
		var first atomic.Int64
		first.Store(99)
		src.read = func(_ context.Context, tensor, _ int) error {
			first.Store(min(first.Load(), int64(tensor)))
			return nil
		}
		var notes []string
		j := pair(dir, src)
		j.Note = func(line string) { notes = append(notes, line) }
		files, err := j.Run(context.Background())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if first.Load() == 0 || len(notes) == 0 || !strings.Contains(notes[0], "going on at byte") {
			t.Errorf("%s: read from tensor %d on, notes %q", c.name, first.Load(), notes)
		}
		checkJob(t, c.name, dir, want, files)
	}
}

// With Force a journal of another job is no obstacle: everything is written anew.
func TestJobForce(t *testing.T) {
	dir := t.TempDir()
	lost := rows{n: 6, read: func(_ context.Context, tensor, _ int) error {
		if tensor == 5 {
			return syscall.EIO
		}
		return nil
	}}
	if _, err := pair(dir, lost).Run(context.Background()); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	j := pair(dir, rows{n: 3})
	for i := range j.Outputs {
		j.Outputs[i].Options.Force = true
	}
	files, err := j.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	checkJob(t, "forced", dir, alone(t, pair("", rows{n: 3})), files)
}

// After an error of the data nothing is left, and one of two outputs' old contents stay.
func TestJobFails(t *testing.T) {
	dir := t.TempDir()
	src := rows{n: 6, read: func(_ context.Context, tensor, _ int) error {
		if tensor == 5 {
			return errors.New("not a number")
		}
		return nil
	}}
	_, err := pair(dir, src).Run(context.Background())
	if unfinished := (*UnfinishedError)(nil); err == nil || errors.As(err, &unfinished) {
		t.Errorf("%v", err)
	}
	checkLeft(t, "data", dir, nil)
}

// An output that exists, or a lock that is held, is found before anything is done; what an earlier run left stays.
func TestJobRefusals(t *testing.T) {
	dir := t.TempDir()
	j := pair(dir, rows{n: 3})
	if _, err := j.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := contents(t, dir)
	if exists := (*ExistsError)(nil); true {
		if _, err := j.Run(context.Background()); !errors.As(err, &exists) {
			t.Errorf("%v", err)
		}
	}
	checkJob(t, "exists", dir, want, nil)
	twice := pair(dir, rows{n: 3})
	twice.Outputs[1].Name = dir + "/./one.gguf"
	if _, err := twice.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "two outputs of one name") {
		t.Errorf("%v", err)
	}
	other := pair(dir, rows{n: 3})
	other.Outputs[1].Source = rows{n: 4}
	if _, err := other.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "cannot be written together") {
		t.Errorf("%v", err)
	}
	if _, err := (Job{}).Run(context.Background()); err == nil {
		t.Error("a job without outputs")
	}
}

// Rows reads all outputs at once; who has more already is not asked for again.
func TestJobRows(t *testing.T) {
	dir := t.TempDir()
	src := rows{n: 6}
	j := pair(dir, src)
	var both atomic.Int64
	j.Rows = func(ctx context.Context, tensor, row, n int, dst [][]byte) error {
		if dst[0] != nil && dst[1] != nil {
			both.Add(1)
		}
		return rowsOf(src, src)(ctx, tensor, row, n, dst)
	}
	files, err := j.Run(context.Background())
	if err != nil || both.Load() != 12 {
		t.Errorf("%d slabs for both, %v", both.Load(), err)
	}
	checkJob(t, "rows", dir, alone(t, pair("", src)), files)
}

// Check finds what a disk did to a file.
func TestJobCheck(t *testing.T) {
	for _, at := range []int64{-1, 100000} {
		j := pair(t.TempDir(), rows{n: 3})
		j.Check = true
		_, err := j.run(context.Background(), liar{at: at})
		if at < 0 && err != nil || at >= 0 && (err == nil || !strings.Contains(err.Error(), "read back, it has SHA-256")) {
			t.Errorf("%d: %v", at, err)
		}
	}
}

// A job that is stopped while it reads its files back has nothing to write again, and still knows their SHA-256.
func TestJobStoppedInCheck(t *testing.T) {
	dir := t.TempDir()
	src := rows{n: 3, typ: Q1_0}
	want := alone(t, pair("", src))
	ctx, cancel := context.WithCancel(context.Background())
	j := pair(dir, src)
	j.Check = true
	j.Progress = func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	}
	if _, err := j.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	src.read = func(context.Context, int, int) error {
		t.Error("the source is read again")
		return nil
	}
	files, err := pair(dir, src).Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	checkJob(t, "stopped in check", dir, want, files)
}

// interrupted leaves the parts and journals of a job in dir.
func interrupted(t *testing.T, dir string) {
	t.Helper()
	var once sync.Once
	some := make(chan struct{}) // closed when both outputs have some of their tensors
	lost := rows{n: 3, typ: Q1_0, read: func(_ context.Context, tensor, _ int) error {
		if tensor == 2 {
			<-some
			return syscall.EIO
		}
		return nil
	}}
	j := pair(dir, lost)
	j.Progress = func(done, total int64) {
		if done > total*3/5 {
			once.Do(func() { close(some) })
		}
	}
	if _, err := j.Run(context.Background()); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
}

// A journal that does not fit its parts costs time, not bytes.
func TestJobDamagedJournal(t *testing.T) {
	src := rows{n: 3, typ: Q1_0}
	want := alone(t, pair("", src))
	for _, c := range []struct{ old, with string }{
		{`"tensor": 1`, `"tensor": -1`}, {`"tensor": 1`, `"tensor": 7`}, {`"row": `, `"row": -`}, {`"row": `, `"row": 9`},
		{`"bytes": `, `"bytes": -`}, {`"bytes": `, `"bytes": 9`}, {`"state": "`, `"state": "AAAA`}, {`"file": "`, `"file": "x`},
		{`"complete": false`, `"complete": true`}, {`{`, ``},
	} {
		dir := t.TempDir()
		interrupted(t, dir)
		for _, name := range []string{"one.gguf", "set.gguf"} {
			name = filepath.Join(dir, name+".part.journal")
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(b), c.old) {
				t.Fatalf("%s has no %s: %s", name, c.old, b)
			}
			if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(b), c.old, c.with)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := pair(dir, src).Run(context.Background())
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		checkJob(t, fmt.Sprintf("%+v", c), dir, want, files)
	}
}

// FuzzJournal: whatever a journal says, it is taken over or not, and positions lie in the output.
func FuzzJournal(f *testing.F) {
	dir := f.TempDir()
	r, err := pair(dir, rows{n: 3, typ: Q1_0}).plan(osDisk{})
	if err != nil {
		f.Fatal(err)
	}
	o := r.outs[1]
	head := fmt.Sprintf(`{"format":1,"inputs":["model 1"],"options":null,"header":%q,`, o.journal.Header)
	f.Add([]byte(head + `"tensor":1,"row":4,"files":[{"file":"set-00001-of-00003.gguf","bytes":96,"sha256":"00"}]}`))
	f.Add([]byte(head + `"complete":true,"files":[{},{},{}]}`))
	f.Add([]byte(head + `"tensor":0,"row":6,"files":[{},{"file":"set-00002-of-00003.gguf","bytes":221408,"state":"c2hhAw=="}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o.fresh()
		o.parts[0].file = &dyingFile{nil, &dyingDisk{}}
		if err := o.takeOver(data); err != nil && o.restored {
			t.Fatal(err)
		}
		if o.at.tensor < 0 || o.at.tensor >= len(o.tensors) || o.at.row < 0 || int64(o.at.row) > o.tensors[o.at.tensor].Shape.Rows() {
			t.Errorf("position %+v", o.at)
		}
	})
}

// Outputs of three times the bound go in waves when someone takes the finished ones away, and the bound holds.
func TestJobWaves(t *testing.T) {
	patience = 0
	src := rows{n: 2}
	one, err := Layout(src.Metadata(), src.Tensors())
	if err != nil {
		t.Fatal(err)
	}
	bound := 2 * one.Size
	for _, taken := range []bool{true, false} {
		dir, away := t.TempDir(), t.TempDir()
		var peak int64
		src.read = func(context.Context, int, int) error {
			peak = max(peak, used(t, dir))
			return nil
		}
		j := Job{Inputs: []string{"x"}, Disk: bound, WriteOptions: WriteOptions{Workers: 1}}
		for i := range 6 {
			j.Outputs = append(j.Outputs, Output{Name: filepath.Join(dir, fmt.Sprintf("%d.gguf", i)), Source: src})
		}
		take := func(_ context.Context, files [][]Written) error {
			peak = max(peak, used(t, dir))
			for _, f := range slices.Concat(files...) {
				if err := os.Rename(f.Path, filepath.Join(away, filepath.Base(f.Path))); err != nil {
					return err
				}
			}
			return nil
		}
		if taken {
			j.AfterWave = take
		}
		waves := 0
		files, err := j.Run(context.Background())
		for ; err != nil && waves < 3; waves++ { // nobody takes them away while it runs: the same job goes on later
			if space := (*SpaceError)(nil); !errors.As(err, &space) {
				t.Fatal(err)
			}
			var done [][]Written
			for i := range 2 {
				done = append(done, []Written{{Path: filepath.Join(dir, fmt.Sprintf("%d.gguf", 2*waves+i))}})
			}
			if err := take(context.Background(), done); err != nil {
				t.Fatal(err)
			}
			files, err = j.Run(context.Background())
		}
		if err != nil || len(files) != 6 || taken != (waves == 0) {
			t.Fatalf("%v after %d waves", err, waves)
		}
		if peak > bound+4096 || peak < one.Size {
			t.Errorf("peak %d, bound %d", peak, bound)
		}
		src.read = nil
		j.Outputs[0].Source = src
		want := alone(t, Job{Outputs: j.Outputs[:1]})["0.gguf"]
		for _, f := range slices.Concat(files...) {
			if f.SHA256 != want {
				t.Errorf("%s: %s", f.Path, f.SHA256)
			}
		}
		if left := contents(t, dir); taken && len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	j := Job{Disk: one.Size - 1, Outputs: []Output{{Name: filepath.Join(t.TempDir(), "x.gguf"), Source: src}}}
	if _, err := j.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "more than the") {
		t.Errorf("%v", err)
	}
}

// used is what the models and parts in dir have.
func used(t *testing.T, dir string) int64 {
	var n int64
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !strings.Contains(e.Name(), "journal") {
			n += info.Size()
		}
	}
	return n
}
