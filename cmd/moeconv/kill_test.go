//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moeconv/moeconv/gguf"
)

// noise is a model of so many blocks with weights that no two rows have alike.
type noise struct{ blocks int }

func (n noise) Metadata() *gguf.Metadata {
	md := &gguf.Metadata{}
	md.Set("general.architecture", "llama")
	for _, key := range []string{"block_count", "attention.head_count", "attention.head_count_kv"} {
		md.Set(md.ArchKey(key), uint32(n.blocks))
	}
	return md
}

func (n noise) Tensors() []gguf.TensorInfo {
	ts := []gguf.TensorInfo{{Name: "token_embd.weight", Type: gguf.BF16, Shape: gguf.Shape{1024, 256}}}
	for b := range n.blocks {
		ts = append(ts, gguf.TensorInfo{Name: fmt.Sprintf("blk.%d.ffn_down.weight", b), Type: gguf.BF16, Shape: gguf.Shape{1024, 1024}},
			gguf.TensorInfo{Name: fmt.Sprintf("blk.%d.ffn_norm.weight", b), Type: gguf.F32, Shape: gguf.Shape{1024}})
	}
	return ts
}

func (n noise) ReadRows(_ context.Context, tensor, row, rows int, dst []byte) error {
	r := rand.New(rand.NewPCG(uint64(tensor), uint64(row)))
	step := 2
	if n.Tensors()[tensor].Type == gguf.F32 {
		step = 4
	}
	for i := 0; i < len(dst); i += step {
		v := r.Uint64()
		dst[i+step-1], dst[i+step-2] = byte(v&0x80)|0x3c, byte(v>>8) // about +-0.01
	}
	return nil
}

// killed is a command that writes three outputs, one of them a set, and what these are to be.
type killed struct {
	src  string
	want map[string]string
	took time.Duration
}

func newKilled(t *testing.T) *killed {
	k := &killed{src: filepath.Join(t.TempDir(), "src.gguf")}
	if _, err := gguf.WriteFile(t.Context(), k.src, noise{2}, gguf.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	start := time.Now()
	if err := k.command(dir).Run(); err != nil {
		t.Fatal(err)
	}
	k.took = time.Since(start)
	k.want = sums(t, dir)
	if len(k.want) < 6 {
		t.Fatalf("files %v", k.want)
	}
	return k
}

// command is a process that writes into dir, with a journal that is renewed a dozen times.
func (k *killed) command(dir string) *exec.Cmd {
	c := exec.Command("moeconv", "quantize", k.src, "--progress", "none", "--split-max-size", "1500K",
		"-o", filepath.Join(dir, "q8.gguf"), "--type", "Q8_0", "-o", filepath.Join(dir, "q4.gguf"), "--type", "Q4_K_M", "-o", filepath.Join(dir, "q2.gguf"), "--type", "Q2_K")
	c.Env = append(os.Environ(), journalEveryEnv+"=250000")
	return c
}

// sums is the SHA-256 of every file in dir.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		if out[e.Name()], err = hashOf(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// checkNames fails where a file of a final name is incomplete.
func (k *killed) checkNames(t *testing.T, dir string) {
	t.Helper()
	for name, sum := range sums(t, dir) {
		if filepath.Ext(name) == ".gguf" && sum != k.want[name] {
			t.Errorf("%s is incomplete", name)
		}
	}
}

// finish gives the command until it is done, and compares what it made.
func (k *killed) finish(t *testing.T, dir string) {
	t.Helper()
	if got := sums(t, dir); fmt.Sprint(got) == fmt.Sprint(k.want) {
		return // it was killed after its last word
	}
	if out, err := k.command(dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := sums(t, dir); fmt.Sprint(got) != fmt.Sprint(k.want) {
		t.Errorf("files %v, want %v", got, k.want)
	}
}

// TestKill: a process killed at any moment, even twice, leaves no incomplete file of a final name, and the same command
// then ends with the same bytes.
func TestKill(t *testing.T) {
	k := newKilled(t)
	moments := 100
	if testing.Short() {
		moments = 8
	}
	killedAtWork := 0
	for i := range moments {
		dir := t.TempDir()
		for range 1 + i%2 {
			c := k.command(dir)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.Int64N(int64(k.took * 11 / 10))))
			if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			if err := c.Wait(); err != nil {
				killedAtWork++
			}
			k.checkNames(t, dir)
		}
		k.finish(t, dir)
	}
	if killedAtWork < moments/4 {
		t.Errorf("only %d processes were killed at work", killedAtWork)
	}
}

// TestInterrupt: a signal ends the command with status 130; it says how to go on, and does so.
func TestInterrupt(t *testing.T) {
	k := newKilled(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		interrupted := false
		for range 20 { // until one comes neither too early nor too late
			dir := t.TempDir()
			c := k.command(dir)
			var stderr bytes.Buffer
			c.Stderr = &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			for start := time.Now(); time.Since(start) < 10*k.took; time.Sleep(time.Millisecond) {
				if _, err := os.Stat(filepath.Join(dir, "q2.gguf.part.journal")); err == nil {
					break // it is at work
				}
			}
			_ = c.Process.Signal(signal) // it may be done
			err := c.Wait()
			k.checkNames(t, dir)
			if c.ProcessState.ExitCode() == 130 && strings.Contains(stderr.String(), "goes on from byte") {
				interrupted = true
				if _, err := os.Stat(filepath.Join(dir, "q4.gguf.part.journal")); err != nil {
					t.Error(err)
				}
				k.finish(t, dir)
				break
			}
			if err == nil || c.ProcessState.ExitCode() == -1 {
				continue // it was done, or not yet ready for signals
			}
			if c.ProcessState.ExitCode() != 130 {
				t.Errorf("%v: %v: %s", signal, err, &stderr)
			}
		}
		if !interrupted {
			t.Errorf("%v: no run was interrupted at work", signal)
		}
	}
}

// TestLocked: what another process writes is left alone, with status 5.
func TestLocked(t *testing.T) {
	k := newKilled(t)
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "q4-00001-of-00002.gguf.part"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("theirs"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	locked := sums(t, dir)
	c := k.command(dir)
	out, _ := c.CombinedOutput() // its status counts
	if code := c.ProcessState.ExitCode(); code != 5 || !strings.Contains(string(out), "being written by another process") {
		t.Errorf("status %d: %s", code, out)
	}
	if got := sums(t, dir); fmt.Sprint(got) != fmt.Sprint(locked) {
		t.Errorf("files %v, want %v", got, locked)
	}
}
