package nn

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a large page where Linux has them; pages of other sizes are found by the kernel.
const hugePage = 2 << 20

// inHugePages asks for memory that is still untouched to be mapped in large pages: with small ones, weights are read a
// fifth slower. It is a wish; the system may have none.
func inHugePages(b []byte) {
	lead := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (hugePage - 1)
	if n := (len(b) - lead) &^ (hugePage - 1); n > 0 {
		_ = unix.Madvise(b[lead:lead+n], unix.MADV_HUGEPAGE)
	}
}
