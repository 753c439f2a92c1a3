package offload

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf/names"
)

// Lines is the ledger as llama.cpp logs it: a line a tensor that a rule placed, a banner that says what was
// moved (counted from the entries), the buffer of each place with the padding llama.cpp gives it there, and warnings.
func (l *Ledger) Lines() []string {
	var out []string
	for _, e := range l.Entries {
		if e.Rule != "" {
			out = append(out, fmt.Sprintf("tensor %s (%d MiB %s) buffer type overridden to %s", e.Name, e.Bytes>>20, e.Type.GGMLName(), e.Buffer))
		}
	}
	out = append(out, l.Banner()...)
	for _, s := range l.Sums() {
		out = append(out, fmt.Sprintf("load_tensors: %12s model buffer size = %8.2f MiB", bufferOf[s.Place], mib(s.Buffer)))
	}
	for _, s := range l.Storage() {
		if s.Storage != Resident && s.Tensors > 0 {
			line := fmt.Sprintf("offload: %s: %d tensors, %.2f MiB", s.Storage, s.Tensors, mib(s.Bytes))
			if s.Storage == Streamed {
				line += fmt.Sprintf(", through a cache of %.2f MiB", mib(l.ExpertRAM))
			}
			out = append(out, line)
		}
	}
	for _, w := range l.Warnings {
		out = append(out, "warning: "+w)
	}
	return out
}

// bufferOf is the name of a place in the lines that llama.cpp prints with buffer types.
var bufferOf = map[Place]string{Device: "device", Host: "CPU"}

// Banner tells what the expert flags moved, in counts and bytes of the placements made; empty when nothing was moved.
func (l *Ledger) Banner() []string {
	var out []string
	tensors, bytes := l.Moved(names.RoutedExpert)
	if tensors > 0 {
		out = append(out, fmt.Sprintf("MoE: CPU offload %s: %d tensors, %.2f MiB", l.extent(tensors), tensors, mib(bytes)))
	}
	if n, b := l.Moved(names.SharedExpert); n > 0 {
		out = append(out, fmt.Sprintf("MoE: CPU offload shared experts: %d tensors, %.2f MiB", n, mib(b)))
	}
	if len(out) > 0 {
		out = append(out, "MoE: this runtime has no device: tensors listed under device lie in host memory too")
	}
	return out
}

// extent names the share of the routed experts that moved.
func (l *Ledger) extent(moved int) string {
	all := 0
	for _, e := range l.Entries {
		if e.Class == names.RoutedExpert {
			all++
		}
	}
	switch {
	case moved == all:
		return "ALL expert tensors"
	case l.opts.NCPUMoE > 0 && len(l.opts.Overrides) == 0:
		return fmt.Sprintf("first %d layers", l.opts.NCPUMoE)
	}
	return fmt.Sprintf("%d of %d expert tensors", moved, all)
}
