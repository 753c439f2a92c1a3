package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/verify"
)

// weightFlags are verify's flags of the checks that read weights.
type weightFlags struct {
	full            bool
	memory, imatrix string
	seed            uint64
}

func (w *weightFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&w.full, "full", false, "compare and hash all of the weights, not a sample")
	f.StringVar(&w.memory, "memory", defaultMemory, "bound of the memory of the checks that read weights")
	f.StringVar(&w.imatrix, "imatrix", "", "importance matrix `FILE` that the file is said to be made with")
	f.Uint64Var(&w.seed, "seed", 0, "seed of the samples, of weights and with --budget of chunks")
}

func (w *weightFlags) apply(s *verify.Subject) error {
	var err error
	s.Full, s.Seed = w.full, w.seed
	if s.Memory, err = recipes.ParseSize(w.memory); err != nil {
		return usageError{fmt.Errorf("--memory: %w", err)}
	}
	if w.imatrix != "" {
		s.Imatrix, err = imatrix.Open(w.imatrix)
	}
	return err
}

// checkpointOf are the files of a source that is a checkpoint; nil for a GGUF file.
func checkpointOf(name string, m *model) *verify.Checkpoint {
	if m.plan == nil {
		return nil
	}
	if isSafetensors(name) {
		name = filepath.Dir(name)
	}
	return &verify.Checkpoint{Files: os.DirFS(name)}
}
