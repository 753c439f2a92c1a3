package gguf

import (
	"fmt"
	"strings"
)

// Type is the encoding of one tensor's elements, numbered as in ggml.
type Type uint32

// The ggml types. Numbers missing from the sequence were removed from ggml.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
	Q1_0    Type = 41
	Q2_0    Type = 42
)

// typeInfo is one row of the table of types: elements and bytes of a quantization block.
type typeInfo struct {
	name     string
	blockLen int // elements; 0: not a usable type
	size     int // bytes
}

// types is the one table of all ggml types (sizes: ggml-common.h's block structs).
// A row without a block length is a number ggml has retired.
var types = [...]typeInfo{
	F32:     {"F32", 1, 4},
	F16:     {"F16", 1, 2},
	Q4_0:    {"Q4_0", 32, 2 + 16},
	Q4_1:    {"Q4_1", 32, 2 + 2 + 16},
	4:       {name: "Q4_2"},
	5:       {name: "Q4_3"},
	Q5_0:    {"Q5_0", 32, 2 + 4 + 16},
	Q5_1:    {"Q5_1", 32, 2 + 2 + 4 + 16},
	Q8_0:    {"Q8_0", 32, 2 + 32},
	Q8_1:    {"Q8_1", 32, 2 + 2 + 32},
	Q2_K:    {"Q2_K", 256, 2 + 2 + 16 + 64},
	Q3_K:    {"Q3_K", 256, 2 + 64 + 32 + 12},
	Q4_K:    {"Q4_K", 256, 2 + 2 + 12 + 128},
	Q5_K:    {"Q5_K", 256, 2 + 2 + 12 + 32 + 128},
	Q6_K:    {"Q6_K", 256, 2 + 128 + 64 + 16},
	Q8_K:    {"Q8_K", 256, 4 + 256 + 32},
	IQ2_XXS: {"IQ2_XXS", 256, 2 + 64},
	IQ2_XS:  {"IQ2_XS", 256, 2 + 64 + 8},
	IQ3_XXS: {"IQ3_XXS", 256, 2 + 64 + 32},
	IQ1_S:   {"IQ1_S", 256, 2 + 32 + 16},
	IQ4_NL:  {"IQ4_NL", 32, 2 + 16},
	IQ3_S:   {"IQ3_S", 256, 2 + 64 + 32 + 8 + 4},
	IQ2_S:   {"IQ2_S", 256, 2 + 64 + 16},
	IQ4_XS:  {"IQ4_XS", 256, 2 + 2 + 128 + 4},
	I8:      {"I8", 1, 1},
	I16:     {"I16", 1, 2},
	I32:     {"I32", 1, 4},
	I64:     {"I64", 1, 8},
	F64:     {"F64", 1, 8},
	IQ1_M:   {"IQ1_M", 256, 32 + 16 + 8},
	BF16:    {"BF16", 1, 2},
	31:      {name: "Q4_0_4_4"},
	32:      {name: "Q4_0_4_8"},
	33:      {name: "Q4_0_8_8"},
	TQ1_0:   {"TQ1_0", 256, 2 + 4*13},
	TQ2_0:   {"TQ2_0", 256, 2 + 64},
	36:      {name: "IQ4_NL_4_4"},
	37:      {name: "IQ4_NL_4_8"},
	38:      {name: "IQ4_NL_8_8"},
	MXFP4:   {"MXFP4", 32, 1 + 16},
	NVFP4:   {"NVFP4", 64, 4 + 32},
	Q1_0:    {"Q1_0", 128, 2 + 16},
	Q2_0:    {"Q2_0", 64, 2 + 16},
}

// Known reports whether t is a type of today's ggml.
func (t Type) Known() bool { return int64(t) < int64(len(types)) && types[t].blockLen > 0 }

// Removed reports whether t is a number ggml once used and has retired.
func (t Type) Removed() bool {
	return int64(t) < int64(len(types)) && types[t].blockLen == 0 && types[t].name != ""
}

// BlockLen is the number of elements in a quantization block, 0 if t is not Known.
func (t Type) BlockLen() int {
	if !t.Known() {
		return 0
	}
	return types[t].blockLen
}

// BlockSize is the number of bytes of a quantization block, 0 if t is not Known.
func (t Type) BlockSize() int {
	if !t.Known() {
		return 0
	}
	return types[t].size
}

// Quantized reports whether elements of t share scales in blocks.
func (t Type) Quantized() bool { return t.BlockLen() > 1 }

// BitsPerWeight is the exact storage cost of one element, in bits.
func (t Type) BitsPerWeight() float64 {
	if !t.Known() {
		return 0
	}
	return float64(t.BlockSize()*8) / float64(t.BlockLen())
}

// RowBytes is the size of a row of ne0 elements.
// It fails when ne0 is not a multiple of the block length or t is not Known.
func (t Type) RowBytes(ne0 int64) (int64, error) {
	if !t.Known() {
		return 0, fmt.Errorf("gguf: type %v has no size", t)
	}
	n := int64(t.BlockLen())
	if ne0 < 0 || ne0%n != 0 {
		return 0, fmt.Errorf("gguf: row of %d elements is not a multiple of %v's block of %d", ne0, t, n)
	}
	return ne0 / n * int64(t.BlockSize()), nil
}

// String is the type's name as llama-quantize spells it (Q4_K), also for retired numbers.
func (t Type) String() string {
	if int64(t) < int64(len(types)) && types[t].name != "" {
		return types[t].name
	}
	return fmt.Sprintf("Type(%d)", uint32(t))
}

// GGMLName is the type's name as ggml's log lines spell it (q4_K, f32, iq2_xxs).
func (t Type) GGMLName() string {
	s := strings.ToLower(t.String())
	if strings.HasPrefix(s, "q") && strings.HasSuffix(s, "_k") {
		s = s[:len(s)-1] + "K"
	}
	return s
}

// ParseType finds a Known type by name, in any case.
func ParseType(name string) (Type, error) {
	for i := range types {
		if types[i].blockLen > 0 && strings.EqualFold(types[i].name, name) {
			return Type(i), nil
		}
	}
	return 0, fmt.Errorf("gguf: unknown type %q", name)
}

// AllTypes lists the Known types in number order.
func AllTypes() []Type {
	var out []Type
	for i := range types {
		if types[i].blockLen > 0 {
			out = append(out, Type(i))
		}
	}
	return out
}
