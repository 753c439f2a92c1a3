package probe

import "golang.org/x/sys/unix"

// What the filter must know of this architecture: its number, the system calls that start processes here alone, and
// where the numbers of another set of calls begin.
const (
	auditArch  = unix.AUDIT_ARCH_AARCH64
	otherCalls = 0x40000000
)

var forks []uint32
