package nn

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// reader collects the errors of metadata look-ups. Keys are given without the architecture's prefix.
type reader struct {
	md   *gguf.Metadata
	errs []error
}

func (r *reader) has(key string) bool {
	_, ok := r.md.Get(r.md.ArchKey(key))
	return ok
}

// size is a required whole number of 1 to maxDim.
func (r *reader) size(key string) int {
	n, ok := r.number(key)
	if ok && n == 0 {
		r.errs = append(r.errs, fmt.Errorf("key %s is 0", r.md.ArchKey(key)))
	}
	return n
}

// number is a required whole number of 0 to maxDim; 0 and false where it is not.
func (r *reader) number(key string) (int, bool) {
	key = r.md.ArchKey(key)
	n, err := r.md.Int(key)
	if err == nil && (n < 0 || n > maxDim) {
		err = fmt.Errorf("key %s is %d", key, n)
	}
	if err != nil {
		r.errs = append(r.errs, err)
		return 0, false
	}
	return int(n), true
}

// optional is size, or def where the key is missing.
func (r *reader) optional(key string, def int) int {
	if !r.has(key) {
		return def
	}
	return r.size(key)
}

// count is a number of 0 to maxDim; 0 where the key is missing.
func (r *reader) count(key string) int {
	if !r.has(key) {
		return 0
	}
	n, _ := r.number(key)
	return n
}

// list is a key that has a number for each block; nil where it is missing or one number for all.
func (r *reader) list(key string) []int {
	v, _ := r.md.Get(r.md.ArchKey(key))
	var out []int
	switch list := v.(type) {
	case []int32:
		for _, n := range list {
			out = append(out, int(n))
		}
	case []uint32:
		for _, n := range list {
			out = append(out, int(n))
		}
	case []bool:
		for _, b := range list {
			n := 0
			if b {
				n = 1
			}
			out = append(out, n)
		}
	}
	for i, n := range out {
		if n < 0 || n > maxDim {
			r.errs = append(r.errs, fmt.Errorf("key %s is %d for block %d", r.md.ArchKey(key), n, i))
			return nil
		}
	}
	return out
}

// most is optional, or the largest number of a list.
func (r *reader) most(key string, def int) int {
	list := r.list(key)
	if list == nil {
		return r.optional(key, def)
	}
	most := 0
	for _, n := range list {
		most = max(most, n)
	}
	return most
}

// truth is a key that is true or false; def where it is missing.
func (r *reader) truth(key string, def bool) bool {
	if !r.has(key) {
		return def
	}
	b, err := gguf.Value[bool](r.md, r.md.ArchKey(key))
	if err != nil {
		r.errs = append(r.errs, err)
	}
	return b
}

// factor is a number, 1 where the key is missing or 0: llama.cpp leaves such a factor out.
func (r *reader) factor(key string) float64 {
	if v, _ := r.md.Get(r.md.ArchKey(key)); v == float32(0) {
		return 1
	}
	return r.float(key, 1)
}

// float is a number that must be finite and above 0; def where the key is missing (NaN: required).
func (r *reader) float(key string, def float64) float64 {
	key = r.md.ArchKey(key)
	v, ok := r.md.Get(key)
	if !ok && !math.IsNaN(def) {
		return def
	}
	f, isFloat := v.(float32)
	if d, is64 := v.(float64); is64 {
		f, isFloat = float32(d), true
	}
	switch {
	case !ok:
		r.errs = append(r.errs, &gguf.KeyError{Key: key})
	case !isFloat:
		r.errs = append(r.errs, &gguf.KeyError{Key: key, Got: fmt.Sprintf("%T", v), Want: "float32"})
	case !(f > 0) || math.IsInf(float64(f), 0):
		r.errs = append(r.errs, fmt.Errorf("key %s is %v", key, f))
	}
	return float64(f)
}
