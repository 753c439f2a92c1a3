//go:build !linux || !(amd64 || arm64)

package offload

import (
	"errors"
	"os"
)

var errNotDirect = errors.ErrUnsupported

func openDirect(*os.File) *os.File { return nil }

func dropPages(*os.File, int64, int64) {}
