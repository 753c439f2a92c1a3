//go:build amd64 && !purego

package block

import (
	"testing"
	"unsafe"
)

// TestMinLayout holds the structures that the kernels of searches work on against the offsets in _asm.
func TestMinLayout(t *testing.T) {
	const row = 4 * 32
	var b searchBuffer
	var f minFits
	var m minTrials
	for name, p := range map[string][2]uintptr{
		"w":        {unsafe.Offsetof(b.w), 32 * row},
		"sigma2":   {unsafe.Offsetof(b.sigma2), 73 * row},
		"half":     {unsafe.Offsetof(b.half), 75 * row},
		"bits":     {unsafe.Offsetof(b.bits), 76 * row},
		"buffer":   {unsafe.Sizeof(b), 126 * row},
		"min":      {unsafe.Offsetof(f.min), 1024},
		"sum":      {unsafe.Offsetof(f.sum), 4 * 1024},
		"d":        {unsafe.Offsetof(f.d), 5 * 1024},
		"flags":    {unsafe.Offsetof(f.flags), 7 * 1024},
		"halves":   {unsafe.Offsetof(f.halves), 7*1024 + 32},
		"rounded":  {unsafe.Offsetof(f.rounded), 8*1024 + 32},
		"steps":    {unsafe.Offsetof(m.steps), 4},
		"inside":   {unsafe.Offsetof(m.inside), 8},
		"inverse":  {unsafe.Offsetof(m.inverse), 12},
		"inverses": {unsafe.Offsetof(scaleTrials{}.inverse), 4},
	} {
		if p[0] != p[1] {
			t.Errorf("%s is at %d, _asm has %d", name, p[0], p[1])
		}
	}
}
