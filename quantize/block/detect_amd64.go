//go:build amd64 && !purego

package block

import "golang.org/x/sys/cpu"

func detect() form {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasBMI2:
		return generic
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VBMI:
		return avx512
	}
	return avx2
}
