package hub

import (
	"os"
	"path/filepath"
)

// Lock takes a lock file for this process, or fails at once with *LockedError. what names the thing it stands for.
func Lock(name, what string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, err
	}
	f, held, err := tryLock(name)
	if err != nil {
		return nil, err
	}
	if held {
		return nil, &LockedError{what}
	}
	return func() { f.Close() }, nil
}
