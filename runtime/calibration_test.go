package runtime

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

func TestCalibration(t *testing.T) {
	m := load(t, plan(t, tinyDir, "bf16"), Options{})
	raw, err := os.ReadFile(testdata.Path("tiny/golden/calib.txt"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw[:4000])
	tk, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	bos, _ := tk.BOS()
	all, err := m.Calibration(text+"\n", CalibrationOptions{ChunkSize: 32})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := encode(tk, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Chunks) != len(ids)/32 {
		t.Fatalf("%d chunks of %d tokens", len(all.Chunks), len(ids))
	}
	for i, c := range all.Chunks {
		if c[0] != bos || !slices.Equal(c[1:], ids[i*32+1:(i+1)*32]) {
			t.Fatalf("chunk %d: %v", i, c)
		}
	}
	some, err := m.Calibration(text, CalibrationOptions{ChunkSize: 32, From: 3, Chunks: 2})
	if err != nil || len(some.Chunks) != 2 || !slices.Equal(some.Chunks[1], all.Chunks[4]) {
		t.Errorf("chunks 3 and 4: %v, %v", some, err)
	}
	special := tk.TokenText(bos)
	for parse, want := range map[bool]bool{true: true, false: false} {
		c, err := m.Calibration("a b c"+special+text, CalibrationOptions{ChunkSize: 32, ParseSpecial: parse})
		if err != nil || slices.Contains(c.Chunks[0][1:], bos) != want {
			t.Errorf("special tokens parsed %v: %v, %v", parse, c, err)
		}
	}
	for _, c := range []struct {
		o    CalibrationOptions
		text string
		want string
	}{
		{CalibrationOptions{ChunkSize: 15}, text, "want 16 or more"},
		{CalibrationOptions{ChunkSize: 512}, "short", "two chunks of 512 are needed"},
		{CalibrationOptions{ChunkSize: 32, From: len(all.Chunks)}, text, "too few are left"},
	} {
		if _, err := m.Calibration(c.text, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

// Steps are those of llama.cpp's batches of 2048 and micro-batches of 512 tokens, shared equally: three chunks of 512
// leave two tokens each, six together, for which llama-imatrix sums up nothing but experts' inputs.
func TestCalibrationSteps(t *testing.T) {
	for _, c := range []struct {
		tokens, chunks, i int
		want              []int
	}{
		{512, 7, 0, []int{512, 512}},
		{512, 7, 4, []int{510, 512}},
		{64, 8, 3, []int{64, 64}},
		{4100, 2, 1, []int{2048, 2048, 4096, 4096, 4096, 4100}},
		{600, 3, 0, []int{600, 600}}, // 90 tokens each are left: enough
	} {
		cal := &Calibration{Chunks: make([][]int32, c.chunks), tokens: c.tokens}
		if got := cal.steps(c.i); !slices.Equal(got, c.want) {
			t.Errorf("chunk %d of %d of %d tokens: steps %v, want %v", c.i, c.chunks, c.tokens, got, c.want)
		}
	}
}
