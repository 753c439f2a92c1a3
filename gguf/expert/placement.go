package expert

// Placement regexes, to be searched for in tensor names; the first two are
// llama.cpp's for --cpu-moe and --n-cpu-moe.
const (
	// Pattern matches tensors of routed experts.
	Pattern = `\.ffn_(up|down|gate|gate_up)_(ch|)exps`
	// SharedPattern matches tensors of shared experts.
	SharedPattern = `\.ffn_(up|down|gate|gate_up)_shexp`
)
