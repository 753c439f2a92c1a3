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
