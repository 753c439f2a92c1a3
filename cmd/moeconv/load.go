package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/runtime/offload"
)

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
	layers         layerFlag // of verbs that score whole texts
}

func (r *runFlags) register(f *pflag.FlagSet, activations, kv string) {
	f.IntVar(&r.threads, "threads", 0, "number of threads (default: all cores)")
	f.IntVarP(&r.context, "ctx", "c", 0, "positions of the context (default: the model's)")
	f.StringVar(&r.activations, "activations", activations, "layer inputs: f32, rounded as llama.cpp rounds them, or integers: the same, multiplied in integers, which is faster")
	f.StringVar(&r.kv, "kv", kv, "type of the KV cache: f32, f16 or q8_0")
	f.StringVar(&r.compat, "compat", "llama.cpp", "formulas where the published model's differ from llama.cpp's (Phi-3.5-MoE, GPT-OSS): llama.cpp, or hf")
	f.BoolVar(&r.cpuMoE, "cpu-moe", false, "place all routed experts in host memory")
	f.IntVar(&r.nCPUMoE, "n-cpu-moe", -1, "place the routed experts of the first `N` layers in host memory")
	f.StringArrayVar(&r.overrides, "override-tensor", nil, "place tensors: `REGEX=PLACE` (CPU or device), repeatable")
	f.BoolVar(&r.offloadShared, "offload-shared", false, "with --cpu-moe or --n-cpu-moe: place shared experts in host memory too")
	f.BoolVar(&r.placementLines, "placement", false, "print where each tensor lies")
}

func (r *runFlags) options(cmd *cobra.Command) (runtime.Options, error) {
	opts := runtime.Options{Threads: r.threads, Context: r.context}
	switch r.activations {
	case "f32":
		opts.Activations = runtime.ActivationsF32
	case "rounded":
		opts.Activations = runtime.ActivationsRounded
	case "integers":
		opts.Activations = runtime.ActivationsIntegers
	default:
		return opts, usageError{fmt.Errorf("--activations %s: want f32, rounded or integers", r.activations)}
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
	if cmd.Flags().Changed("n-cpu-moe") {
		if r.cpuMoE {
			return opts, usageError{fmt.Errorf("the argument '--cpu-moe' cannot be used with '--n-cpu-moe <N>'")}
		}
		if r.nCPUMoE < 0 {
			return opts, usageError{fmt.Errorf("--n-cpu-moe %d: want 0 or more layers", r.nCPUMoE)}
		}
	}
	opts.Placement = offload.Options{CPUMoE: r.cpuMoE, NCPUMoE: r.nCPUMoE, OffloadShared: r.offloadShared}
	for _, s := range r.overrides {
		rules, err := offload.ParseOverrides(s)
		if err != nil {
			return opts, usageError{err}
		}
		opts.Placement.Overrides = append(opts.Placement.Overrides, rules...)
	}
	return opts, nil
}

// placed reports whether a flag asks for a placement, so that its lines are worth printing.
func (r *runFlags) placed() bool {
	return r.placementLines || r.cpuMoE || r.nCPUMoE >= 0 || len(r.overrides) > 0
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
	if opts.Layers, err = run.layers.decide(src.Source); err != nil {
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
	if !opts.Layers {
		src.Close()
		return m, func() { m.Close() }, nil
	}
	return m, func() { m.Close(); src.Close() }, nil
}
