package evidence

import (
	"bytes"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
)

// Environment is the machine and the program that made the figures. It names neither host nor user.
type Environment struct {
	CPU        string   `json:"cpu"`
	CPUFlags   []string `json:"cpu_flags"` // of the instruction sets that kernels choose by
	Cores      int      `json:"cores"`     // that the program may use
	RAMBytes   int64    `json:"ram_bytes"`
	LimitBytes int64    `json:"memory_limit_bytes"` // of the control group; 0: none
	OS         string   `json:"os"`
	Arch       string   `json:"arch"`
	Kernel     string   `json:"kernel"`
	Go         string   `json:"go"`
	Tool       Tool     `json:"tool"`
}

// Tool is the program.
type Tool struct {
	Version   string `json:"version" yaml:"version"`
	Commit    string `json:"commit" yaml:"commit"`
	Reference string `json:"reference" yaml:"reference"` // the implementation whose bytes it reproduces
}

// ThisMachine describes where the program runs. What the system does not tell is "unknown" or 0.
func ThisMachine(t Tool) Environment {
	e := Environment{CPU: "unknown", CPUFlags: []string{}, Cores: goruntime.GOMAXPROCS(0), OS: goruntime.GOOS, Arch: goruntime.GOARCH,
		Kernel: "unknown", Go: goruntime.Version(), Tool: t}
	e.readCPU()
	if v, ok := procValue("/proc/meminfo", "MemTotal"); ok {
		if n, err := strconv.ParseInt(strings.TrimSuffix(v, " kB"), 10, 64); err == nil {
			e.RAMBytes = n << 10
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel = strings.TrimSpace(string(b))
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// Control groups of the first version write nearly 2^63 for no limit.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n < 1<<60 {
			e.LimitBytes = n
		}
		break
	}
	return e
}

func (e *Environment) readCPU() {
	for _, key := range []string{"model name", "Processor", "CPU part"} {
		if v, ok := procValue("/proc/cpuinfo", key); ok {
			e.CPU = v
			break
		}
	}
	for _, key := range []string{"flags", "Features"} {
		v, ok := procValue("/proc/cpuinfo", key)
		if !ok {
			continue
		}
		for f := range strings.FieldsSeq(v) {
			if strings.HasPrefix(f, "avx") || f == "fma" || f == "f16c" || strings.HasPrefix(f, "asimd") || strings.HasPrefix(f, "sve") {
				e.CPUFlags = append(e.CPUFlags, f)
			}
		}
	}
}

// procValue finds the first "key : value" line of a file of /proc.
func procValue(name, key string) (string, bool) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", false
	}
	for line := range bytes.Lines(data) {
		k, v, ok := strings.Cut(string(line), ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// Comparable says why speeds measured on two machines may not be compared; "" if they may.
func (e Environment) Comparable(o Environment) string {
	switch {
	case e.CPU != o.CPU:
		return "CPU " + e.CPU + " and " + o.CPU
	case e.Cores != o.Cores:
		return strconv.Itoa(e.Cores) + " and " + strconv.Itoa(o.Cores) + " cores"
	case e.OS != o.OS || e.Arch != o.Arch:
		return e.OS + "/" + e.Arch + " and " + o.OS + "/" + o.Arch
	}
	return ""
}
