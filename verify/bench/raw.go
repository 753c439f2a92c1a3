package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/runtime"
)

// RawOptions of MeasureRaw.
type RawOptions struct {
	PP, TG  int // tokens evaluated at once, and one by one
	Runs    int
	Threads int // 0: all cores
	Hosted  Hosted
}

// Raw is the speed of evaluation alone: no text, no sampling. Beside the keys of its fields its JSON has one a test,
// named as llama-bench names them: pp512, tg128.
type Raw struct {
	Threads       int               `json:"threads"`
	Context       int               `json:"context"` // positions
	KV            string            `json:"kv"`      // type of cached keys and values
	Results       map[string]*Speed `json:"-"`
	Load          float64           `json:"load_s"`
	TokenBytes    int64             `json:"bytes_per_token"`
	ReadBandwidth float64           `json:"read_bandwidth"` // bytes/s
	Share         float64           `json:"bandwidth_share"`
	Offload       *Streamed         `json:"offload,omitempty"`
	Placed        Placed            `json:"placement"`
	Memory        []Figure          `json:"memory"`
}

// Speed is tokens per second over runs.
type Speed struct {
	Mean   float64   `json:"mean"`
	Stddev float64   `json:"stddev"` // of the sample
	CI95   *float64  `json:"ci95"`   // half the width of the mean's 95% interval, by Student's t; null of one run
	Runs   []float64 `json:"runs"`   // in the order in which they were measured
	N      int       `json:"n"`
}

// Placed is where a loaded model's tensors are, by the ledger that it was loaded with.
type Placed struct {
	HostExperts     int   `json:"host_expert_tensors"` // on the host; without a device they differ from the others by name alone
	HostExpertBytes int64 `json:"host_expert_bytes"`
	Resident        int64 `json:"resident_bytes"` // of all tensors, read into memory
}

func newSpeed(values []float64) *Speed {
	s := &Speed{Mean: values[0], Runs: values, N: len(values)}
	if stat := newStat(values); stat != nil {
		s.Mean, s.Stddev, s.CI95 = stat.Mean, stat.Stddev, &stat.CI95
	}
	return s
}

// MeasureRaw evaluates PP tokens at once and TG tokens one by one, each in an empty context, once to warm up and then
// Runs times. Of a model whose experts are streamed it compares reading with what the disk gives, of others with what
// memory gives.
func MeasureRaw(ctx context.Context, m *runtime.Model, o RawOptions) (*Raw, error) {
	r := &Raw{Threads: o.Threads, Context: m.ContextLength(), KV: o.Hosted.KV.GGMLName(), Results: map[string]*Speed{}, Load: o.Hosted.Load.Seconds(), TokenBytes: m.TokenBytes(), Placed: *where(m)}
	if r.Threads == 0 {
		r.Threads = goruntime.GOMAXPROCS(0)
	}
	ids := make([]int32, max(o.PP, o.TG))
	for i := range ids {
		ids[i] = int32(i * 7919 % m.VocabSize())
	}
	tg := fmt.Sprintf("tg%d", o.TG)
	for _, c := range []struct {
		name string
		ids  []int32
		step int
	}{{fmt.Sprintf("pp%d", o.PP), ids[:o.PP], o.PP}, {tg, ids[:o.TG], 1}} {
		speeds, err := r.evaluate(ctx, m, c.ids, c.step, o.Runs)
		if err != nil {
			return nil, err
		}
		r.Results[c.name] = newSpeed(speeds)
	}
	var err error
	if r.Memory, err = o.Hosted.memory(m, "this process: the model, its cache and buffers, and the program"); err != nil {
		return nil, err
	}
	if err := plausibleMemory(r.Memory); err != nil {
		return nil, err
	}
	if r.Offload != nil { // memory is what there is too little of
		return r, r.Offload.compare(ctx, m)
	}
	r.ReadBandwidth = runtime.ReadBandwidth(r.Threads)
	r.Share = r.Results[tg].Mean * float64(r.TokenBytes) / r.ReadBandwidth
	return r, nil
}

// evaluate is the speed of each run.
func (r *Raw) evaluate(ctx context.Context, m *runtime.Model, ids []int32, step, runs int) (speeds []float64, err error) {
	s := m.NewSession()
	r.Offload = newStreamed(m)
	for i := range runs + 1 {
		s.Reset()
		start := time.Now()
		for at := 0; at < len(ids); at += step {
			if _, err := s.Eval(ctx, ids[at:at+step], runtime.WantLast); err != nil {
				return nil, err
			}
		}
		took := time.Since(start)
		if i > 0 {
			speeds = append(speeds, float64(len(ids))/took.Seconds())
		}
		r.Offload.count(m, i > 0, took)
	}
	return speeds, nil
}

// where is where a model's tensors are.
func where(m *runtime.Model) *Placed {
	p := &Placed{Resident: m.Needs().Weights}
	p.HostExperts, p.HostExpertBytes = m.Ledger().Moved(names.RoutedExpert)
	return p
}

// MarshalJSON puts the tests behind the other keys.
func (r *Raw) MarshalJSON() ([]byte, error) {
	type plain Raw
	out, err := json.Marshal((*plain)(r))
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Results)) {
		s, err := json.Marshal(r.Results[name])
		if err != nil {
			return nil, err
		}
		out = fmt.Appendf(out[:len(out)-1], ",%q:%s}", name, s)
	}
	return out, nil
}

// testName is a test's key.
var testName = regexp.MustCompile(`^(pp|tg)\d+$`)

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Raw) UnmarshalJSON(data []byte) error {
	type plain Raw
	if err := json.Unmarshal(data, (*plain)(r)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	r.Results = map[string]*Speed{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !testName.MatchString(name) {
			continue
		}
		s := &Speed{}
		if err := json.Unmarshal(all[name], s); err != nil {
			return err
		}
		r.Results[name] = s
	}
	return nil
}

// plausible refuses speeds that no run has.
func (s *Speed) plausible(name string, runs int) error {
	if s == nil || s.N != runs || len(s.Runs) != runs {
		return implausible("%s: not all of %d runs were measured", name, runs)
	}
	for _, v := range s.Runs {
		if !(v > 0) || math.IsInf(v, 0) {
			return implausible("%s: %v tok/s", name, v)
		}
	}
	if runs >= LeastRuns && slices.Min(s.Runs) == slices.Max(s.Runs) {
		return implausible("%s: %v tok/s in all of %d runs", name, s.Runs[0], runs)
	}
	return nil
}
