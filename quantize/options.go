package quantize

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

// Options changes what a scheme does, as the flags of llama-quantize do. The zero value changes nothing.
type Options struct {
	Imatrix *imatrix.Matrix // weighs the error of each column; nil for none
	// ImatrixName is recorded as quantize.imatrix.file; the matrix's own file name if empty.
	ImatrixName string

	Mix                Policy     // Llama if nil
	Pure               bool       // every quantizable tensor gets the scheme's base type
	LeaveOutputTensor  bool       // output.weight keeps its type
	OutputTensorType   *gguf.Type // of output.weight, and of a token embedding that serves as output
	TokenEmbeddingType *gguf.Type
	TensorTypes        []Override // first match wins; a rule that matches no tensor is an error
	AllowRequantize    bool       // encode again what is already quantized
	// CountTensors is for architectures that nobody knows, whose metadata may lack what the rules need: blocks, experts
	// and heads are then counted in the tensors, and rules that go by blocks take tensors outside of them as they come.
	CountTensors bool
}

// Override forces the type of tensors whose name a regular expression matches anywhere, in any case.
// As in llama-quantize it has no effect when the scheme's base type is F32, F16 or BF16.
type Override struct {
	Pattern string
	Type    gguf.Type
}

// ParseOverride reads REGEX=TYPE. The last = divides, so that a regular expression may hold one.
func ParseOverride(s string) (Override, error) {
	i := strings.LastIndexByte(s, '=')
	if i <= 0 || i == len(s)-1 {
		return Override{}, fmt.Errorf("quantize: tensor type %q: want REGEX=TYPE", s)
	}
	t, err := gguf.ParseType(s[i+1:])
	if err != nil {
		return Override{}, fmt.Errorf("quantize: tensor type %q: %w", s, err)
	}
	o := Override{Pattern: s[:i], Type: t}
	if _, err := o.compile(); err != nil {
		return Override{}, err
	}
	return o, nil
}

func (o Override) compile() (*regexp.Regexp, error) {
	re, err := regexp.Compile("(?i)" + o.Pattern)
	if err != nil {
		return nil, fmt.Errorf("quantize: tensor type %s=%v: %w", o.Pattern, o.Type, err)
	}
	return re, nil
}
