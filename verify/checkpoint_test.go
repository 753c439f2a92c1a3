package verify

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/testdata"
)

// copyTiny is the trained checkpoint in a folder of its own.
func copyTiny(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), testdata.TinyName)
	if err := os.CopyFS(dir, testdata.Tiny()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func sha(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func sourceOf(t *testing.T, dir string) (*Subject, error) {
	t.Helper()
	p, err := convert.OpenDir(dir, convert.Options{})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { p.Close() })
	return &Subject{Source: p, Reference: p, Checkpoint: &Checkpoint{Files: os.DirFS(dir)}}, nil
}

const weights, settings = "model.safetensors", "config.json"

// Hashes are found in each of the places where a download leaves them, and a changed byte is seen.
func TestHashesOfTheSource(t *testing.T) {
	git := "62a09ff0fb4bf4a4a7b2d1f6d6c3d2d6c0f4d3ab" // of some other file
	for name, c := range map[string]struct {
		do     func(t *testing.T, dir string, c *Checkpoint)
		status Status
		want   string
	}{
		"none": {func(*testing.T, string, *Checkpoint) {}, Pass, "no hashes known"},
		"given": {func(t *testing.T, dir string, c *Checkpoint) {
			c.Digests = map[string]string{weights: sha(t, filepath.Join(dir, weights))}
		}, Pass, "1 files have the Hub's hashes"},
		"given, wrong": {func(t *testing.T, dir string, c *Checkpoint) {
			c.Digests = map[string]string{weights: strings.Repeat("0a", 32)}
		}, Fail, weights + ": its hash is"},
		"beside": {func(t *testing.T, dir string, c *Checkpoint) {
			write(t, filepath.Join(dir, ".cache/huggingface/download", weights+".metadata"), strings.Repeat("a", 40)+"\n"+sha(t, filepath.Join(dir, weights))+"\n1.5\n")
		}, Pass, "1 files have the Hub's hashes"},
		"beside, of git, wrong": {func(t *testing.T, dir string, c *Checkpoint) {
			write(t, filepath.Join(dir, ".cache/huggingface/download", settings+".metadata"), strings.Repeat("a", 40)+"\n"+git+"\n1.5\n")
		}, Fail, settings + ": its hash is"},
		"in the cache, damaged": {func(t *testing.T, dir string, c *Checkpoint) {
			file, blob := filepath.Join(dir, weights), filepath.Join(dir, "blobs", sha(t, filepath.Join(dir, weights)))
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-5] ^= 1
			write(t, blob, string(b))
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join("blobs", filepath.Base(blob)), file); err != nil {
				t.Fatal(err)
			}
		}, Fail, weights + ": its hash is"},
	} {
		dir := copyTiny(t)
		s, err := sourceOf(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		c.do(t, dir, s.Checkpoint)
		r := check(t, checkSource, s)
		if r.Status != c.status || !strings.Contains(r.Detail, c.want) {
			t.Errorf("%s: %s: %s", name, r.Status, r.Detail)
		}
		if again := check(t, checkSource, s); again.Detail != r.Detail || s.Checkpoint.checked == nil {
			t.Errorf("%s: the source is checked once for all files", name)
		}
	}
}

// The hash of git is that of `git hash-object`.
func TestDigestOfGit(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "hello\n")
	got, err := digest(context.Background(), os.DirFS(dir), "a", true)
	if want := "ce013625030ba8dba906f756967f9e9ca394464a"; got != want || err != nil {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// Sources that cannot be opened are reported, not refused.
func TestDamagedSource(t *testing.T) {
	dir := copyTiny(t)
	if err := os.Truncate(filepath.Join(dir, weights), 1<<20); err != nil {
		t.Fatal(err)
	}
	_, err := sourceOf(t, dir)
	if Damaged(err) != "truncated" {
		t.Fatalf("%v: %q", err, Damaged(err))
	}
	r := run(t, &Subject{Name: "x", Source: tinyAs(t, "Q8_0"), Checkpoint: &Checkpoint{Err: err}})
	if c, _ := r.Check("source"); r.Status != Fail || c.Status != Fail || c.Problems[0].Damage != "truncated" || !strings.Contains(c.Detail, weights) {
		t.Errorf("%s", strings.Join(r.Lines(), "\n"))
	}
	if Damaged(fs.ErrNotExist) != "" {
		t.Error("no file is no damage")
	}
}

func TestValuesOfTheSource(t *testing.T) {
	sound := hold(t, tinyPlan(t))
	for _, c := range []struct {
		name, damage string
		do           func(m *memory)
		status       Status
	}{
		{"NaN", "nan", func(m *memory) { binary.LittleEndian.PutUint16(m.expert(t, up1, 3)[100:], 0x7fc0) }, Fail},
		{"NaN in a norm", "nan", func(m *memory) {
			binary.LittleEndian.PutUint32(m.data[m.find(t, "output_norm.weight")][8:], math.Float32bits(float32(math.NaN())))
		}, Fail},
		{"zero", "zero", func(m *memory) { clear(m.expert(t, down2, 2)) }, Warn},
		{"twice", "expert-twice", func(m *memory) { copy(m.expert(t, up1, 4), m.expert(t, up1, 1)) }, Warn},
		{"sound", "", func(*memory) {}, Pass},
	} {
		for _, sample := range []int64{0, 1 << 20} {
			m := sound.clone()
			c.do(m)
			r := check(t, checkSource, &Subject{Source: m, Reference: m, Sample: sample})
			if sample > 0 && c.name == "NaN" {
				continue // a single value may lie beside the sample
			}
			if r.Status != c.status || c.damage != "" && (len(r.Problems) != 1 || r.Problems[0].Damage != c.damage) {
				t.Errorf("%s, sample %d: %s: %s", c.name, sample, r.Status, r.Detail)
			}
		}
	}
}

func TestSizeInTheIndex(t *testing.T) {
	dir := copyTiny(t)
	s, err := sourceOf(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := indexSize(s.Checkpoint.Files); ok || n != 0 {
		t.Errorf("%d, %v", n, ok)
	}
	write(t, filepath.Join(dir, "model.safetensors.index.json"), `{"metadata": {"total_size": 123}, "weight_map": {}}`)
	if n, ok := indexSize(s.Checkpoint.Files); !ok || n != 123 {
		t.Errorf("%d, %v", n, ok)
	}
}
