package quantize

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

// Options changes what a scheme does, as the flags of llama-quantize do. The zero value changes nothing.
type Options struct {
	Imatrix *imatrix.Matrix // weighs the error of each column; nil for none
	// ImatrixName is recorded as quantize.imatrix.file, without folders; the matrix's own file name if empty.
	ImatrixName  string
	ImatrixHoles Holes // what stands in for what it lacks
	// PlanOnly is for jobs that will not be run: what stops them is in Job.Obstacles, not an error.
	PlanOnly bool

	Mix                Policy     // Llama if nil
	Pure               bool       // every quantizable tensor gets the scheme's base type
	LeaveOutputTensor  bool       // output.weight keeps its type
	OutputTensorType   *gguf.Type // of output.weight, and of a token embedding that serves as output
	TokenEmbeddingType *gguf.Type
	TensorTypes        []Override // first match wins; a rule that matches no tensor is an error
	AllowRequantize    bool       // encode again what is already quantized
	// KeepNative leaves routed experts alone whose weights came as MXFP4, unless a rule of TensorTypes names them.
	KeepNative bool
	KV         []KeyValue // metadata to set; what the rules ask of a model is overridden with it
	// Order lists the indices of all of the source's tensors in the order of the output, on which some types depend;
	// nil: llama-quantize's. Its --keep-split has that of the files.
	Order []int
	// CountTensors is for architectures that nobody knows, whose metadata may lack what the rules need: blocks, experts
	// and heads are then counted in the tensors, and rules that go by blocks take tensors outside of them as they come.
	CountTensors bool
}
