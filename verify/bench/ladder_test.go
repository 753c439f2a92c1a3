package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/testdata"
)

// childEnv makes a process of these tests the process of a step; its value is what is wrong with it.
const childEnv = "MOECONV_TEST_STEP"

func TestMain(m *testing.M) {
	mode := os.Getenv(childEnv)
	if mode == "" {
		os.Exit(m.Run())
	}
	if err := stepProcess(mode); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// stepProcess measures as bench --raw does, but for what mode damages.
func stepProcess(mode string) error {
	switch mode {
	case "hangs":
		if err := os.WriteFile(os.Getenv("PID_FILE"), []byte(strconv.Itoa(os.Getpid())), 0o666); err != nil {
			return err
		}
		time.Sleep(time.Hour)
	case "fails":
		fmt.Println(`{"error": {"code": 4, "message": "no such thing", "hint": "another"}}`)
		os.Exit(4)
	case "crashes":
		fmt.Fprintln(os.Stderr, "fatal error: out of memory")
		os.Exit(2)
	}
	f := flag.NewFlagSet("step", flag.ContinueOnError)
	n, pp, tg, repeat, threads := f.Int("n-cpu-moe", 0, ""), f.Int("pp", 0, ""), f.Int("tg", 0, ""), f.Int("repeat", 0, ""), f.Int("threads", 0, "")
	f.Bool("raw", false, "")
	f.Bool("json", false, "")
	f.String("progress", "", "")
	if err := f.Parse(os.Args[3:]); err != nil {
		return err
	}
	p, err := convert.NewPlan(os.DirFS(os.Args[2]), convert.Options{OutType: "bf16", Name: "tiny"})
	if err != nil {
		return err
	}
	defer p.Close()
	place := offload.Options{NCPUMoE: *n}
	if mode == "elsewhere" {
		place.NCPUMoE = 0
	}
	start := time.Now()
	m, err := runtime.Load(p, runtime.Options{Context: 32, Threads: *threads, KV: gguf.F16, Placement: place})
	if err != nil {
		return err
	}
	r, err := MeasureRaw(context.Background(), m, RawOptions{PP: *pp, TG: *tg, Runs: *repeat, Threads: *threads,
		Hosted: Hosted{Name: "tiny", Tensors: p.Tensors(), KV: gguf.F16, Place: place, Load: time.Since(start)}})
	if err != nil {
		return err
	}
	damage(r, mode)
	data, err := json.Marshal(r)
	if err == nil {
		_, err = os.Stdout.Write(data)
	}
	return err
}

func damage(r *Raw, mode string) {
	for _, s := range r.Results {
		switch mode {
		case "one speed":
			s.Runs[0], s.Runs[1], s.Runs[2] = 5, 5, 5
		case "no speed":
			s.Runs[1] = 0
		case "fewer runs":
			s.Runs, s.N = s.Runs[:2], 2
		}
	}
	for i := range r.Memory {
		if f := &r.Memory[i]; f.Name == peakName || f.Name == "rss" {
			switch mode {
			case "no memory":
				f.Bytes = 0
			case "little memory":
				f.Bytes = 1 << 20
			}
		}
	}
	if mode == "no load" {
		r.Load = 0
	}
	if mode == "little memory" {
		r.Placed.Resident += 64 << 20
	}
}

func ladder(t *testing.T, mode string, steps ...int) (*Ladder, error) {
	t.Helper()
	p, err := convert.NewPlan(os.DirFS(testdata.Path("tiny/tiny-moe-go")), convert.Options{OutType: "bf16", Name: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	t.Setenv(childEnv, mode)
	return MeasureLadder(t.Context(), p, LadderOptions{Command: []string{os.Args[0]}, Source: testdata.Path("tiny/tiny-moe-go"), Name: "tiny",
		Steps: steps, PP: 16, TG: 4, Runs: 3, Order: 2})
}

// TestLadder measures placements, each in a process of its own.
func TestLadder(t *testing.T) {
	if testing.Short() {
		t.Skip("processes that read all memory, which the race detector makes slow; the plain run has it")
	}
	l, err := ladder(t, "ok", 2, 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	if l.Layers != 3 || l.Context != 32 || l.KV != "f16" || l.Order != 2 || len(l.Steps) != 3 {
		t.Fatalf("%+v", l)
	}
	order := map[int]bool{}
	for i, s := range l.Steps {
		order[s.Order] = true
		if s.NCPUMoE != []int{0, 2, 3}[i] || s.Prefill.N != 3 || s.Decode.N != 3 || *s.Decode.CI95 <= 0 || s.Peak().Bytes < s.Placed.Resident || s.Seconds <= 0 {
			t.Errorf("%+v", s)
		}
		for _, f := range s.Memory {
			if f.Method == "" || f.Scope == "" {
				t.Errorf("%+v", f)
			}
		}
		if f := s.Figure("host_experts"); f.Bytes != s.Placed.HostExpertBytes {
			t.Errorf("%+v, placed %+v", f, s.Placed)
		}
	}
	if len(order) != 3 || l.Steps[0].Figure("device").Bytes <= l.Steps[2].Figure("device").Bytes || l.Steps[0].Placed.HostExperts != 0 {
		t.Errorf("order %v, %+v", order, l.Steps)
	}
	if err := validate(t, map[string]any{"ladder": l}); err != nil {
		t.Error(err)
	}
}

// TestLadderImplausible: nothing is reported of a step that cannot have run as it says.
func TestLadderImplausible(t *testing.T) {
	if testing.Short() {
		t.Skip("a dozen processes, which the race detector makes slow; the plain run has it")
	}
	for mode, want := range map[string]string{
		"one speed": "5 tok/s in all of 3 runs", "no speed": "0 tok/s", "fewer runs": "not all of 3 runs", "no memory": "0 bytes", "no load": "loaded in 0 of",
		"little memory": "at its peak", "elsewhere": "expert tensors of 0 bytes were on the host",
	} {
		_, err := ladder(t, mode, 0, 3)
		var implausible *ImplausibleError
		if !errors.As(err, &implausible) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--n-cpu-moe ") {
			t.Errorf("%s: %v", mode, err)
		}
	}
	for mode, want := range map[string]string{"fails": "no such thing", "crashes": "out of memory"} {
		_, err := ladder(t, mode, 0, 3)
		var child *ChildError
		if !errors.As(err, &child) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	for _, steps := range [][]int{nil, {1}, {0, 4}, {-1, 2}, {2, 2}, {0, 1}} { // the first layer has no experts
		var wrong *StepsError
		if _, err := ladder(t, "ok", steps...); !errors.As(err, &wrong) {
			t.Errorf("%v: %v", steps, err)
		}
	}
}

// TestSpeedJSON: what a step's process prints is read again.
func TestSpeedJSON(t *testing.T) {
	ci := 0.5
	in := &Raw{Threads: 3, Results: map[string]*Speed{"pp8": {Mean: 2, Stddev: 1, CI95: &ci, Runs: []float64{1, 3}, N: 2}}, Memory: []Figure{{"rss", 7, "m", "s"}}}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Raw
	if err := json.Unmarshal(data, &out); err != nil || *out.Results["pp8"].CI95 != ci || out.Threads != 3 || out.Memory[0].Bytes != 7 {
		t.Errorf("%s: %+v, %v", data, out, err)
	}
	raw := &Raw{Threads: 1, Load: 0.1, Context: 8, KV: "f16", TokenBytes: 1, Results: in.Results, Memory: in.Memory}
	if err := validate(t, raw); err != nil {
		t.Error(err)
	}
	raw.Results["pp8"].Runs[0] = 0
	if err := validate(t, raw); err == nil {
		t.Error("no speed is as the schema says")
	}
	if s := newSpeed([]float64{4}); s.Mean != 4 || s.CI95 != nil {
		t.Errorf("%+v", s)
	}
	if err := json.Unmarshal([]byte(`{"pp8": 1}`), &out); err == nil {
		t.Error("a number is a test")
	}
}
