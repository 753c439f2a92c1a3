package safetensors

import nst "github.com/nlpodyssey/safetensors"

// DType is the element type of a tensor, spelled as in the header: "BF16".
type DType string

// bits is every dtype the safetensors format knows; the library knows a part of them.
var bits = map[DType]int{
	"BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
	"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
	"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
	"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}

// Bits is the size of one element in bits; 0 for a dtype the format does not know.
func (d DType) Bits() int { return bits[d] }

func knownToLibrary(d DType) bool {
	_, err := nst.ParseDType(string(d))
	return err == nil
}
