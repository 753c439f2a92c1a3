package verify

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/runtime"
)

// recordBases makes a file of each form of the tiny model's answers to a few chunks, and the same answers kept.
func recordBases(t *testing.T, o PerplexityOptions) (kept *Baseline, wide, top string) {
	t.Helper()
	ctx, text, dir := context.Background(), validText(t), t.TempDir()
	base := load(t, tinyPlan(t), asReference(runtime.ActivationsF32))
	kept, err := NewBaseline(ctx, base, text, o, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	r, err := kept.WriteWide(ctx, &b)
	if err != nil || math.Abs(r.PPL-kept.ppl.PPL) > 1e-4*r.PPL {
		t.Fatalf("%+v, %v; want %+v", r, err, kept.ppl)
	}
	wide, top = filepath.Join(dir, "wide"), filepath.Join(dir, "top")
	if err := os.WriteFile(wide, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	source, err := Fingerprint(ctx, tinyPlan(t))
	if err != nil {
		t.Fatal(err)
	}
	f, err := RecordBaseline(ctx, top, base, source, text, o)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return kept, wide, top
}

func openBase(t *testing.T, name string, o PerplexityOptions) *Baseline {
	t.Helper()
	b, err := OpenBaseline(name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// A base of llama-perplexity's form says what the base itself says; of the compact form nearly, at a fiftieth of the size.
func TestRecordedBaselines(t *testing.T) {
	ctx, text := context.Background(), validText(t)
	kept, wide, top := recordBases(t, PerplexityOptions{Context: 256, Chunks: 24})
	m := load(t, golden(t, "Q4_K_M"), asReference(runtime.ActivationsRounded))
	want, err := kept.Divergence(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	w := openBase(t, wide, PerplexityOptions{Context: 256})
	if err := w.Match(m, text); err != nil {
		t.Error(err)
	}
	got, err := w.Divergence(ctx, m)
	same := cmp.Options{cmpopts.IgnoreFields(PerplexityResult{}, "Tokens", "Of", "Routes")}
	if err != nil || !cmp.Equal(got, want, same) {
		t.Errorf("%v: %s", err, cmp.Diff(want, got, same))
	}
	b := openBase(t, top, PerplexityOptions{})
	if err := b.Match(m, text); err != nil {
		t.Error(err)
	}
	if err := b.MatchSource(ctx, tinyPlan(t)); err != nil {
		t.Error(err)
	}
	if got, err = b.Divergence(ctx, m); err != nil {
		t.Fatal(err)
	}
	near(t, "mean KLD", got.Mean, want.Mean, 0.01, 0)
	near(t, "perplexity", got.PPL.PPL, want.PPL.PPL, 1e-6, 0)
	near(t, "base's perplexity", got.BasePPL.PPL, want.BasePPL.PPL, 1e-4, 0)
	near(t, "same top token", got.SameTop, want.SameTop, 0, 0.001)
	if a, b := size(t, top), size(t, wide); 50*a >= b {
		t.Errorf("%d bytes, llama-perplexity's form has %d", a, b)
	}
	p, err := b.Perplexity(ctx)
	if err != nil || math.Abs(p.PPL-kept.ppl.PPL) > 1e-4*p.PPL {
		t.Errorf("perplexity %+v, %v; want %v", p, err, kept.ppl.PPL)
	}
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A recording that was cut off anywhere goes on from its last whole chunk, and its end is the same to the byte.
func TestRecordingResumes(t *testing.T) {
	ctx, o := context.Background(), PerplexityOptions{Context: 64, Chunks: 4}
	_, _, name := recordBases(t, o)
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	base := load(t, tinyPlan(t), asReference(runtime.ActivationsF32))
	source, _ := Fingerprint(ctx, tinyPlan(t))
	record := bodyFor(1408, 31) + 4
	for _, c := range []struct {
		keep, runs int
	}{{len(want) - 1, 1}, {len(want) - record - 10, 2}, {len(want) - 4*record, 4}, {20, 4}, {0, 4}} {
		if err := os.WriteFile(name+".part", want[:c.keep], 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		o.Progress = func(int64, int64) { c.runs-- }
		b, err := RecordBaseline(ctx, name, base, source, validText(t), o)
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes kept: other bytes, %v", c.keep, err)
		}
		if c.runs != 0 {
			t.Errorf("%d bytes kept: %d chunks too few were run", c.keep, c.runs)
		}
	}
	o.Progress = func(int64, int64) { t.Error("a complete recording is made again") }
	b, err := RecordBaseline(ctx, name, base, source, validText(t), o)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

// What does not go together is refused, and named.
func TestBaselineMismatch(t *testing.T) {
	ctx, text := context.Background(), validText(t)
	_, wide, top := recordBases(t, PerplexityOptions{Context: 64, Chunks: 2})
	m := load(t, tinyPlan(t), runtime.Options{})
	b := openBase(t, top, PerplexityOptions{})
	other := Zeroed(tinyPlan(t), func(t gguf.TensorInfo) bool { return names.ClassOf(t.Name) == names.SharedExpert })
	for want, err := range map[string]error{
		"other tokens than the one it was recorded with": b.Match(m, text[10:]),
		"from another model than the source":             b.MatchSource(ctx, other),
		"in chunks of 64 tokens, not 512":                second(OpenBaseline(wide, PerplexityOptions{Context: 512})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	damaged := []struct {
		file string
		at   int // from the end where negative
		put  []byte
		want string
	}{
		{wide, 0, []byte("x"), "not a recorded base"},
		{wide, 8, []byte{1}, "no such base"},
		{wide, 12, []byte{0xff, 0xff, 0xff, 0x7f}, "no such base"},
		{wide, 16, []byte{3}, "after 1 of 3 chunks"},
		{wide, 20, []byte{0xff, 0xff}, "the vocabulary has 1408"},
		{wide, -31 * wideRow(1408) * 2, []byte{0, 0, 0xc0, 0x7f}, "position 0"},
		{top, 8, []byte{9}, "version 9"},
		{top, 20, []byte{1}, "bytes follow"},
		{top, 40, []byte{1}, "checksum"},
		{top, -9, []byte{1, 2, 3}, "chunk 1: its checksum is wrong"},
	}
	for _, c := range damaged {
		data, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		at := c.at
		if at < 0 {
			at += len(data)
		}
		copy(data[at:], c.put)
		name := filepath.Join(t.TempDir(), "damaged")
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
		d, err := OpenBaseline(name, PerplexityOptions{})
		if err == nil {
			_, err = d.Divergence(ctx, m)
			d.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q and the file's name", err, c.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// FuzzBaseline: no file makes a reader panic, or ask for more memory than the file has bytes.
func FuzzBaseline(f *testing.F) {
	var w bytes.Buffer
	binary.Write(&w, binary.LittleEndian, wideHeader{[8]byte([]byte(wideMagic)), 4, 3, 1})
	binary.Write(&w, binary.LittleEndian, []int32{0, 1, 2, 0})
	a := newWide(3, 1)
	a.put(0, []float32{1, 2, 3})
	binary.Write(&w, binary.LittleEndian, a.rows)
	f.Add(w.Bytes())
	t := &text{context: 4, chunks: 1, tokens: []int32{0, 1, 2, 0}}
	h := newTopFile(t, 3, [32]byte{})
	levels := newChunkLevels(3, 1)
	levels.put(0, []float32{1, 2, 3}, 0)
	record := levels.pack(int(h.Body), 0.5)
	f.Add(binary.LittleEndian.AppendUint32(append(bytes.Clone(h.head), record...), checksum(record, 0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		if w, err := openWide(in, int64(len(data))); err == nil {
			for i := range min(w.text.chunks, 8) {
				if a, err := w.chunk(i); err == nil {
					a.compare(0, make([]float32, w.Vocab), 0)
				}
			}
		}
		if h, err := openTop(in, int64(len(data))); err == nil {
			for i := range min(h.text.chunks, 8) {
				if a, err := h.chunk(i); err == nil {
					a.compare(0, make([]float32, h.Vocab), 0)
				}
			}
		}
	})
}

// Over twenty draws of chunks the figures of the whole text lie in the intervals, as often as 95% of draws at least.
func TestIntervalsHold(t *testing.T) {
	ctx := context.Background()
	b, err := NewBaseline(ctx, load(t, tinyPlan(t), asReference(runtime.ActivationsF32)), validText(t), PerplexityOptions{Context: 128}, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := []string{"Q6_K", "Q4_K_M"}
	if testing.Short() {
		rows = rows[1:]
	}
	for _, row := range rows {
		e := newEvaluator(load(t, golden(t, row), asReference(runtime.ActivationsRounded)), b.text, nil)
		chunks := make([][]position, b.text.chunks)
		var all []position
		for i := range chunks {
			base, err := b.chunk(ctx, i)
			if err != nil {
				t.Fatal(err)
			}
			chunks[i] = make([]position, b.text.scored())
			err = e.run(ctx, i, func(j int, logits []float32) { chunks[i][j] = base.compare(j, logits, b.text.next(i, j)) })
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, chunks[i]...)
		}
		whole := b.text.statistics(all)
		for _, n := range []int{minChunks, 2 * minChunks} {
			var missed [6]int
			for seed := range uint64(20) {
				drawn := *b.text
				drawn.pick(PerplexityOptions{Random: true, Seed: seed, Chunks: n})
				var some []position
				for _, i := range drawn.picks {
					some = append(some, chunks[i]...)
				}
				d := drawn.statistics(some)
				for k, c := range []struct {
					*Interval
					v float64
				}{{&d.MeanInterval, whole.Mean}, {&d.SameTopInterval, whole.SameTop}, {&d.PPL.Interval, whole.PPL.PPL}, {&d.RatioInterval, whole.Ratio}, {d.MedianInterval, whole.Median}, {d.P99Interval, whole.P99}} {
					if c.Interval != nil && (c.v < c.Low || c.v > c.High) {
						missed[k]++
					}
				}
				if d.PPL.Chunks != n || d.PPL.Of != len(chunks) {
					t.Errorf("%d of %d chunks", d.PPL.Chunks, d.PPL.Of)
				}
			}
			t.Logf("%s, %d of %d chunks: outside of 20 intervals are mean KLD %d, same top %d, perplexity %d, ratio %d, median %d, 99%% %d", row, n, len(chunks), missed[0], missed[1], missed[2], missed[3], missed[4], missed[5])
			for _, k := range missed {
				if k > 1 {
					t.Errorf("%s, %d chunks: %v of 20 intervals miss the whole text's figure", row, n, missed)
					break
				}
			}
		}
	}
}

// A budget scores at least the fewest chunks, others than the first, the same for the same seed.
func TestBudget(t *testing.T) {
	ctx, text := context.Background(), validText(t)
	m := load(t, tinyPlan(t), runtime.Options{})
	var got []PerplexityResult
	for _, seed := range []uint64{1, 1, 2} {
		p, err := Perplexity(ctx, m, text, PerplexityOptions{Context: 64, Budget: 1, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	first, err := Perplexity(ctx, m, text, PerplexityOptions{Context: 64, Chunks: minChunks})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Chunks != minChunks || got[0].PPL != got[1].PPL || got[0].PPL == got[2].PPL || got[0].PPL == first.PPL {
		t.Errorf("%+v\n%+v\n%+v\nfirst chunks %+v", got[0], got[1], got[2], first)
	}
	b, err := NewBaseline(ctx, m, text, PerplexityOptions{Context: 64, Budget: 1, Seed: 1}, 0)
	if err != nil || b.Kept() {
		t.Fatalf("kept %v, %v: how many chunks there is time for is not known yet", b.Kept(), err)
	}
	d, err := b.Divergence(ctx, m)
	if err != nil || d.PPL.Chunks != minChunks || len(d.ChunkMeans) != minChunks || math.Abs(d.PPL.PPL-got[0].PPL) > 1e-5 {
		t.Errorf("%+v, %v; want the chunks of %+v", d, err, got[0])
	}
}
