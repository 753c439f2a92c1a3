package offload

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// FreeMemory is the bytes that the machine, and the control groups that confine this process, have left; pages of
// files count as free, as they can be dropped. ok is false where nothing tells.
func FreeMemory() (n int64, ok bool) { return freeMemory("/") }

// freeMemory is FreeMemory under a root directory.
func freeMemory(root string) (free int64, ok bool) {
	consider := func(n int64) {
		if !ok || n < free {
			free, ok = n, true
		}
	}
	if kib, found := field(filepath.Join(root, "proc/meminfo"), "MemAvailable:"); found {
		consider(kib << 10)
	}
	self, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		self = nil
	}
	for line := range strings.Lines(string(self) + "\n0::/\n:memory:/\n") { // in a container the paths are the host's
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		for _, g := range groupFiles {
			if g.controller == controllers {
				g.each(root, path, consider)
			}
		}
	}
	return free, ok
}

// cgroupFiles are where a version of control groups says what memory a group may use and does.
type cgroupFiles struct {
	controller                string // in /proc/self/cgroup
	mount, limit, used, cache string
}

var groupFiles = []cgroupFiles{
	{"", "sys/fs/cgroup", "memory.max", "memory.current", ""},
	{"memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"},
}

// each considers what is left to a group and to those around it.
func (f cgroupFiles) each(root, path string, consider func(int64)) {
	for {
		dir := filepath.Join(root, f.mount, path)
		limit, limited := number(filepath.Join(dir, f.limit))
		used, known := number(filepath.Join(dir, f.used))
		if limited && known {
			stat := filepath.Join(dir, "memory.stat")
			for _, list := range []string{"inactive_file", "active_file"} {
				n, _ := field(stat, f.cache+list)
				used -= n
			}
			consider(max(0, limit-max(0, used)))
		}
		if path == "/" || path == "." || path == "" {
			return
		}
		path = filepath.Dir(path)
	}
}

// field is the number behind a name at the beginning of a line.
func field(file, name string) (int64, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

func number(file string) (int64, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // "max" is no limit
	return n, err == nil
}
