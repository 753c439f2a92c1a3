package offload

import (
	"fmt"
	"regexp"
	"strings"
)

// Place is where a tensor lives.
type Place string

// The places.
const (
	Device Place = "device" // the accelerator's arena; host memory where there is none
	Host   Place = "host"
)

// Storage is how a tensor is kept in this runtime's memory, whatever its place.
type Storage string

// The ways.
const (
	Resident Storage = "resident" // read into memory
	Mapped   Storage = "mapped"   // mapped from the file: the system reads pages when they are touched, and drops them
	Streamed Storage = "streamed" // routed experts: each is read when it is needed, the most used are kept
)

// Override places the tensors whose name contains a match of Pattern.
type Override struct {
	Pattern string  `json:"pattern"`
	Place   Place   `json:"place"`
	Buffer  string  `json:"buffer"`            // the place as the user wrote it (CPU, CUDA0), printed in log lines; may be empty
	Storage Storage `json:"storage,omitempty"` // empty: as without the rule
}

// Options choose places. The zero value places as llama.cpp does with all layers on the device and no rule.
type Options struct {
	CPUMoE        bool       // all routed experts on the host
	NCPUMoE       int        // routed experts of the first N layers on the host, dense layers counted; 0 and -1: none
	Overrides     []Override // checked in order, before the rules above; the first that matches wins
	OffloadShared bool       // shared experts follow the routed ones; alone: all shared experts on the host

	Map    bool // tensors are mapped, but for those that rules store otherwise
	Stream bool // routed experts are streamed, but for those that rules store otherwise
}

// ConflictError says that two flags exclude each other.
type ConflictError struct{ Flag, Other string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the argument '%s' cannot be used with '%s'", e.Flag, e.Other)
}

// Validate fails on options that contradict each other (*ConflictError), on a pattern that is no regular
// expression, and on places that there are not.
func (o Options) Validate() error {
	if o.CPUMoE && o.NCPUMoE > 0 {
		return &ConflictError{"--cpu-moe", "--n-cpu-moe <N>"}
	}
	if o.NCPUMoE < -1 {
		return fmt.Errorf("offload: --n-cpu-moe %d: want 0 or more layers", o.NCPUMoE)
	}
	for _, r := range o.Overrides {
		if _, err := regexp.Compile(r.Pattern); err != nil {
			return fmt.Errorf("offload: override %s=%s: %w", r.Pattern, r.Place, err)
		}
		if r.Place != Device && r.Place != Host {
			return fmt.Errorf("offload: override %s=%s: unknown place", r.Pattern, r.Place)
		}
	}
	return nil
}

// deviceBuffer recognises what llama.cpp's users write behind the equals sign: device buffer types by backend and number.
var deviceBuffer = regexp.MustCompile(`(?i)^(device|gpu|metal|mtl|(cuda|rocm|hip|musa|vulkan|sycl|cann|opencl)\d*)$`)

// ParseOverrides reads the value of -ot: REGEX=PLACE, several separated by commas. The place is CPU or host,
// device or the name of a device's buffer (CUDA0), mapped or streamed, in any case.
func ParseOverrides(value string) ([]Override, error) {
	var out []Override
	for rule := range strings.SplitSeq(value, ",") {
		pattern, buffer, ok := strings.Cut(rule, "=")
		if !ok || pattern == "" {
			return nil, fmt.Errorf("offload: override %q: want REGEX=PLACE", rule)
		}
		r := Override{Pattern: pattern, Buffer: buffer}
		switch name := strings.ToLower(buffer); {
		case name == "cpu" || name == "host":
			r.Place = Host
		case deviceBuffer.MatchString(buffer):
			r.Place = Device
		case name == string(Mapped) || name == string(Streamed):
			r.Place, r.Storage = Host, Storage(name)
		default:
			return nil, fmt.Errorf("offload: override %q: unknown place %q, want CPU, device, mapped or streamed", rule, buffer)
		}
		out = append(out, r)
	}
	return out, Options{Overrides: out}.Validate()
}
