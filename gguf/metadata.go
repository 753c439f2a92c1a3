package gguf

import (
	"fmt"
	"iter"
	"slices"
)

// ValueType is the type of a metadata value, numbered as in GGUF.
type ValueType uint32

// The metadata value types.
const (
	Uint8 ValueType = iota
	Int8
	Uint16
	Int16
	Uint32
	Int32
	Float32
	Bool
	String
	ArrayType
	Uint64
	Int64
	Float64
)

var valueTypeNames = [...]string{"UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "FLOAT32", "BOOL", "STRING", "ARRAY", "UINT64", "INT64", "FLOAT64"}

// String is the name gguf-py gives the type: UINT32.
func (t ValueType) String() string {
	if int64(t) < int64(len(valueTypeNames)) {
		return valueTypeNames[t]
	}
	return fmt.Sprintf("ValueType(%d)", uint32(t))
}

// Array holds an array of arrays: each element is a slice of scalars or strings, or again an Array.
type Array []any

// Metadata is an ordered map from keys to values. A value is one of Go's
// uint8 ... uint64, int8 ... int64, float32, float64, bool, string, a slice of one of these, or an Array.
// The zero value is empty and ready for use.
type Metadata struct {
	keys   []string
	values map[string]any
}

// TypeOf is the metadata type of a Go value and, for slices, the type of the elements.
func TypeOf(v any) (t, elem ValueType, ok bool) {
	switch v.(type) {
	case uint8:
		return Uint8, 0, true
	case int8:
		return Int8, 0, true
	case uint16:
		return Uint16, 0, true
	case int16:
		return Int16, 0, true
	case uint32:
		return Uint32, 0, true
	case int32:
		return Int32, 0, true
	case float32:
		return Float32, 0, true
	case bool:
		return Bool, 0, true
	case string:
		return String, 0, true
	case uint64:
		return Uint64, 0, true
	case int64:
		return Int64, 0, true
	case float64:
		return Float64, 0, true
	}
	elem, ok = elemType(v)
	return ArrayType, elem, ok
}

func elemType(v any) (ValueType, bool) {
	switch v.(type) {
	case []uint8:
		return Uint8, true
	case []int8:
		return Int8, true
	case []uint16:
		return Uint16, true
	case []int16:
		return Int16, true
	case []uint32:
		return Uint32, true
	case []int32:
		return Int32, true
	case []float32:
		return Float32, true
	case []bool:
		return Bool, true
	case []string:
		return String, true
	case []uint64:
		return Uint64, true
	case []int64:
		return Int64, true
	case []float64:
		return Float64, true
	case Array:
		return ArrayType, true
	}
	return 0, false
}

// Set adds key at the end, or replaces its value in place. A value of a type GGUF does not know is a programmer's error and panics.
func (m *Metadata) Set(key string, v any) {
	if _, _, ok := TypeOf(v); !ok {
		panic(fmt.Sprintf("gguf: key %s: value of type %T", key, v))
	}
	if m.values == nil {
		m.values = map[string]any{}
	}
	if _, ok := m.values[key]; !ok {
		m.keys = append(m.keys, key)
	}
	m.values[key] = v
}

// Get is the value of key.
func (m *Metadata) Get(key string) (v any, ok bool) {
	v, ok = m.values[key]
	return v, ok
}

// Delete removes key; the order of the others stays.
func (m *Metadata) Delete(key string) {
	if _, ok := m.values[key]; !ok {
		return
	}
	delete(m.values, key)
	m.keys = slices.DeleteFunc(m.keys, func(k string) bool { return k == key })
}

// Len is the number of keys.
func (m *Metadata) Len() int { return len(m.keys) }

// All yields keys and values in file order.
func (m *Metadata) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, k := range m.keys {
			if !yield(k, m.values[k]) {
				return
			}
		}
	}
}

// Clone copies the map; values (which nobody changes) are shared.
func (m *Metadata) Clone() *Metadata {
	c := &Metadata{}
	for k, v := range m.All() {
		c.Set(k, v)
	}
	return c
}

// Value is the value of key as a T; a *KeyError when it is missing or of another type.
func Value[T any](m *Metadata, key string) (T, error) {
	var zero T
	v, ok := m.Get(key)
	if !ok {
		return zero, &KeyError{Key: key}
	}
	t, ok := v.(T)
	if !ok {
		return zero, &KeyError{Key: key, Got: fmt.Sprintf("%T", v), Want: fmt.Sprintf("%T", zero)}
	}
	return t, nil
}

// Int is the value of key as an int64 whatever its integer type; a *KeyError when missing or not an integer.
func (m *Metadata) Int(key string) (int64, error) {
	v, ok := m.Get(key)
	if !ok {
		return 0, &KeyError{Key: key}
	}
	switch n := v.(type) {
	case uint8:
		return int64(n), nil
	case int8:
		return int64(n), nil
	case uint16:
		return int64(n), nil
	case int16:
		return int64(n), nil
	case uint32:
		return int64(n), nil
	case int32:
		return int64(n), nil
	case uint64:
		if n <= 1<<63-1 {
			return int64(n), nil
		}
	case int64:
		return n, nil
	}
	return 0, &KeyError{Key: key, Got: fmt.Sprintf("%T", v), Want: "an integer"}
}

// Architecture is the value of general.architecture.
func (m *Metadata) Architecture() (string, error) { return Value[string](m, "general.architecture") }

// ArchKey is key in the namespace of the file's architecture: "block_count" -> "deepseek.block_count".
func (m *Metadata) ArchKey(key string) string {
	arch, _ := m.Architecture()
	return arch + "." + key
}
