package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
)

// layerFlag says whether a model is run block by block, all chunks together.
type layerFlag struct{ choice string }

func (l *layerFlag) register(f *pflag.FlagSet) {
	f.StringVar(&l.choice, "layer-major", "auto", "read each block once for all chunks: on, off, or auto, for models larger than the memory that is free")
}

// decide says whether src is run so. Verbs without the flag never do.
func (l *layerFlag) decide(src gguf.Source) (bool, error) {
	switch l.choice {
	case "", "off":
		return false, nil
	case "on":
		return true, nil
	case "auto":
	default:
		return false, usageError{fmt.Errorf("--layer-major %s: want auto, on or off", l.choice)}
	}
	var size int64
	for _, t := range src.Tensors() {
		size += t.Bytes()
	}
	free, known := freeMemory()
	return known && size > free, nil
}

// freeMemory is the bytes that the machine, and the control group that confines this process, have left.
func freeMemory() (int64, bool) {
	free, known := int64(0), false
	consider := func(n int64) {
		if !known || n < free {
			free, known = n, true
		}
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, rest, found := strings.Cut(string(info), "MemAvailable:")
		if fields := strings.Fields(rest); found && len(fields) > 0 {
			if kib, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				consider(kib << 10)
			}
		}
	}
	for _, files := range [][2]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
	} {
		limit, err1 := readNumber(files[0])
		used, err2 := readNumber(files[1])
		if err1 == nil && err2 == nil {
			consider(max(0, limit-used))
		}
	}
	return free, known
}

func readNumber(name string) (int64, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}
