package main

import (
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

type quantizeFlags struct {
	scheme      string
	via         string
	pre         string
	imatrix     string
	tensorTypes []string
	outputType  string
	embedType   string
	pure        bool
	leaveOutput bool
	requantize  bool
}

func (q *quantizeFlags) register(f *pflag.FlagSet) {
	f.StringVar(&q.scheme, "type", "", "the `SCHEME`: Q4_K_M, Q8_0 ..., in any case")
	f.StringVar(&q.via, "via", "auto", "what a checkpoint is rounded to first: auto (as the reference flow does), f32, f16 or bf16")
	f.StringVar(&q.pre, "pre", "", "`NAME` of the pre-tokenizer of a checkpoint whose own cannot be told")
	f.StringVar(&q.imatrix, "imatrix", "", "importance matrix `FILE`")
	f.StringArrayVar(&q.tensorTypes, "tensor-type", nil, "`REGEX=TYPE` for tensors whose name matches, repeatable; a rule that matches nothing is an error")
	f.StringVar(&q.outputType, "output-tensor-type", "", "`TYPE` of output.weight")
	f.StringVar(&q.embedType, "token-embedding-type", "", "`TYPE` of token_embd.weight")
	f.BoolVar(&q.pure, "pure", false, "give every tensor the scheme's base type")
	f.BoolVar(&q.leaveOutput, "leave-output-tensor", false, "leave output.weight as it is")
	f.BoolVar(&q.requantize, "allow-requantize", false, "encode again what is already quantized")
}

func (q *quantizeFlags) options() (quantize.Options, error) {
	o := quantize.Options{Pure: q.pure, LeaveOutputTensor: q.leaveOutput, AllowRequantize: q.requantize}
	for _, f := range []struct {
		text string
		to   **gguf.Type
	}{{q.outputType, &o.OutputTensorType}, {q.embedType, &o.TokenEmbeddingType}} {
		if f.text == "" {
			continue
		}
		t, err := gguf.ParseType(f.text)
		if err != nil {
			return o, usageError{err}
		}
		*f.to = &t
	}
	for _, s := range q.tensorTypes {
		rule, err := quantize.ParseOverride(s)
		if err != nil {
			return o, usageError{err}
		}
		o.TensorTypes = append(o.TensorTypes, rule)
	}
	if q.imatrix != "" {
		m, err := imatrix.Open(q.imatrix)
		if err != nil {
			return o, err
		}
		o.Imatrix = m
		o.ImatrixName = filepath.Base(q.imatrix) // no path of the user's machine goes into a file
	}
	return o, nil
}
