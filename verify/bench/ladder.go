package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/runtime/offload"
)

// LadderOptions of MeasureLadder.
type LadderOptions struct {
	Command []string // that runs this program: each step is a process of its own, so that its peak of memory is its own
	Source  string   // as the command takes it
	Name    string   // of the model, in the report
	Args    []string // more of bench's, for every step
	Steps   []int    // values of --n-cpu-moe
	PP, TG  int
	Runs    int
	Order   uint64 // seed of the steps' order
	Threads int

	Progress func(done, all int) // may be nil
}

// Ladder is the speed and memory of one file with the experts of more and more layers on the host.
type Ladder struct {
	Model   string `json:"model"`
	Layers  int    `json:"layers"`
	Threads int    `json:"threads"`
	Context int    `json:"context"` // positions
	KV      string `json:"kv"`
	PP      int    `json:"pp"`
	TG      int    `json:"tg"`
	Runs    int    `json:"runs"`
	Order   uint64 `json:"order_seed"`
	Started string `json:"started"` // RFC 3339
	Device  string `json:"device"`  // what is said of it, and why
	Steps   []Step `json:"steps"`   // by n_cpu_moe
}

// Is reports whether a ladder has these steps and no others, in any order.
func (l *Ladder) Is(steps []int) bool {
	steps = slices.Sorted(slices.Values(steps))
	return l != nil && slices.EqualFunc(l.Steps, steps, func(s Step, n int) bool { return s.NCPUMoE == n })
}

// noDevice is what a ladder says of a device: this runtime computes on the CPU.
const noDevice = "not measured: this runtime has no device. All tensors were in this machine's memory, computed by its CPU, whatever their place; device figures are the ledger's"

// Step is one placement.
type Step struct {
	NCPUMoE int      `json:"n_cpu_moe"`
	Order   int      `json:"order"` // in which it was measured, from 0
	Placed  Placed   `json:"placement"`
	Prefill *Speed   `json:"prefill_tok_s"`
	Decode  *Speed   `json:"decode_tok_s"`
	Memory  []Figure `json:"memory"`
	Load    float64  `json:"load_s"`
	Seconds float64  `json:"elapsed_s"` // of the whole process
}

// StepsError says that a ladder's steps are not placements of this model.
type StepsError struct{ Msg, Help string }

func (e *StepsError) Error() string { return "bench: ladder: " + e.Msg }

// Hint tells which steps there are.
func (e *StepsError) Hint() string { return e.Help }

// ladderPlan is where each step has to place tensors, by the header.
func ladderPlan(src gguf.Source, steps []int) (layers int, plan map[int]*offload.Ledger, err error) {
	md := src.Metadata()
	count, err := md.Int(md.ArchKey("block_count"))
	if err != nil {
		return 0, nil, fmt.Errorf("bench: %w", err)
	}
	layers = int(count)
	if len(steps) < 2 {
		return 0, nil, &StepsError{fmt.Sprintf("%d steps: want 2 or more, to compare", len(steps)), fmt.Sprintf("--n-cpu-moe goes from 0 to %d here", layers)}
	}
	plan = map[int]*offload.Ledger{}
	for _, n := range steps {
		if n < 0 || n > layers || plan[n] != nil {
			return 0, nil, &StepsError{fmt.Sprintf("step %d is not possible, or there twice", n), fmt.Sprintf("the model has %d layers: --n-cpu-moe goes from 0 to %d", layers, layers)}
		}
		if plan[n], err = offload.NewLedger(md, src.Tensors(), offload.Options{NCPUMoE: n}); err != nil {
			return 0, nil, fmt.Errorf("bench: %w", err)
		}
	}
	if tensors, _ := plan[slices.Max(steps)].Moved(names.RoutedExpert); tensors == 0 {
		return 0, nil, &StepsError{"no step moves an expert tensor", "dense models, and dense layers in front, have none to move"}
	}
	return layers, plan, nil
}

