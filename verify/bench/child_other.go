//go:build !unix

package bench

import (
	"os"
	"time"
)

// processCPU is not told on this system.
func processCPU() time.Duration { return 0 }

// maxRSS is not told on this system.
func maxRSS(*os.ProcessState) *Figure { return nil }
