package main

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/moeconv/moeconv/quantize"
)

// quantizeArgs are the positional arguments of quantize. SRC alone goes with -o and --type; more of them are
// llama-quantize's command line: IN [OUT] TYPE [NTHREADS].
type quantizeArgs struct {
	src, out, scheme string
	threads          int
	llama            bool // the command line is llama-quantize's
}

func parseQuantizeArgs(args []string) (quantizeArgs, error) {
	q := quantizeArgs{src: args[0], llama: len(args) > 1}
	if !q.llama {
		return q, nil
	}
	rest := args[1:]
	scheme, err := quantize.ParseScheme(rest[0])
	if err != nil {
		q.out = rest[0]
		if rest = rest[1:]; len(rest) == 0 {
			return q, withHint(usageError{err}, "usage: moeconv quantize IN [OUT] TYPE [NTHREADS]")
		}
		if scheme, err = quantize.ParseScheme(rest[0]); err != nil {
			return q, usageError{err}
		}
	}
	q.scheme = scheme.Name
	if rest = rest[1:]; len(rest) > 0 {
		if q.threads, err = strconv.Atoi(rest[0]); err != nil {
			return q, usageError{fmt.Errorf("NTHREADS %q: want a number", rest[0])}
		}
		q.threads, rest = max(0, q.threads), rest[1:] // all cores for what is not positive, as in llama-quantize
	}
	if len(rest) > 0 {
		return q, usageError{fmt.Errorf("too many arguments: %q", rest)}
	}
	if q.out == "" {
		dir, _ := filepath.Split(q.src)
		q.out = dir + "ggml-model-" + q.scheme + ".gguf"
	}
	return q, nil
}
