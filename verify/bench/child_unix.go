//go:build unix

package bench

import (
	"os"
	goruntime "runtime"
	"syscall"
	"time"
)

// processCPU is the processor time that this process has taken.
func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// maxRSS is the kernel's account of a process that has ended.
func maxRSS(p *os.ProcessState) *Figure {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return nil
	}
	n := int64(u.Maxrss)
	if goruntime.GOOS != "darwin" && goruntime.GOOS != "ios" { // which count bytes, others KiB
		n <<= 10
	}
	return &Figure{childPeakName, n, "ru_maxrss of wait4, after the process had ended", "the process of this step"}
}
