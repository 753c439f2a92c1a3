package main

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
)

// model is an opened SRC: a GGUF file (any shard) or a checkpoint directory.
type model struct {
	gguf.Source
	io.Closer
	plan *convert.Plan // set when SRC is a checkpoint
	file *gguf.File    // set when SRC is a GGUF file
}

// sourceFlags are the flags of every verb that may read a checkpoint.
type sourceFlags struct {
	outType string
	pre     string
}

func (s *sourceFlags) register(f *pflag.FlagSet, outType string) {
	f.StringVar(&s.outType, "outtype", outType, "type of a checkpoint's tensors: f32, f16, bf16, q8_0 or auto")
	f.StringVar(&s.pre, "pre", "", "`NAME` of the pre-tokenizer of a checkpoint whose own cannot be told")
}

func (s *sourceFlags) options() convert.Options {
	return convert.Options{OutType: s.outType, Pre: s.pre}
}

// open opens SRC, which may be a checkpoint's only weight file too, and prints what a plan wants to say about it.
func (a *app) open(name string, flags sourceFlags) (*model, error) {
	info, err := os.Stat(name)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, withHint(err, "SRC is a GGUF file or a checkpoint directory; moeconv plan also takes OWNER/NAME of the Hub")
		}
		return nil, err
	}
	if !info.IsDir() && !isSafetensors(name) {
		f, err := gguf.Open(name)
		if err != nil {
			return nil, err
		}
		a.meet(f.Metadata())
		return &model{Source: f, Closer: f, file: f}, nil
	}
	p, err := openCheckpoint([]string{name}, flags.options())
	if err != nil {
		return nil, err
	}
	a.warn(p)
	return &model{Source: p, Closer: p, plan: p}, nil
}

// warn prints what a plan wants its user to know.
func (a *app) warn(p *convert.Plan) {
	for _, w := range p.Warnings() {
		a.diag("warning: %s", w)
	}
}
