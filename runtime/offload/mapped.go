package offload

import (
	"fmt"
	"os"

	"github.com/moeconv/moeconv/gguf"
)

// Mapping is a source's files mapped into memory. The system reads pages when they are touched and drops them when memory
// runs short. A file that shrinks meanwhile ends the process.
type Mapping struct {
	src   gguf.Source
	files map[*os.File][]byte
}

// NewMapping maps nothing yet. src must stay open until Close.
func NewMapping(src gguf.Source) *Mapping {
	return &Mapping{src: src, files: map[*os.File][]byte{}}
}

// MapError says that a tensor cannot be mapped.
type MapError struct {
	Tensor string
	Err    error // of the system; nil: the tensor does not lie in a file as it is
}

func (e *MapError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("offload: tensor %q cannot be mapped: %v", e.Tensor, e.Err)
	}
	return fmt.Sprintf("offload: tensor %q cannot be mapped: it does not lie in a file as it is used", e.Tensor)
}

// Unwrap is the system's error.
func (e *MapError) Unwrap() error { return e.Err }

// Hint is the next step for a user.
func (e *MapError) Hint() string {
	return "a GGUF file can be mapped, a checkpoint cannot; --expert-ram works with both"
}

// Tensor is the bytes of a tensor, until Close. The error is a *MapError.
func (m *Mapping) Tensor(tensor int) ([]byte, error) {
	name := m.src.Tensors()[tensor].Name
	r, ok := m.src.(gguf.Ranger)
	if !ok {
		return nil, &MapError{Tensor: name}
	}
	file, off, n, ok := r.Range(tensor)
	f, isFile := file.(*os.File)
	if !ok || !isFile {
		return nil, &MapError{Tensor: name}
	}
	if m.files[f] == nil {
		data, err := mapFile(f)
		if err != nil {
			return nil, &MapError{name, err}
		}
		m.files[f] = data
	}
	if off+n > int64(len(m.files[f])) {
		return nil, &MapError{name, fmt.Errorf("%s: file of %d bytes, the tensor ends at %d", f.Name(), len(m.files[f]), off+n)}
	}
	return m.files[f][off:][:n:n], nil
}

// Close lets go of the memory.
func (m *Mapping) Close() error {
	for _, data := range m.files {
		release(data)
	}
	m.files = nil
	return nil
}
