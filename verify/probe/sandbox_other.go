//go:build !linux || !(amd64 || arm64)

package probe

import "errors"

// Sandbox runs code that a model wrote. There is none on this system.
type Sandbox struct{}

// NewSandbox fails with a *SandboxError.
func NewSandbox() (*Sandbox, error) {
	return nil, &SandboxError{errors.New("not on this system")}
}

// Call is never reached.
func (*Sandbox) Call(code, function, args string) (string, error) {
	return "", errors.New("there is no sandbox")
}
