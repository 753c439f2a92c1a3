package convert

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// WeightError says that a source tensor holds a value no file should: NaN, an infinity,
// or one that the output's type cannot hold.
type WeightError struct {
	Tensor string    // of the output file
	Source string    // of the checkpoint
	Index  []int64   // position in the source tensor, outermost dimension first
	Value  float32   // the value there
	Type   gguf.Type // of the output tensor
}

func (e *WeightError) Error() string {
	s := fmt.Sprintf("convert: tensor %q: element %v is %v", e.Source, e.Index, e.Value)
	if e.finite() {
		s += fmt.Sprintf(", which overflows %v", e.Type)
	}
	return s + fmt.Sprintf(" (to become %s)", e.Tensor)
}

func (e *WeightError) finite() bool {
	return !math.IsNaN(float64(e.Value)) && !math.IsInf(float64(e.Value), 0)
}

// Hint is advice for the user.
func (e *WeightError) Hint() string {
	if e.finite() {
		return "use --outtype bf16 or --outtype f32, which hold the value"
	}
	return "the checkpoint is damaged; download it again or ask its publisher"
}
