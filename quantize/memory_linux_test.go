package quantize

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// The measurements run in a process of their own: /proc's VmHWM is the peak of a whole life.
const memoryJob = "MOECONV_TEST_MEMORY_JOB" // schemes, MB of source, MiB of WriteOptions.Memory (0: default)

func TestMain(m *testing.M) {
	if spec := os.Getenv(memoryJob); spec != "" {
		if err := runMemoryJob(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// large is a BF16 model of about mb MB: stacked experts of 100 MB a tensor (the last of what remains) and an embedding.
// Rows are made on the fly.
func large(mb int64) fakeSource {
	const columns, experts = 2048, 8
	s := fakeSource{md: keys("llama", map[string]uint32{"expert_count": experts, "attention.head_count": 16, "attention.head_count_kv": 4})}
	s.ts = append(s.ts, gguf.TensorInfo{Name: "token_embd.weight", Type: gguf.BF16, Shape: gguf.Shape{columns, 1000}})
	blocks := uint32(0)
	for left := mb*1_000_000 - s.ts[0].Bytes(); left > 0; blocks++ {
		rows := min(left, 100_000_000) / (2 * columns * experts)
		if rows == 0 {
			break
		}
		t := gguf.TensorInfo{Name: fmt.Sprintf("blk.%d.ffn_up_exps.weight", blocks), Type: gguf.BF16, Shape: gguf.Shape{columns, rows, experts}}
		s.ts = append(s.ts, t)
		left -= t.Bytes()
	}
	s.md.Set("llama.block_count", blocks)
	row := make([]byte, 2*columns)
	for i := range columns {
		v := uint32(i) * 2654435761
		row[2*i], row[2*i+1] = byte(v>>8), byte(v>>16&0x80|0x3c) // about +-0.01
	}
	s.fill = func(tensor, first, n int, dst []byte) error {
		for i := range n {
			k := copy(dst[i*len(row):], row)
			dst[i*len(row)] = byte(tensor + first + i)
			if k != len(row) {
				return io.ErrShortBuffer
			}
		}
		return nil
	}
	return s
}

func runMemoryJob(spec string) error {
	var schemes string
	var mb, memory int64
	if _, err := fmt.Sscan(spec, &schemes, &mb, &memory); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "memory")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	src := large(mb)
	run := gguf.Job{WriteOptions: gguf.WriteOptions{Memory: memory << 20}, Inputs: []string{"large"}}
	var jobs []*Job
	var sum Summary
	for _, name := range strings.Split(schemes, ",") {
		s, err := ParseScheme(name)
		if err != nil {
			return err
		}
		j, err := New(src, s, Options{})
		if err != nil {
			return err
		}
		if sum, err = j.Summary(); err != nil {
			return err
		}
		jobs = append(jobs, j)
		run.Outputs = append(run.Outputs, gguf.Output{Name: filepath.Join(dir, name+".gguf"), Source: j})
	}
	batch, err := NewBatch(jobs...)
	if err != nil {
		return err
	}
	run.Rows = batch.ReadRows
	if _, err := run.Run(context.Background()); err != nil {
		return err
	}
	peak, err := peakMemory()
	fmt.Println(peak, sum.SourceBytes, sum.FileBytes)
	return err
}

// peakMemory is this process' VmHWM in bytes.
func peakMemory() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := strings.CutPrefix(string(line), "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no VmHWM in /proc/self/status")
}

func measureMemory(tb testing.TB, scheme string, mb, memory int64) (peak, source, file int64) {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", memoryJob, scheme, mb, memory))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Sscan(string(out), &peak, &source, &file); err != nil {
		tb.Fatal(err)
	}
	return peak, source, file
}

// A job holds slabs, not tensors: with 24 MiB for slabs, 250 MB of source pass through less than 64 MB, be it to one
// output or to three (with the race detector, whose shadow is several times the heap, this is not measured).
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory would be measured")
	}
	for _, schemes := range []string{"Q8_0", "Q8_0,Q4_0,Q4_K_M"} {
		peak, source, _ := measureMemory(t, schemes, 250, 24)
		t.Logf("%s: VmHWM %.0f MB for %.0f MB of source", schemes, float64(peak)/1e6, float64(source)/1e6)
		if source < 240e6 {
			t.Fatalf("the source has %d bytes only", source)
		}
		if peak > 64e6 {
			t.Errorf("%s: VmHWM %d MB, want at most 64", schemes, peak/1e6)
		}
	}
}

// go test -bench Memory3GB -benchtime 1x: VmHWM of quantizing 3 GB with default options.
func BenchmarkMemory3GB(b *testing.B) {
	for b.Loop() {
		peak, source, file := measureMemory(b, "Q4_K_M", 3000, 0)
		b.ReportMetric(float64(peak)/1e6, "VmHWM-MB")
		b.ReportMetric(float64(source)/1e6, "source-MB")
		b.ReportMetric(float64(file)/1e6, "file-MB")
		if peak > 600e6 {
			b.Errorf("VmHWM %d MB, want at most 600", peak/1e6)
		}
	}
}
