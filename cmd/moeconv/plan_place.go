package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/runtime/offload"
)

// placeOptions are the flags of plan that ask where tensors would lie.
type placeOptions struct {
	vram, ram, margin    string
	maxDevice            int64
	table                []string
	scheme               string
	keepNative           bool
	context, batch       int
	key, value           string
	cpuMoE               bool
	nCPUMoE              int
	wanted, fixed        bool  // any flag was given; the placement was
	device, host, spared int64 // bytes; MaxInt64: no bound
	cards                []int64
	keyType, valueType   gguf.Type
}

// placeFlags are the flags each of which asks for a placement.
var placeFlags = []string{"vram", "ram", "margin", "max-device-mib", "table", "type", "keep-native", "ctx", "ubatch-size", "cache-type-k", "cache-type-v", "cpu-moe", "n-cpu-moe"}

func (o *placeOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.vram, "vram", "", "memory of the device: `SIZE` (24GiB; a bare number is GiB); finds the smallest --n-cpu-moe that fits")
	f.StringVar(&o.ram, "ram", "", "memory of the host for tensors: `SIZE`")
	f.StringVar(&o.margin, "margin", "0", "`SIZE` of the device that stays free, for the driver's context and other programs")
	f.Int64Var(&o.maxDevice, "max-device-mib", 0, "fail with exit status 3 where weights, KV and compute need more `MiB` of the device")
	f.StringSliceVar(&o.table, "table", nil, "`SIZES` of devices to make a table for: 8,12,16,24,48 (GiB)")
	f.StringVar(&o.scheme, "type", "", "`SCHEME` to place: Q4_K_M, F16, ... (default: a file as it is, a checkpoint's auto conversion)")
	f.BoolVar(&o.keepNative, "keep-native", false, "with --type: experts that are MXFP4 stay so, as quantize --keep-native leaves them")
	f.IntVarP(&o.context, "ctx", "c", 4096, "positions of the context")
	f.IntVar(&o.batch, "ubatch-size", 512, "tokens computed at once (llama.cpp's -ub)")
	f.StringVar(&o.key, "cache-type-k", "f16", "type of cached keys")
	f.StringVar(&o.value, "cache-type-v", "f16", "type of cached values")
	f.BoolVar(&o.cpuMoE, "cpu-moe", false, "place all routed experts on the host, instead of finding how many")
	f.IntVar(&o.nCPUMoE, "n-cpu-moe", 0, "place those of the first `N` layers on the host, instead of finding how many")
}

func (o *placeOptions) parse(f *pflag.FlagSet) error {
	for _, name := range placeFlags {
		o.wanted = o.wanted || f.Changed(name)
	}
	o.fixed = o.cpuMoE || f.Changed("n-cpu-moe")
	switch {
	case o.cpuMoE && f.Changed("n-cpu-moe"):
		return usageError{&offload.ConflictError{Flag: "--cpu-moe", Other: "--n-cpu-moe <N>"}}
	case o.nCPUMoE < 0:
		return usageError{fmt.Errorf("--n-cpu-moe %d: want 0 or more layers", o.nCPUMoE)}
	case o.context < 1 || o.batch < 1:
		return usageError{fmt.Errorf("--ctx %d, --ubatch-size %d: want 1 or more", o.context, o.batch)}
	case f.Changed("max-device-mib") && (o.maxDevice < 1 || o.maxDevice > math.MaxInt64>>20):
		return usageError{fmt.Errorf("--max-device-mib %d: want 1 or more", o.maxDevice)}
	}
	for flag, p := range map[string]struct {
		text  string
		to    *int64
		empty int64
	}{"vram": {o.vram, &o.device, math.MaxInt64}, "ram": {o.ram, &o.host, math.MaxInt64}, "margin": {o.margin, &o.spared, 0}} {
		*p.to = p.empty
		if p.text == "" || flag == "margin" && p.text == "0" {
			continue
		}
		n, err := parseMemory(p.text)
		if err != nil {
			return usageError{fmt.Errorf("--%s: %w", flag, err)}
		}
		*p.to = n
	}
	for _, text := range o.table {
		n, err := parseMemory(text)
		if err != nil {
			return usageError{fmt.Errorf("--table: %w", err)}
		}
		o.cards = append(o.cards, n)
	}
	var err, err2 error
	o.keyType, err = gguf.ParseType(o.key)
	o.valueType, err2 = gguf.ParseType(o.value)
	if err = errors.Join(err, err2); err != nil {
		return usageError{fmt.Errorf("--cache-type-k, --cache-type-v: %w", err)}
	}
	return nil
}

// parseMemory is a size; a bare number counts GiB, as graphics cards are named.
func parseMemory(s string) (int64, error) {
	if _, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
		s = strings.TrimSpace(s) + "GiB"
	}
	return recipes.ParseSize(s)
}

// limit is how much of a device of size bytes may be used.
func (o *placeOptions) limit(size int64) int64 {
	if size != math.MaxInt64 {
		size = max(0, size-o.spared)
	}
	if o.maxDevice > 0 {
		size = min(size, o.maxDevice<<20)
	}
	return size
}

// source is the model in the types to be placed.
func (o *placeOptions) source(src gguf.Source, p *convert.Plan) (gguf.Source, error) {
	if p != nil {
		name := strings.ToLower(o.scheme)
		switch name {
		case "":
			name = "auto"
		case "f32", "f16", "bf16", "auto":
		default:
			auto, err := p.Preview("auto")
			if err != nil {
				return nil, err
			}
			return o.quantized(auto)
		}
		return p.Preview(name)
	}
	if o.scheme == "" {
		return src, nil
	}
	return o.quantized(src)
}

func (o *placeOptions) quantized(src gguf.Source) (gguf.Source, error) {
	s, err := quantize.ParseScheme(o.scheme)
	if err != nil || s.Copy {
		return nil, usageError{fmt.Errorf("--type: %s is no scheme", o.scheme)}
	}
	return quantize.New(src, s, quantize.Options{PlanOnly: true, KeepNative: o.keepNative})
}

// place finds the placement. Where none fits, Refused says so.
func (o *placeOptions) place(name string, src gguf.Source, p *convert.Plan) (*placeDoc, error) {
	src, err := o.source(src, p)
	if err != nil {
		return nil, err
	}
	md := src.Metadata()
	cache := o.cache()
	cache.Windows = recipes.Windows(md)
	planner, err := offload.NewPlanner(md, src.Tensors(), cache)
	if err != nil {
		return nil, err
	}
	all, err := planner.All()
	if err != nil {
		return nil, err
	}
	d := newPlaceDoc(name, o, planner, all)
	if o.fixed { // one placement is judged
		n := min(o.nCPUMoE, planner.Blocks())
		if o.cpuMoE {
			n = planner.Blocks()
		}
		all = all[n : n+1]
	}
	f, err := offload.Smallest(all, o.limit(o.device), o.host)
	d.choose(o, planner, f, err)
	for _, size := range o.cards {
		d.addCard(o, planner, all, size)
	}
	return d, nil
}

// cache is the cache that is planned for, but for the architecture's windows.
func (o *placeOptions) cache() offload.CacheOptions {
	return offload.CacheOptions{Context: o.context, Batch: o.batch, Key: o.keyType, Value: o.valueType}
}

// flags are the arguments of llama.cpp's tools for a placement.
func (o *placeOptions) flags(planner *offload.Planner, n int) []string {
	return recipes.LlamaFlags(planner, n, o.cache())
}
