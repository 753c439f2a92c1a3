package safetensors

import "fmt"

// FormatError says what is wrong with a checkpoint's weight files and where.
type FormatError struct {
	File   string // shard or index, as a path in the checkpoint
	Tensor string // empty where no single tensor is meant
	Msg    string // cause, with numbers and advice
}

func (e *FormatError) Error() string {
	switch {
	case e.Tensor == "":
		return fmt.Sprintf("safetensors: %s: %s", e.File, e.Msg)
	case e.File == "":
		return fmt.Sprintf("safetensors: tensor %q: %s", e.Tensor, e.Msg)
	}
	return fmt.Sprintf("safetensors: %s: tensor %q: %s", e.File, e.Tensor, e.Msg)
}

// UnsupportedError says that weights are there, but of a kind that cannot be read.
type UnsupportedError struct{ Msg string }

func (e *UnsupportedError) Error() string { return "safetensors: " + e.Msg }

func fileErrorf(file, format string, args ...any) error {
	return &FormatError{File: file, Msg: fmt.Sprintf(format, args...)}
}

func tensorErrorf(file, tensor, format string, args ...any) error {
	return &FormatError{File: file, Tensor: tensor, Msg: fmt.Sprintf(format, args...)}
}
