package gguf

import "fmt"

// FormatError says that bytes are not valid GGUF and where.
type FormatError struct {
	Off int64 // byte offset in the file
	Msg string
}

func (e *FormatError) Error() string { return fmt.Sprintf("%s (at byte %d)", e.Msg, e.Off) }

// UnsupportedError says that something is valid but not implemented.
type UnsupportedError struct{ Msg string }

func (e *UnsupportedError) Error() string { return e.Msg }

// KeyError says that a metadata key is missing (Got empty) or of another type than asked for.
type KeyError struct{ Key, Got, Want string }

func (e *KeyError) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("key %s is missing", e.Key)
	}
	return fmt.Sprintf("key %s is %s, want %s", e.Key, e.Got, e.Want)
}

// ExistsError says that an output exists already and Force was not given.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string { return fmt.Sprintf("gguf: %s exists already", e.Path) }

// LockedError says that another process is writing the same file.
type LockedError struct{ Path string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("gguf: %s is being written by another process", e.Path)
}

// ChangedError says that what an earlier, interrupted run has written cannot be gone on with.
type ChangedError struct{ Path, What string }

func (e *ChangedError) Error() string { return fmt.Sprintf("gguf: %s %s", e.Path, e.What) }

// UnfinishedError says that a job stopped and that an equal one can go on from where it was.
type UnfinishedError struct {
	Done, Total int64 // bytes of all outputs
	Err         error // why it stopped
}

func (e *UnfinishedError) Error() string { return e.Err.Error() }

// Unwrap is why the job stopped.
func (e *UnfinishedError) Unwrap() error { return e.Err }

// SpaceError says that the disk below Dir has not enough room: found before writing (Err nil) or by a write that failed.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes
	Bound      bool  // it is Job.Disk that leaves no more room
	Err        error
}

func (e *SpaceError) Error() string {
	if e.Bound {
		return fmt.Sprintf("gguf: %s: the next output has %d bytes, beside the finished ones there is room for %d", e.Dir, e.Need, e.Free)
	}
	s := fmt.Sprintf("gguf: %s: the output needs %d bytes, the disk has %d free", e.Dir, e.Need, e.Free)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the failed write's error.
func (e *SpaceError) Unwrap() error { return e.Err }