// MeasureLadder measures every step in a process of its own, in random order. src is the file that they load, opened to
// read its header. A step that cannot have run as it says is an *ImplausibleError, and nothing is reported.
func MeasureLadder(ctx context.Context, src gguf.Source, o LadderOptions) (*Ladder, error) {
	if o.Runs < LeastRuns {
		return nil, fmt.Errorf("bench: %d runs: want %d or more, for an interval", o.Runs, LeastRuns)
	}
	layers, plan, err := ladderPlan(src, o.Steps)
	if err != nil {
		return nil, err
	}
	l := &Ladder{Model: o.Name, Layers: layers, PP: o.PP, TG: o.TG, Runs: o.Runs, Order: o.Order,
		Started: time.Now().UTC().Format(time.RFC3339), Device: noDevice}
	steps := slices.Clone(o.Steps)
	rand.New(rand.NewPCG(o.Order, 0)).Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for i, n := range steps {
		step, raw, err := o.step(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("bench: --n-cpu-moe %d: %w", n, err)
		}
		if err := step.plausible(plan[n], o); err != nil {
			return nil, fmt.Errorf("bench: --n-cpu-moe %d: %w", n, err)
		}
		step.Order, l.Threads, l.Context, l.KV = i, raw.Threads, raw.Context, raw.KV
		l.Steps = append(l.Steps, *step)
		if o.Progress != nil {
			o.Progress(i+1, len(steps))
		}
	}
	slices.SortFunc(l.Steps, func(a, b Step) int { return cmp.Compare(a.NCPUMoE, b.NCPUMoE) })
	return l, nil
}

// step runs one placement.
func (o *LadderOptions) step(ctx context.Context, n int) (*Step, *Raw, error) {
	args := append(slices.Clone(o.Command[1:]), "bench", o.Source, "--raw", "--json", "--progress", "none", "--n-cpu-moe", strconv.Itoa(n),
		"--pp", strconv.Itoa(o.PP), "--tg", strconv.Itoa(o.TG), "--repeat", strconv.Itoa(o.Runs), "--threads", strconv.Itoa(o.Threads))
	start := time.Now()
	out, peak, err := runChild(ctx, o.Command[0], append(args, o.Args...))
	if err != nil {
		return nil, nil, err
	}
	raw := &Raw{}
	if err := json.Unmarshal(out, raw); err != nil {
		return nil, nil, fmt.Errorf("its document: %w", err)
	}
	s := &Step{NCPUMoE: n, Placed: raw.Placed, Load: raw.Load, Seconds: time.Since(start).Seconds(), Memory: raw.Memory,
		Prefill: raw.Results[fmt.Sprintf("pp%d", o.PP)], Decode: raw.Results[fmt.Sprintf("tg%d", o.TG)]}
	if peak != nil && s.Figure(peakName) == nil { // Linux counts the parent's peak in, which the process itself does not
		s.Memory = append(s.Memory, *peak)
	}
	return s, raw, nil
}

// slack is by how much the kernel's counters of one process may differ: pages are counted in batches.
const slack = 4 << 20

// plausible refuses a step that cannot have run, or not as it was told to.
func (s *Step) plausible(plan *offload.Ledger, o LadderOptions) error {
	if err := s.Prefill.plausible(fmt.Sprintf("pp%d", o.PP), o.Runs); err != nil {
		return err
	}
	if err := s.Decode.plausible(fmt.Sprintf("tg%d", o.TG), o.Runs); err != nil {
		return err
	}
	if !(s.Load > 0) || s.Load > s.Seconds {
		return implausible("the model was loaded in %v of %v s", s.Load, s.Seconds)
	}
	tensors, bytes := plan.Moved(names.RoutedExpert)
	if s.Placed.HostExperts != tensors || s.Placed.HostExpertBytes != bytes {
		return implausible("%d expert tensors of %d bytes were on the host, the header says %d of %d", s.Placed.HostExperts, s.Placed.HostExpertBytes, tensors, bytes)
	}
	if err := plausibleMemory(s.Memory); err != nil {
		return err
	}
	peak := s.Peak()
	if peak == nil {
		return implausible("nothing tells how much memory the process took")
	}
	if need := s.Placed.Resident; peak.Bytes+slack < need {
		return implausible("the process had %d bytes at its peak (%s), less than the %d of weights that it had read into memory; a machine that swaps measures nothing", peak.Bytes, peak.Method, need)
	}
	return nil
}

// Peak is the step's peak of memory: by the process itself, else by the kernel's account of it; nil where neither is there.
func (s *Step) Peak() *Figure {
	if f := s.Figure(peakName); f != nil {
		return f
	}
	return s.Figure(childPeakName)
}

// Figure is an amount of memory by its name, nil where the step has none.
func (s *Step) Figure(name string) *Figure { return find(s.Memory, name) }
