package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/offload"
)

// Figure is an amount of memory, how it was found, and of what it is.
type Figure struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Method string `json:"method"`
	Scope  string `json:"scope"`
}

// Hosted is a model in this process as its memory is accounted for.
type Hosted struct {
	Name    string // of the model, in reports
	Tensors []gguf.TensorInfo
	KV      gguf.Type // of cached keys and values
	Windows offload.Windows
	Place   offload.Options
	Load    time.Duration // how long the model took to be loaded
}

// find is the figure of a name, nil for none.
func find(figures []Figure, name string) *Figure {
	for i := range figures {
		if figures[i].Name == name {
			return &figures[i]
		}
	}
	return nil
}

// batch is how many tokens llama.cpp computes at once by default (-ub); it sizes the compute buffer.
const batch = 512

// footprint is what the model takes by its header, with a placement, of a context.
func (h *Hosted) footprint(md *gguf.Metadata, context int, place offload.Options) (*offload.Footprint, error) {
	p, err := offload.NewPlanner(md, h.Tensors, offload.CacheOptions{Context: context, Batch: batch, Key: h.KV, Value: h.KV, Windows: h.Windows})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	f, err := p.Place(place)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return f, nil
}

// Ledger is what a model takes by its header: weights, cache and llama.cpp's buffer to compute in, and how a placement
// divides them between a device and the host. No device is measured.
func (h *Hosted) Ledger(md *gguf.Metadata, context int) ([]Figure, error) {
	f, err := h.footprint(md, context, h.Place)
	if err != nil {
		return nil, err
	}
	var weights int64
	for _, t := range h.Tensors {
		weights += t.Bytes()
	}
	const sum = "sum of the tensors' bytes, from the header"
	return []Figure{
		{"weights", weights, sum, "all tensors, wherever they are placed"},
		{"kv_cache", f.KV, "computed from the header", fmt.Sprintf("one text of %d positions, %v", context, h.KV)},
		{"compute", f.Compute, "an estimate from the header, fitted to what llama.cpp allocates", fmt.Sprintf("one device, batches of %d tokens", batch)},
		{"device_weights", f.Weights, sum + ", padded as in a CUDA buffer", "tensors that llama.cpp keeps on the device with this placement"},
		{"device", f.Device(), "an estimate: the sum of device_weights, kv_cache and compute", "what llama.cpp takes of the device with this placement; the driver's own memory comes on top"},
		{"host_weights", f.Host, sum, "tensors that llama.cpp keeps on the host with this placement"},
		{"host_experts", f.Moved, sum, "routed experts among host_weights"},
	}, nil
}

// memory is the ledger's figures and what the kernel says of this process; scope says what is in that.
func (h *Hosted) memory(m *runtime.Model, scope string) ([]Figure, error) {
	f, err := h.Ledger(m.Metadata(), m.ContextLength())
	return append(f, process(scope)...), err
}

// peakName is the figure of a process's peak.
const peakName = "rss_peak"

// process is what the kernel says of this process; it is empty where /proc is not Linux's.
func process(scope string) []Figure {
	var out []Figure
	for _, f := range []struct{ file, key, name, method string }{
		{"/proc/self/status", "VmRSS:", "rss", "VmRSS of /proc/self/status, after the last run"},
		{"/proc/self/status", "VmHWM:", peakName, "VmHWM of /proc/self/status, since the process began"},
		{"/proc/self/smaps_rollup", "Pss:", "pss", "Pss of /proc/self/smaps_rollup, after the last run"},
	} {
		data, err := os.ReadFile(f.file)
		if err != nil {
			continue
		}
		for scan := bufio.NewScanner(bytes.NewReader(data)); scan.Scan(); {
			rest, ok := strings.CutPrefix(scan.Text(), f.key)
			if fields := strings.Fields(rest); ok && len(fields) == 2 && fields[1] == "kB" {
				if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
					out = append(out, Figure{f.name, n << 10, f.method, scope})
				}
			}
		}
	}
	return out
}

// plausibleMemory refuses amounts that no model has.
func plausibleMemory(figures []Figure) error {
	for _, f := range figures {
		none := f.Bytes == 0 && (f.Name == "kv_cache" || f.Name == "host_experts") // a model may keep none
		if f.Bytes <= 0 && !none {
			return implausible("%s: %d bytes (%s)", f.Name, f.Bytes, f.Method)
		}
	}
	return nil
}
