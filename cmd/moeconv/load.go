package main

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/runtime/offload"
)

// llamaSpelling replaces llama.cpp's short forms of flags, which would be read as -o and a value, where they are flags.
func llamaSpelling(args []string) []string {
	out := slices.Clone(args)
	if len(out) == 0 {
		return out
	}
	for i, a := range out {
		switch {
		case a == "-ofreq" && out[0] == "imatrix":
			out[i] = "--output-frequency"
		case a == "-ot" && slices.Contains([]string{"generate", "chat", "serve", "bench", "logits", "perplexity", "imatrix"}, out[0]):
			out[i] = "--override-tensor"
		}
	}
	return out
}

// runFlags are the flags of every verb that runs a model.
type runFlags struct {
	threads        int
	context        int
	activations    string
	kv             string
	compat         string
	cpuMoE         bool
	nCPUMoE        int
	overrides      []string
	offloadShared  bool
	placementLines bool
	mapped         bool
	fullWindows    bool
	sessions       int // texts at the same time
	ram, expertRAM string
	own            *pflag.FlagSet // that the placement was read from, where it is not the command's flags
	layers         layerFlag      // of verbs that score whole texts
}

func (r *runFlags) register(f *pflag.FlagSet, activations, kv string) {
	f.IntVar(&r.threads, "threads", 0, "number of threads (default: all cores)")
	f.IntVarP(&r.context, "ctx", "c", 0, "positions of the context (default: the model's)")
	f.StringVar(&r.activations, "activations", activations, "layer inputs: f32, rounded as llama.cpp rounds them, integers: the same, multiplied in integers, which is faster; auto: rounded where weights are quantized, else f32")
	f.StringVar(&r.kv, "kv", kv, "type of the KV cache: f32, f16 or q8_0")
	f.BoolVar(&r.fullWindows, "swa-full", false, "cache all positions in layers that see a window, too: texts that are cut (chats, servers) need not be evaluated again")
	f.StringVar(&r.compat, "compat", "llama.cpp", "formulas where the published model's differ from llama.cpp's (Phi-3.5-MoE, GPT-OSS): llama.cpp, or hf")
	f.BoolVar(&r.placementLines, "placement", false, "print where each tensor lies")
	r.registerPlaces(f)
}

// registerPlaces registers the flags that say where tensors lie.
func (r *runFlags) registerPlaces(f *pflag.FlagSet) {
	f.BoolVar(&r.cpuMoE, "cpu-moe", false, "place all routed experts in host memory")
	f.IntVar(&r.nCPUMoE, "n-cpu-moe", -1, "place the routed experts of the first `N` layers in host memory")
	f.StringArrayVar(&r.overrides, "override-tensor", nil, "place tensors: `REGEX=PLACE` (CPU, device, mapped or streamed), repeatable")
	f.BoolVar(&r.offloadShared, "offload-shared", false, "with --cpu-moe or --n-cpu-moe: place shared experts in host memory too")
	f.StringVar(&r.ram, "ram", "", "memory of `SIZE` for weights, KV cache and computing (default: what is free); of a model that needs more, routed experts are streamed")
	f.StringVar(&r.expertRAM, "expert-ram", "", "stream routed experts from the disk, through a cache of this `SIZE` (12G is decimal)")
	f.BoolVar(&r.mapped, "mmap", false, "map the file instead of reading it into memory")
}

func (r *runFlags) options(cmd *cobra.Command) (runtime.Options, error) {
	opts := runtime.Options{Threads: r.threads, Context: r.context, FullWindows: r.fullWindows, Sessions: r.sessions}
	switch r.activations {
	case "f32", "auto":
		opts.Activations = runtime.ActivationsF32
	case "rounded":
		opts.Activations = runtime.ActivationsRounded
	case "integers":
		opts.Activations = runtime.ActivationsIntegers
	default:
		return opts, usageError{fmt.Errorf("--activations %s: want f32, rounded, integers or auto", r.activations)}
	}
	switch r.compat {
	case "llama.cpp":
	case "hf":
		opts.Compat = nn.CompatHF
	default:
		return opts, usageError{fmt.Errorf("--compat %s: want llama.cpp or hf", r.compat)}
	}
	kv, err := gguf.ParseType(r.kv)
	if err != nil {
		return opts, usageError{fmt.Errorf("--kv: %w", err)}
	}
	opts.KV = kv
	switch {
	case kv != gguf.F32 && kv != gguf.F16 && kv != gguf.Q8_0:
		return opts, usageError{fmt.Errorf("--kv %s: want f32, f16 or q8_0", r.kv)}
	case r.threads < 0:
		return opts, usageError{fmt.Errorf("--threads %d: want 1 or more, or 0 for all cores", r.threads)}
	case r.context < 0:
		return opts, usageError{fmt.Errorf("--ctx %d: want 1 or more positions, or 0 for the model's", r.context)}
	}
	given := cmd.Flags()
	if r.own != nil {
		given = r.own
	}
	if given.Changed("n-cpu-moe") {
		if r.cpuMoE {
			return opts, usageError{fmt.Errorf("the argument '--cpu-moe' cannot be used with '--n-cpu-moe <N>'")}
		}
		if r.nCPUMoE < 0 {
			return opts, usageError{fmt.Errorf("--n-cpu-moe %d: want 0 or more layers", r.nCPUMoE)}
		}
	}
	opts.Placement = offload.Options{CPUMoE: r.cpuMoE, NCPUMoE: r.nCPUMoE, OffloadShared: r.offloadShared, Map: r.mapped}
	for _, s := range r.overrides {
		rules, err := offload.ParseOverrides(s)
		if err != nil {
			return opts, usageError{err}
		}
		opts.Placement.Overrides = append(opts.Placement.Overrides, rules...)
	}
	return opts, r.memory(&opts)
}

