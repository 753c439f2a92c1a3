package quantize

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// Scheme is a file's mix of types, as llama-quantize names it: Q4_K_M.
type Scheme struct {
	Name     string
	FileType uint32    // general.file_type
	Base     gguf.Type // the type of every tensor that no rule moves
	Copy     bool      // keeps every tensor's type; Base and FileType mean nothing
	// NeedsImportance: some tensors of most models get a type which the reference encodes only with an
	// importance matrix. Whether a given model needs one is in its Assignment.
	NeedsImportance bool
}

// String is the scheme's name.
func (s Scheme) String() string { return s.Name }

// guessed marks a file type that the reference inferred because the file states none.
const guessed = 1024

// fileType is a scheme's number among llama.cpp's llama_ftype values.
type fileType = uint32

// The file types that rules of the mixture refer to.
const (
	ftQ4_0     fileType = 2
	ftQ5_0     fileType = 8
	ftQ2_K     fileType = 10
	ftQ3_K_S   fileType = 11
	ftQ3_K_M   fileType = 12
	ftQ3_K_L   fileType = 13
	ftQ4_K_S   fileType = 14
	ftQ4_K_M   fileType = 15
	ftQ5_K_M   fileType = 17
	ftIQ2_XXS  fileType = 19
	ftIQ2_XS   fileType = 20
	ftQ2_K_S   fileType = 21
	ftIQ3_XS   fileType = 22
	ftIQ3_XXS  fileType = 23
	ftIQ1_S    fileType = 24
	ftIQ4_NL   fileType = 25
	ftIQ3_S    fileType = 26
	ftIQ3_M    fileType = 27
	ftIQ2_S    fileType = 28
	ftIQ2_M    fileType = 29
	ftIQ4_XS   fileType = 30
	ftIQ1_M    fileType = 31
	ftTQ1_0    fileType = 36
	ftTQ2_0    fileType = 37
	ftMXFP4MoE fileType = 38
	ftQ2_0     fileType = 41
)

// schemes is the one table of schemes, largest types first within each kind.
// Three bases are not what the name says: IQ2_S, IQ2_M and IQ3_XS.
var schemes = []Scheme{
	{Name: "F32", FileType: 0, Base: gguf.F32},
	{Name: "F16", FileType: 1, Base: gguf.F16},
	{Name: "BF16", FileType: 32, Base: gguf.BF16},
	{Name: "Q8_0", FileType: 7, Base: gguf.Q8_0},
	{Name: "Q6_K", FileType: 18, Base: gguf.Q6_K},
	{Name: "Q5_1", FileType: 9, Base: gguf.Q5_1},
	{Name: "Q5_0", FileType: ftQ5_0, Base: gguf.Q5_0},
	{Name: "Q5_K_M", FileType: ftQ5_K_M, Base: gguf.Q5_K},
	{Name: "Q5_K_S", FileType: 16, Base: gguf.Q5_K},
	{Name: "Q4_1", FileType: 3, Base: gguf.Q4_1},
	{Name: "Q4_0", FileType: ftQ4_0, Base: gguf.Q4_0},
	{Name: "Q4_K_M", FileType: ftQ4_K_M, Base: gguf.Q4_K},
	{Name: "Q4_K_S", FileType: ftQ4_K_S, Base: gguf.Q4_K},
	{Name: "IQ4_NL", FileType: ftIQ4_NL, Base: gguf.IQ4_NL},
	{Name: "IQ4_XS", FileType: ftIQ4_XS, Base: gguf.IQ4_XS},
	{Name: "MXFP4_MOE", FileType: ftMXFP4MoE, Base: gguf.MXFP4},
	{Name: "Q3_K_L", FileType: ftQ3_K_L, Base: gguf.Q3_K},
	{Name: "Q3_K_M", FileType: ftQ3_K_M, Base: gguf.Q3_K},
	{Name: "Q3_K_S", FileType: ftQ3_K_S, Base: gguf.Q3_K},
	{Name: "IQ3_M", FileType: ftIQ3_M, Base: gguf.IQ3_S},
	{Name: "IQ3_S", FileType: ftIQ3_S, Base: gguf.IQ3_S},
	{Name: "IQ3_XS", FileType: ftIQ3_XS, Base: gguf.IQ3_S, NeedsImportance: true},
	{Name: "IQ3_XXS", FileType: ftIQ3_XXS, Base: gguf.IQ3_XXS, NeedsImportance: true},
	{Name: "Q2_K", FileType: ftQ2_K, Base: gguf.Q2_K},
	{Name: "Q2_K_S", FileType: ftQ2_K_S, Base: gguf.Q2_K, NeedsImportance: true},
	{Name: "Q2_0", FileType: ftQ2_0, Base: gguf.Q2_0},
	{Name: "IQ2_M", FileType: ftIQ2_M, Base: gguf.IQ2_S, NeedsImportance: true},
	{Name: "IQ2_S", FileType: ftIQ2_S, Base: gguf.IQ2_XS, NeedsImportance: true},
	{Name: "IQ2_XS", FileType: ftIQ2_XS, Base: gguf.IQ2_XS, NeedsImportance: true},
	{Name: "IQ2_XXS", FileType: ftIQ2_XXS, Base: gguf.IQ2_XXS, NeedsImportance: true},
	{Name: "TQ2_0", FileType: ftTQ2_0, Base: gguf.TQ2_0},
	{Name: "TQ1_0", FileType: ftTQ1_0, Base: gguf.TQ1_0},
	{Name: "IQ1_M", FileType: ftIQ1_M, Base: gguf.IQ1_M, NeedsImportance: true},
	{Name: "IQ1_S", FileType: ftIQ1_S, Base: gguf.IQ1_S, NeedsImportance: true},
	{Name: "Q1_0", FileType: 40, Base: gguf.Q1_0},
	{Name: "COPY", Copy: true},
}

// aliases are the short names llama-quantize also takes.
var aliases = map[string]string{"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

// Schemes lists every scheme, COPY last.
func Schemes() []Scheme { return slices.Clone(schemes) }

// ParseScheme finds a scheme by name or alias (Q4_K for Q4_K_M) in any case, or by its file type's number, as llama-quantize does.
func ParseScheme(name string) (Scheme, error) {
	up := strings.ToUpper(name)
	if full, ok := aliases[up]; ok {
		up = full
	}
	n, err := strconv.ParseUint(name, 10, 32)
	for _, s := range schemes {
		if s.Name == up || err == nil && !s.Copy && s.FileType == fileType(n) {
			return s, nil
		}
	}
	return Scheme{}, fmt.Errorf("quantize: unknown scheme %q", name)
}
