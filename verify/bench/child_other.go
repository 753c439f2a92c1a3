//go:build !unix

package bench

import "os"

// maxRSS is not told on this system.
func maxRSS(*os.ProcessState) *Figure { return nil }
