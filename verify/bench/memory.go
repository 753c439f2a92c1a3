package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/offload"
)

// Figure is an amount of memory, how it was found, and of what it is.
type Figure struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Method string `json:"method"`
	Scope  string `json:"scope"`
}

// Ledger is what a model takes by its header: weights, cache and llama.cpp's buffer to compute in.
func Ledger(md *gguf.Metadata, tensors []gguf.TensorInfo, context int, kv gguf.Type) ([]Figure, error) {
	planner, err := offload.NewPlanner(md, tensors, offload.CacheOptions{Context: context, Batch: 512, Key: kv, Value: kv})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	f, err := planner.At(0)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var weights int64
	for _, t := range tensors {
		weights += t.Bytes()
	}
	return []Figure{
		{"weights", weights, "sum of the tensors' bytes, from the header", "all tensors, wherever they are placed"},
		{"kv_cache", f.KV, "computed from the header", fmt.Sprintf("one text of %d positions, %v", context, kv)},
		{"compute", f.Compute, "estimated from the header, as llama.cpp allocates", "all blocks on one device, batches of 512 tokens"},
	}, nil
}

// Process is what the kernel says of this process; it is empty where /proc is not Linux's.
func Process() []Figure {
	const scope = "this process: all models that are loaded, servers and client"
	var out []Figure
	for _, f := range []struct{ file, key, name, method string }{
		{"/proc/self/status", "VmRSS:", "rss", "VmRSS of /proc/self/status, after the last answer"},
		{"/proc/self/status", "VmHWM:", "rss_peak", "VmHWM of /proc/self/status, since the process began"},
		{"/proc/self/smaps_rollup", "Pss:", "pss", "Pss of /proc/self/smaps_rollup, after the last answer"},
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
		if f.Bytes <= 0 && f.Name != "kv_cache" { // a model that only keeps states has none
			return implausible("%s: %d bytes (%s)", f.Name, f.Bytes, f.Method)
		}
	}
	return nil
}
