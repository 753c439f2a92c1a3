package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
)

// layerFlag says whether a model is run block by block, all chunks together.
type layerFlag struct{ choice string }

func (l *layerFlag) register(f *pflag.FlagSet) {
	f.StringVar(&l.choice, "layer-major", "auto", "read each block once for all chunks: on, off, or auto, for models larger than the memory that is free")
}

// decide says whether src is run so, with ram bytes of memory (0: unknown). Verbs without the flag never do.
func (l *layerFlag) decide(src gguf.Source, ram int64) (bool, error) {
	switch l.choice {
	case "", "off":
		return false, nil
	case "on":
		return true, nil
	case "auto":
	default:
		return false, usageError{fmt.Errorf("--layer-major %s: want auto, on or off", l.choice)}
	}
	var size int64
	for _, t := range src.Tensors() {
		size += t.Bytes()
	}
	return ram > 0 && size > ram, nil
}