// memory bounds what the model may take: by what the user said, or by what is free.
func (r *runFlags) memory(opts *runtime.Options) error {
	for _, f := range []struct {
		name, value string
		to          *int64
	}{{"ram", r.ram, &opts.RAM}, {"expert-ram", r.expertRAM, &opts.ExpertRAM}} {
		if f.value == "" {
			continue
		}
		var err error
		if *f.to, err = recipes.ParseSize(f.value); err != nil {
			return usageError{fmt.Errorf("--%s: %w", f.name, err)}
		}
	}
	if r.ram == "" {
		*opts = opts.Fitted()
	}
	return nil
}

// placed reports whether a flag asks for a placement, so that its lines are worth printing.
func (r *runFlags) placed() bool {
	return r.placementLines || r.cpuMoE || r.nCPUMoE >= 0 || len(r.overrides) > 0 || r.ram != "" || r.expertRAM != "" || r.mapped
}

// load opens and loads SRC; done frees it.
func (a *app) load(name string, flags sourceFlags, run runFlags, cmd *cobra.Command) (*runtime.Model, func(), error) {
	opts, err := run.options(cmd)
	if err != nil {
		return nil, nil, err
	}
	if run.placed() {
		opts.Log = func(line string) { a.log.line(line) }
	}
	src, err := a.open(name, flags)
	if err != nil {
		return nil, nil, err
	}
	if run.activations == "auto" && opts.Compat == nn.CompatLlamaCpp && hasQuantized(src.Source) {
		opts.Activations = runtime.ActivationsRounded
	}
	if opts.Layers, err = run.layers.decide(src.Source, opts.RAM); err != nil {
		src.Close()
		return nil, nil, err
	}
	if opts.Layers && run.layers.choice == "auto" {
		a.diag("note: %s is larger than the memory that is free: it is read a block at a time, once for all chunks", name)
	}
	m, err := runtime.Load(src.Source, opts)
	if err != nil {
		src.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	if !m.NeedsSource() {
		src.Close()
		return m, func() { m.Close() }, nil
	}
	a.tellStorage(name, m, opts)
	return m, func() { m.Close(); src.Close() }, nil
}

// tellStorage says what is not in memory though nobody asked for that, and has garbage collected before it fills the
// memory that is meant for weights.
func (a *app) tellStorage(name string, m *runtime.Model, opts runtime.Options) {
	l := m.Ledger()
	asked := opts.Placement.Map || opts.ExpertRAM > 0 || slices.ContainsFunc(opts.Placement.Overrides, func(o offload.Override) bool { return o.Storage != "" })
	if opts.Fit && !asked {
		for _, s := range l.Storage() {
			if s.Storage != offload.Resident && s.Tensors > 0 {
				a.diag("note: %s is larger than the memory that is free: %d tensors, %.2f GiB, are %s (--placement tells more)",
					name, s.Tensors, float64(s.Bytes)/(1<<30), s.Storage)
			}
		}
	}
	if kept := m.Needs().Cache; opts.Fit && l.ExpertRAM > 0 && kept > l.ExpertRAM {
		a.diag("note: %d MiB are kept for KV caches, and %d for experts; a smaller context (--ctx) leaves them more", kept>>20, l.ExpertRAM>>20)
	}
	if opts.RAM > l.ExpertRAM {
		debug.SetMemoryLimit(opts.RAM - l.ExpertRAM)
	}
}

// hasQuantized reports whether a model has weights in blocks, whose inputs llama.cpp rounds. The design has f32 as the
// default of logits; but what a user holds a quantized file's logits against are llama.cpp's.
func hasQuantized(src gguf.Source) bool {
	return slices.ContainsFunc(src.Tensors(), func(t gguf.TensorInfo) bool { return t.Type.BlockLen() > 1 })
}
