//go:build !linux || !(amd64 || arm64)

package hub

import "os"

func writeBack(*os.File, int64, int64) {}
